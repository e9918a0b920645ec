import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

contract('answers of the proxy itself', (behaves) => {
  behaves('404 for a host without a route, and the connection goes on', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET /<script> HTTP/1.1\r\nHost: other.test\r\n\r\n');
    const response = await client.message();
    expect(response.status).toBe(404);
    expect(response.field('content-type')).toMatch(/^text\/plain/);
    expect(response.body).toContain('no route');
    expect(response.body).not.toContain('script');
    client.send(get('/'));
    expect((await client.message()).status).toBe(200);
    const exchange = await proxy.exchange(0);
    expect(exchange).toMatchObject({
      status: 404,
      host: 'other.test',
      route: null,
      attempts: 0,
      detail: 'no-route',
    });
  });

  behaves('JSON for a client that asks for it', async (create) => {
    await using proxy = await startProxy(create, []);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Accept: application/json'));
    const response = await client.message();
    expect(response.field('content-type')).toBe('application/json');
    expect(JSON.parse(response.body)).toMatchObject({ status: 404, reason: 'no-route' });
  });

  behaves('no body for HEAD', async (create) => {
    await using proxy = await startProxy(create, []);
    using client = await rawClient(proxy.port);
    client.send(request('HEAD', '/', ''));
    const head = await client.message({ toHead: true });
    expect(head.status).toBe(404);
    client.send(get('/'));
    expect((await client.message()).status).toBe(404);
    expect(client.unread).toBe('');
  });

  behaves('404 to a POST leaves the connection in order', async (create) => {
    await using proxy = await startProxy(create, []);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n'));
    expect((await client.message()).status).toBe(404);
    client.send(get('/'));
    expect((await client.message()).status).toBe(404);
    expect(proxy.exchanges.map(({ method, target }) => `${method} ${target}`)).toEqual(['POST /', 'GET /']);
  });

  behaves('503 for a backend that is unavailable', async (create) => {
    await using proxy = await startProxy(create, [{ ports: [], unavailable: 'no-endpoints' }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(503);
    const exchange = await proxy.exchange(0);
    expect(exchange).toMatchObject({ status: 503, detail: 'backend-unavailable' });
    expect(exchange.route?.ingress).toBe('default/app.test');
  });

  behaves('502 when every endpoint refuses', async (create) => {
    await using proxy = await startProxy(create, [{ ports: [await unusedPort()] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(502);
    expect(await proxy.exchange(0)).toMatchObject({
      status: 502,
      detail: 'upstream-refused: ECONNREFUSED',
      attempts: 3,
      connectFailures: ['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED'],
      upstreams: [1, 2, 3].map(() => ({ status: 0, failure: 'refused', connectMs: null, headMs: null })),
    });
  });

  for (const [what, bytes] of [
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['a bad status line', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
    ['two lengths that differ', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'a length and a coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a coding that is not chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a field name with a space', 'HTTP/1.1 200 OK\r\nContent Length: 0\r\n\r\n'],
    ['a NUL in a field', 'HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n'],
    [
      'an upgrade nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    ],
  ] as const) {
    behaves(`502 for an upstream that sends ${what}`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send(bytes);
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(502);
      const detail = expect.stringMatching(/^upstream-protocol-error\b/);
      expect(await proxy.exchange(0)).toMatchObject({ status: 502, detail });
      await (
        await upstream.connection(0)
      ).ended;
    });
  }

  behaves('504 for an upstream that does not answer', async (create) => {
    await using upstream = await scriptedUpstream(() => undefined);
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { upstreamIdleTimeoutMs: 50 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(504);
    expect(await proxy.exchange(0)).toMatchObject({ status: 504, detail: 'upstream-timed-out', attempts: 1 });
    await (
      await upstream.connection(0)
    ).ended;
    expect(upstream.connections).toHaveLength(1);
  });

  for (const method of ['CONNECT', 'TRACE']) {
    behaves(`405 for ${method}`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(
        `${method} ${method === 'CONNECT' ? 'app.test:443' : '/'} HTTP/1.1\r\nHost: app.test\r\n\r\n`,
      );
      const response = await client.message();
      expect(response.status).toBe(405);
      expect(response.field('allow')).toContain('GET');
      expect(upstream.connections).toHaveLength(0);
    });
  }
});
