import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type FieldList,
  block,
  codeOf,
  data,
  frame,
  frameClient,
  headers,
  number,
  requestFields,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const [method, path, scheme, authority] = requestFields();
const whole = requestFields();

/** What must never come to a pod as anything but what it says. */
const malformed: Readonly<Record<string, FieldList>> = {
  'CR LF in :path': [method!, [':path', '/x HTTP/1.1\r\nhost: evil.test\r\n\r\n'], scheme!, authority!],
  'a blank in :path': [method!, [':path', '/x HTTP/1.1'], scheme!, authority!],
  'NUL in :path': [method!, [':path', '/\0'], scheme!, authority!],
  'an empty :path': [method!, [':path', ''], scheme!, authority!],
  'a :path without a slash': [method!, [':path', 'x'], scheme!, authority!],
  'a fragment in :path': [method!, [':path', '/a#b'], scheme!, authority!],
  'a blank in :method': [[':method', 'GET /evil'], path!, scheme!, authority!],
  'CR LF in :method': [[':method', 'GET / HTTP/1.1\r\n\r\nGET'], path!, scheme!, authority!],
  'an empty :method': [[':method', ''], path!, scheme!, authority!],
  'CR LF in :authority': [method!, path!, scheme!, [':authority', 'app.test\r\nx: y']],
  'a blank in :authority': [method!, path!, scheme!, [':authority', 'app.test evil']],
  'a user in :authority': [method!, path!, scheme!, [':authority', 'app.test@evil']],
  'a slash in :authority': [method!, path!, scheme!, [':authority', 'app.test/evil']],
  'a blank in :scheme': [method!, path!, [':scheme', 'http x'], authority!],
  'no :method': [path!, scheme!, authority!],
  'no :path': [method!, scheme!, authority!],
  'no :scheme': [method!, path!, authority!],
  'no :authority and no host': [method!, path!, scheme!],
  'two :path': [...whole, [':path', '/y']],
  'two :method': [[':method', 'POST'], ...whole],
  'two :authority': [...whole, authority!],
  'an unknown pseudo-header': [...whole, [':evil', 'x']],
  'a pseudo-header of responses': [...whole, [':status', '200']],
  ':protocol without extended CONNECT': [...whole, [':protocol', 'websocket']],
  'a pseudo-header after a field': [method!, path!, scheme!, ['x', 'y'], authority!],
  'a host that is not :authority': [...whole, ['host', 'evil.test']],
  'two hosts': [method!, path!, scheme!, ['host', 'app.test'], ['host', 'app.test']],
  'an upper-case name': [...whole, ['X-Upper', 'y']],
  connection: [...whole, ['connection', 'close']],
  'keep-alive': [...whole, ['keep-alive', 'timeout=5']],
  'proxy-connection': [...whole, ['proxy-connection', 'keep-alive']],
  'transfer-encoding': [...whole, ['transfer-encoding', 'chunked']],
  upgrade: [...whole, ['upgrade', 'h2c']],
  'te that is not trailers': [...whole, ['te', 'gzip']],
  'a content-length without a body': [...whole, ['content-length', '5']],
  'two content-lengths': [...whole, ['content-length', '0'], ['content-length', '0']],
  'a content-length that is no number': [...whole, ['content-length', '0x5']],
  'an expectation nobody knows': [...whole, ['expect', 'miracles']],
};

/** What HTTP/1.1 could not carry. */
const uncarried: Readonly<Record<string, FieldList>> = {
  'CR LF in a value': [...whole, ['x-evil', 'a\r\nx-smuggled: b']],
  'CR in a value': [...whole, ['x-evil', 'a\rx-smuggled: b']],
  'LF in a value': [...whole, ['x-evil', 'a\n\nGET /x-smuggled HTTP/1.1']],
  'NUL in a value': [...whole, ['x-evil', 'a\0x-smuggled']],
  'a blank around a value': [...whole, ['x-evil', ' x-smuggled ']],
  'a blank in a name': [...whole, ['x-evil x-smuggled', 'b']],
  'a colon in a name': [...whole, ['x-evil: x-smuggled', 'b']],
  'CR LF in a name': [...whole, ['x-evil: a\r\nx-smuggled', 'b']],
  'an empty name': [...whole, ['', 'x-smuggled']],
};

