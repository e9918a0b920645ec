import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { indexed, literal, tableSize } from '../../support/hpack.ts';
import { http2Client } from '../../support/http2-client.ts';
import { framePod, response, responseHead } from '../../support/http2-frame-pod.ts';
import {
  CODE,
  FLAG,
  FRAME,
  SETTING,
  block,
  codeOf,
  data,
  frame,
  headers,
  number,
  ping,
  reset,
  settings,
  settingsOf,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { badPod, isEnd, refused } from './bad-pod.ts';

const ok = [':status', '200'] as const;

describe('a connection that breaks the rules is ended (RFC 9113 5.4.1)', () => {
  const evil = Buffer.concat([block([ok]), literal('plain', 'x-evil', 'evil')]);
  const unended = frame(FRAME.headers, 0, 1, evil);
  refused(
    {
      PUSH_PROMISE: frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([number(2), evil])),
      'a stream of its own': frame(FRAME.headers, 5, 2, evil),
      'HEADERS on a stream that we have not begun': frame(FRAME.headers, 5, 99, evil),
      'DATA on a stream that we have not begun': data(99, 'evil', true),
      'DATA of the connection': data(0, 'evil', true),
      'HEADERS of the connection': frame(FRAME.headers, 5, 0, evil),
      'RST_STREAM of a stream that we have not begun': reset(99, CODE.cancel),
      'WINDOW_UPDATE of a stream that we have not begun': windowUpdate(99, 1),
      'WINDOW_UPDATE of nothing': windowUpdate(0, 0),
      'SETTINGS of a stream': frame(FRAME.settings, 0, 1),
      'PING of a stream': frame(FRAME.ping, 0, 1, Buffer.alloc(8)),
      'GOAWAY of a stream': frame(FRAME.goaway, 0, 1, Buffer.alloc(8)),
      'MAX_FRAME_SIZE of 1': settingsOf([SETTING.maxFrameSize, 1]),
      'CONTINUATION of nothing': frame(FRAME.continuation, FLAG.endHeaders, 1, evil),
      'HEADERS that are interrupted': Buffer.concat([unended, ping()]),
      'more padding than there is': frame(
        FRAME.headers,
        5 | FLAG.padded,
        1,
        Buffer.concat([Buffer.from([250]), evil]),
      ),
    },
    { connection: [CODE.protocolError] },
  );
  refused(
    {
      'an entry that there is not': frame(FRAME.headers, 5, 1, indexed(100)),
      'a header block that stops short': frame(FRAME.headers, 5, 1, evil.subarray(0, -1)),
      'a table that is larger than was offered': frame(
        FRAME.headers,
        5,
        1,
        Buffer.concat([tableSize(100_000), evil]),
      ),
    },
    { connection: [CODE.compressionError] },
  );
  refused(
    {
      'a window of the connection beyond 2^31-1': windowUpdate(0, 0x7fff_ffff),
      'INITIAL_WINDOW_SIZE of 2^31': settings(0x8000_0000),
    },
    { connection: [CODE.flowControlError] },
  );
  refused(
    {
      'HEADERS that are larger than allowed': frame(FRAME.headers, 5, 1, Buffer.alloc(16_385)),
      'a frame nobody knows that is larger than allowed': frame(0xbd, 0, 0, Buffer.alloc(1_000_000)),
      'PING of seven octets': frame(FRAME.ping, 0, 0, Buffer.alloc(7)),
      'SETTINGS of seven octets': frame(FRAME.settings, 0, 0, Buffer.alloc(7)),
    },
    { connection: [CODE.frameSizeError] },
  );

  it('that begins without SETTINGS', async () => {
    await using pod = await framePod((end) => end.send(ping()), null);
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = http2Client(proxy.port);
    expect((await client.ask({ ':path': '/bad' })).status).toBe(502);
    expect(codeOf(await pod.connections[0]!.until(({ type }) => type === FRAME.goaway))).toBe(
      CODE.protocolError,
    );
  });
});

