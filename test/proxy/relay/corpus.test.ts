import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { rawClient } from '../../support/raw-client.ts';
import { type RecordingUpstream, ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { REFUSED_BODIES } from './corpus/bodies.ts';
import { REFUSED_HEADS } from './corpus/heads.ts';
import { REFUSED_RESPONSES } from './corpus/responses.ts';

/** What an attacker wants to be read as a request of its own. */
const INNER = 'GET /inner HTTP/1.1\r\nHost: a.test\r\n\r\n';
const LIMITS = { headBytes: 1024, fieldCount: 8 };
/** Bodies are refused by smaller limits in the unit test. */
const WITHIN_THESE_LIMITS = new Set(['too many trailers', 'endless trailers']);

describe('whatever is wrong with a request, no pod sees a request that was not asked for', () => {
  let upstream: RecordingUpstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    upstream = await recordingUpstream();
    const hosts = ['a', 'a.test'];
    proxy = await startProxy(
      nativeEngine,
      hosts.map((host) => ({ host, ports: [upstream.port] })),
      { limits: LIMITS },
    );
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  test.each(REFUSED_HEADS)('$name', async ({ head, status, fault }) => {
    const before = proxy.exchanges.length;
    using client = await rawClient(proxy.port);
    client.send(head + INNER);
    const response = await client.message();
    expect(response.status).toBe(status);
    expect(response.field('connection')).toBe('close');
    expect(proxy.exchanges[before]?.detail.split(': ').at(-1)).toBe(fault);
    await client.ended;
    expect(client.unread).toBe('');
    expect(upstream.requests).toEqual([]);
    expect(upstream.leftover()).toBe('');
  });

  test.each(REFUSED_BODIES.filter(({ name }) => !WITHIN_THESE_LIMITS.has(name)))(
    'a chunked body with $name',
    async ({ body }) => {
      using client = await rawClient(proxy.port);
      client.send(`POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${body}${INNER}`);
      expect((await client.message()).status).toBe(400);
      await client.ended;
      expect(client.unread).toBe('');
      expect(upstream.requests).toEqual([]);
      for (const { text } of upstream.connections) expect(text).not.toContain('/inner');
    },
  );

  test.each(REFUSED_BODIES.filter(({ name }) => !WITHIN_THESE_LIMITS.has(name)))(
    'a chunked body that is streamed already, with $name',
    async ({ body }) => {
      const before = upstream.connections.length;
      using client = await rawClient(proxy.port);
      client.send('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
      const pod = await upstream.connection(before);
      await pod.until('abc');
      client.send(body + INNER);
      expect((await client.message()).status).toBe(400);
      await client.ended;
      await pod.ended;
      expect(pod.text).not.toContain('/inner');
      expect(pod.text).not.toContain('\r\n0\r\n');
      expect(upstream.requests).toEqual([]);
    },
  );
});

describe('whatever is wrong with a response, the client gets 502 and nothing of it', () => {
  test.each(REFUSED_RESPONSES)('$name', async ({ head, fault }) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`${head}poison`);
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], { limits: LIMITS });
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.message()).status).toBe(502);
    expect(client.text).not.toContain('poison');
    const detail = `upstream-protocol-error: ${fault}`;
    expect(await proxy.exchange(0)).toMatchObject({ status: 502, detail, attempts: 1 });
    await (
      await upstream.connection(0)
    ).ended;
  });

  const refusedOfPods = REFUSED_BODIES.filter(({ readFromPods }) => !readFromPods);
  test.each(refusedOfPods)('a chunked body with $name never comes to its end', async ({ body, fault }) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
      await connection.ended;
      connection.end();
    });
    const limits = { headBytes: 256, fieldCount: 8 };
    await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], { limits });
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    const exchange = await proxy.exchange(0);
    if (body.startsWith('0\r\nX: a\r\nX: a')) return expect(exchange.detail).toBe('');
    expect(exchange.detail).toBe(`upstream-protocol-error: ${fault}`);
    await client.ended;
    expect(client.text).not.toContain('0\r\n\r\n');
  });

  test('bytes after a response are not the response to the next request', async () => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head();
      connection.send(ok(index === 0 ? 'first' : 'second') + (index === 0 ? ok('poison') : ''));
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (const body of ['first', 'second']) {
      client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
      expect((await client.message()).body).toBe(body);
    }
    expect(upstream.connections).toHaveLength(2);
  });

  test('an idle connection that speaks is closed, and what it said is no response', async () => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head();
      connection.send(ok(index === 0 ? 'first' : 'second'));
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.message()).body).toBe('first');
    const idle = await upstream.connection(0);
    idle.send(ok('poison'));
    await idle.ended;
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect((await client.message()).body).toBe('second');
  });

  test('a pod that goes on with 1xx for ever is given up', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(50));
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
    expect(await proxy.exchange(0)).toMatchObject({
      status: 502,
      detail: 'upstream-protocol-error: too-many-interims',
    });
  });
});