describe('a malformed request never comes to a pod', () => {
  for (const [what, fields] of Object.entries({ ...malformed, ...uncarried })) {
    it(what, async () => {
      await using pod = await recordingUpstream();
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
      using client = await frameClient(proxy.port);
      client.send(headers(1, fields));
      const end = await client.until(
        ({ type, stream, flags }) =>
          stream === 1 &&
          (type === FRAME.reset || (type === FRAME.headers && (flags & FLAG.endHeaders) !== 0)),
      );
      if (end.type === FRAME.headers) {
        const refused = await proxy.exchange(0);
        expect([400, 417]).toContain(refused.status);
      } else expect(codeOf(end)).toBe(CODE.protocolError);
      // The connection goes on, and the pod has seen nothing but what comes now.
      client.send(headers(3, requestFields('GET', '/after')));
      await client.until(({ type, stream }) => type === FRAME.headers && stream === 3);
      expect(pod.requests.map(({ startLine }) => startLine)).toEqual(['GET /after HTTP/1.1']);
      expect(pod.leftover()).toBe('');
    });
  }
});

describe('the length that is told is the length that comes', () => {
  for (const [what, body, last] of [
    ['more', 'hello, world', true],
    ['less', 'he', true],
    ['more, in two frames', 'hello', false],
  ] as const) {
    it(what, async () => {
      await using pod = await recordingUpstream();
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
      using client = await frameClient(proxy.port);
      client.send(
        headers(1, requestFields('POST', '/', ['content-length', '5']), FLAG.endHeaders),
        data(1, body, last),
      );
      if (!last) client.send(data(1, ', world', true));
      // Of the stream, or of the whole connection.
      const end = await client.until(({ type }) => type === FRAME.reset || type === FRAME.goaway);
      if (end.type === FRAME.reset) expect(codeOf(end)).toBe(CODE.protocolError);
      expect(pod.requests.map((request) => request.body).join('')).not.toContain('world');
      expect(pod.requests.filter((request) => request.body === 'he')).toEqual([]);
    });
  }
});