describe('what a pod may do', () => {
  const fine: Readonly<Record<string, Uint8Array>> = {
    'frames nobody knows': Buffer.concat([
      frame(0xbd, 0xff, 0),
      frame(10, 0, 1, Buffer.from('\0\0h2=":1"')),
      frame(12, 0, 0),
      response(1),
    ]),
    'PRIORITY, which means nothing': Buffer.concat([
      frame(FRAME.priority, 0, 1, Buffer.alloc(5)),
      response(1),
    ]),
    'padding everywhere': Buffer.concat([
      frame(
        FRAME.headers,
        FLAG.endHeaders | FLAG.padded,
        1,
        Buffer.concat([Buffer.from([3]), block([ok]), Buffer.alloc(3)]),
      ),
      frame(FRAME.data, FLAG.padded, 1, Buffer.from('\x02o\0\0', 'latin1')),
      frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, Buffer.from('\x01k\0', 'latin1')),
    ]),
    'a head in pieces': Buffer.concat([
      frame(FRAME.headers, 0, 1),
      ...[...block([ok])].map((octet) => frame(FRAME.continuation, 0, 1, Buffer.from([octet]))).slice(0, 4),
      frame(FRAME.continuation, FLAG.endHeaders, 1, block([ok]).subarray(4)),
      data(1, 'ok', true),
    ]),
    'a header block in every way there is': Buffer.concat([
      frame(
        FRAME.headers,
        FLAG.endHeaders,
        1,
        Buffer.concat([
          tableSize(0),
          tableSize(500),
          indexed(8),
          literal('indexing', 'x-a', 'b', 'huffman'),
          indexed(62),
          literal('never', 62, 'c'),
          literal('plain', 'x-d', ''),
        ]),
      ),
      data(1, 'ok', true),
    ]),
    'interim responses': Buffer.concat([
      headers(1, [[':status', '100']], FLAG.endHeaders),
      headers(
        1,
        [
          [':status', '103'],
          ['link', '</a>'],
        ],
        FLAG.endHeaders,
      ),
      response(1),
    ]),
    'empty DATA': Buffer.concat([
      responseHead(1),
      data(1, '', false),
      data(1, 'ok', false),
      data(1, '', false),
      data(1, '', true),
    ]),
    trailers: Buffer.concat([responseHead(1), data(1, 'ok', false), headers(1, [['x-sum', '2']])]),
    'RST_STREAM and WINDOW_UPDATE after the end': Buffer.concat([
      response(1),
      windowUpdate(1, 5),
      reset(1, CODE.noError),
      frame(FRAME.priority, 0, 1, Buffer.alloc(5)),
    ]),
    'the same cookie twice': response(1, 'ok', ['set-cookie', 'a=1'], ['set-cookie', 'a=1']),
  };
  for (const [what, bytes] of Object.entries(fine)) {
    it(what, async () => {
      await using pod = await badPod(bytes);
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
        h2c: true,
      });
      using client = http2Client(proxy.port);
      expect(await client.ask({ ':path': '/bad' })).toMatchObject({ status: 200, body: 'ok', code: 0 });
      expect(await client.ask({ ':path': '/ok' })).toMatchObject({ status: 200, body: 'ok' });
      expect(pod.connections).toHaveLength(1);
      expect(pod.connections[0]!.frames.filter(isEnd)).toEqual([]);
    });
  }

  it('PING is answered', async () => {
    await using pod = await badPod(Buffer.concat([ping('abcdefgh'), response(1)]));
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = http2Client(proxy.port);
    expect((await client.ask({ ':path': '/bad' })).status).toBe(200);
    const answer = await pod.connections[0]!.until(
      ({ type, flags }) => type === FRAME.ping && flags === FLAG.ack,
    );
    expect(answer.payload.toString()).toBe('abcdefgh');
  });
});