describe('floods cost the attacker the connection and nobody else anything', () => {
  /** Sends one of these after the other until the proxy has had enough; another client is served meanwhile. */
  async function flood(piece: (index: number) => Buffer, first: Buffer = Buffer.alloc(0)): Promise<void> {
    await using pod = await recordingUpstream();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
    using other = http2Client(proxy.port);
    expect((await other.ask({})).status).toBe(200);
    using attacker = await frameClient(proxy.port);
    attacker.send(first);
    for (let batch = 0; batch < 400 && !attacker.socket.destroyed; batch++) {
      attacker.send(...Array.from({ length: 50 }, (_, index) => piece(batch * 50 + index)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await attacker.closed;
    expect((await other.ask({})).status).toBe(200);
  }

  it('rapid reset', () =>
    flood((index) =>
      Buffer.concat([headers(2 * index + 1, requestFields()), reset(2 * index + 1, CODE.cancel)]),
    ));

  it('resets that the proxy is made to send', () =>
    flood((index) =>
      Buffer.concat([
        headers(2 * index + 1, requestFields('POST'), FLAG.endHeaders),
        windowUpdate(2 * index + 1, 0),
      ]),
    ));

  /** A request that says its stream depends on itself (RFC 9113 5.3.1 of old). */
  const selfDependent = (stream: number): Buffer =>
    frame(
      FRAME.headers,
      FLAG.endStream | FLAG.endHeaders | FLAG.priority,
      stream,
      Buffer.concat([number(stream), Buffer.from([0]), block(requestFields())]),
    );

  it('requests that depend on themselves', () => flood((index) => selfDependent(2 * index + 1)));

  it('PRIORITY of streams on themselves', () =>
    flood((index) =>
      Buffer.concat([
        headers(2 * index + 1, requestFields('POST'), FLAG.endHeaders),
        frame(FRAME.priority, 0, 2 * index + 1, Buffer.concat([number(2 * index + 1), Buffer.from([0])])),
      ]),
    ));

  it('malformed requests, which are no answers to set against resets', () =>
    flood((index) =>
      Buffer.concat([
        headers(4 * index + 1, requestFields('GET', '/', ['connection', 'close'])),
        headers(4 * index + 3, requestFields()),
        reset(4 * index + 3, CODE.cancel),
      ]),
    ));

  it('windows that overflow', () =>
    flood((index) =>
      Buffer.concat([
        headers(2 * index + 1, requestFields('POST'), FLAG.endHeaders),
        windowUpdate(2 * index + 1, 2 ** 31 - 1),
      ]),
    ));

  it('RST_STREAM of a stream that is closed', () =>
    flood(() => reset(1, CODE.cancel), Buffer.concat([headers(1, requestFields()), reset(1, CODE.cancel)])));

  it('heads for a stream that was refused', () => flood(() => headers(1, requestFields()), selfDependent(1)));

  it('CONTINUATION without an end', () =>
    flood(
      () => frame(FRAME.continuation, 0, 1, block([['x-more', 'y'.repeat(100)]])),
      headers(1, requestFields(), FLAG.endStream),
    ));

  it('empty CONTINUATION', () =>
    flood(() => frame(FRAME.continuation, 0, 1), headers(1, requestFields(), FLAG.endStream)));

  it('SETTINGS', () => flood(() => settings(65_535)));

  it('PING', () => flood(() => frame(FRAME.ping, 0, 0, Buffer.alloc(8))));

  it('empty DATA', () => flood(() => data(1, '', false), headers(1, requestFields('POST'), FLAG.endHeaders)));

  it('more streams than are allowed, for ever', () =>
    flood((index) => headers(2 * index + 1, requestFields('POST'), FLAG.endHeaders)));
});

it('a head that is too large or has too many fields is answered 431', async () => {
  await using pod = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = await frameClient(proxy.port);
  const many = Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'y'] as const);
  client.send(headers(1, requestFields('GET', '/', ...many)));
  await client.until(({ type, stream }) => type === FRAME.headers && stream === 1);
  expect((await proxy.exchange(0)).status).toBe(431);
  const large = Array.from({ length: 20 }, (_, index) => [`x-${index}`, 'y'.repeat(600)] as const);
  client.send(headers(3, requestFields('GET', '/', ...large)));
  await client.until(({ type, stream }) => type === FRAME.headers && stream === 3);
  expect(pod.requests).toHaveLength(1);
});

it('streams beyond the limit are refused, so that they can be asked for again', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    await connection.ended;
  });
  const limits = { streamsPerConnection: 2 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port);
  for (const stream of [1, 3, 5]) client.send(headers(stream, requestFields()));
  const refused = await client.until(({ type }) => type === FRAME.reset);
  expect([refused.stream, codeOf(refused)]).toEqual([5, CODE.refusedStream]);
});

it('a client that opens no window is given up after a time', async () => {
  await using pod = await recordingUpstream('body');
  const limits = { bodyIdleTimeoutMs: 100 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port, settings(0));
  client.send(headers(1, requestFields()));
  await client.until(({ type, stream }) => type === FRAME.headers && stream === 1);
  await client.until(({ type, stream }) => type === FRAME.reset && stream === 1);
  expect(await proxy.exchange(0)).toMatchObject({ status: 200, attempts: 1 });
});

it('a client that sends no more of its body is given up after a time', async () => {
  await using pod = await recordingUpstream();
  const limits = { bodyIdleTimeoutMs: 100 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port);
  client.send(headers(1, requestFields('POST'), FLAG.endHeaders), data(1, 'a', false));
  expect((await proxy.exchange(0)).status).toBe(408);
});

it('a connection that sends no SETTINGS, or nothing at all, is closed', async () => {
  const limits = { clientHeadTimeoutMs: 100, keepAliveIdleTimeoutMs: 100 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [1] }], { h2c: true, limits });
  using silent = await frameClient(proxy.port, Buffer.alloc(0));
  using idle = await frameClient(proxy.port);
  await Promise.all([silent.closed, idle.closed]);
  expect(proxy.exchanges).toEqual([]);
});
