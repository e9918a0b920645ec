import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

contract('limits', (behaves) => {
  behaves('414 for a long target, and one just below is served', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { requestLineBytes: 1024 },
    });
    using short = await rawClient(proxy.port);
    short.send(get(`/${'a'.repeat(900)}`));
    expect((await short.message()).status).toBe(200);
    using long = await rawClient(proxy.port);
    long.send(get(`/${'a'.repeat(1100)}`));
    const response = await long.message();
    expect(response.status).toBe(414);
    await long.ended;
    expect(upstream.requests).toHaveLength(1);
  });

  behaves('414 for a target that is longer than a whole head may be', async (create) => {
    const limits = { requestLineBytes: 1024, headBytes: 2048 };
    await using proxy = await startProxy(create, [], { limits });
    using client = await rawClient(proxy.port);
    client.send(get(`/${'a'.repeat(3000)}`));
    expect((await client.message()).status).toBe(414);
  });

  behaves('431 for a large head', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { headBytes: 4096 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/', ...Array.from({ length: 50 }, (_, i) => `X-${i}: ${'a'.repeat(100)}`)));
    expect((await client.message()).status).toBe(431);
    await client.ended;
    expect(upstream.requests).toHaveLength(0);
  });

  behaves('431 for a head that never ends', async (create) => {
    await using proxy = await startProxy(create, [], { limits: { headBytes: 4096 } });
    using client = await rawClient(proxy.port);
    client.send(`GET / HTTP/1.1\r\nX: ${'a'.repeat(8000)}`);
    expect((await client.message()).status).toBe(431);
    await client.ended;
  });

  behaves('431 for many fields', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { fieldCount: 20 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/', ...Array.from({ length: 19 }, (_, i) => `X-${i}: a`)));
    expect((await client.message()).status).toBe(200);
    client.send(get('/', ...Array.from({ length: 20 }, (_, i) => `X-${i}: a`)));
    expect((await client.message()).status).toBe(431);
  });

  behaves('408 for a head that does not come in time', async (create) => {
    await using proxy = await startProxy(create, [], { limits: { clientHeadTimeoutMs: 50 } });
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: app');
    expect((await client.message()).status).toBe(408);
    await client.ended;
  });

  behaves('408 for a body that does not come in time', async (create) => {
    await using upstream = await scriptedUpstream(() => undefined);
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { bodyIdleTimeoutMs: 50 },
    });
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhalf');
    expect((await client.message()).status).toBe(408);
    await client.ended;
    expect(await proxy.exchange(0)).toMatchObject({ status: 408, detail: 'request-timed-out' });
    for (const connection of upstream.connections) await connection.ended;
  });

  behaves('a slow upload is not cut while bytes come', async (create) => {
    await using upstream = await recordingUpstream();
    const limits = { upstreamIdleTimeoutMs: 400, bodyIdleTimeoutMs: 5_000 };
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], { limits });
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\n\r\n');
    // Longer in all than the upstream's idle time: it is the client who is awaited.
    for (const byte of 'body') {
      await new Promise((resolve) => setTimeout(resolve, 150));
      client.send(byte);
    }
    expect((await client.message()).status).toBe(200);
  });

  behaves('an idle connection is closed after its time, without a word', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { keepAliveIdleTimeoutMs: 50 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(200);
    await client.ended;
    expect(client.unread).toBe('');
  });

  behaves('the last request a connection may carry is answered with close', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { requestsPerConnection: 2 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).field('connection')?.toLowerCase()).not.toBe('close');
    client.send(get('/'));
    expect((await client.message()).field('connection')?.toLowerCase()).toBe('close');
    await client.ended;
  });

  behaves('connections beyond the limit are turned away while all others are busy', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { connections: 1 },
    });
    using first = await rawClient(proxy.port);
    first.send(request('POST', '/', '', 'Transfer-Encoding: chunked'));
    await (await upstream.connection(0)).until('POST /');
    using second = await rawClient(proxy.port);
    second.send(get('/'));
    await second.ended;
    first.send('0\r\n\r\n');
    expect((await first.message()).status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
  });
});

contract('accounting', (behaves) => {
  behaves('once per exchange, with what it was', async (create) => {
    await using upstream = await recordingUpstream('answer');
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    const before = Date.now();
    client.send(request('POST', '/path?query', 'body', 'X-Request-ID: my-id'));
    await client.message();
    const exchange = await proxy.exchange(0);
    // Read one by one: an engine may keep them behind getters.
    const { startedAt, durationMs, clientAddress, method, host, target, httpVersion, status, route } =
      exchange;
    const { endpoint, attempts, requestBytes, responseBytes, requestId, detail } = exchange;
    const from = { startedAt, durationMs, clientAddress, method, host, target, httpVersion };
    const to = { status, route, endpoint, attempts, requestBytes, responseBytes, requestId, detail };
    expect({ ...from, ...to }).toEqual({
      startedAt: expect.any(Number),
      durationMs: expect.any(Number),
      clientAddress: '127.0.0.1',
      method: 'POST',
      host: 'app.test',
      target: '/path?query',
      httpVersion: '1.1',
      status: 200,
      route: expect.objectContaining({ ingress: 'default/app.test' }),
      endpoint: upstream.address,
      attempts: 1,
      requestBytes: 4,
      responseBytes: 6,
      requestId: 'my-id',
      detail: '',
    });
    expect(exchange.startedAt).toBeGreaterThanOrEqual(before);
    expect(exchange.durationMs).toBeGreaterThanOrEqual(0);
    expect(proxy.engine.gauges()).toMatchObject({
      inFlight: 0,
      clientConnections: 1,
      upstreamConnections: 1,
    });
  });

  behaves('as many times as there were requests, over one connection', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/1') + get('/2') + get('/3'));
    for (let i = 0; i < 3; i++) await client.message();
    await proxy.exchange(2);
    expect(proxy.exchanges.map(({ target }) => target)).toEqual(['/1', '/2', '/3']);
  });

  behaves('the client behind a trusted proxy is the client', async (create) => {
    await using upstream = await recordingUpstream();
    const trustedProxies = ['127.0.0.1', '10.0.0.0/8'];
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], { trustedProxies });
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.2.3.4'));
    await client.message();
    expect((await proxy.exchange(0)).clientAddress).toBe('9.9.9.9');
  });

  behaves('a message that is refused is accounted with its status', async (create) => {
    await using proxy = await startProxy(create, []);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
    expect((await client.message()).status).toBe(400);
    expect(await proxy.exchange(0)).toMatchObject({
      status: 400,
      detail: expect.stringMatching(/^bad-host\b/),
      route: null,
    });
    using broken = await rawClient(proxy.port);
    broken.send('nonsense\r\n\r\n');
    const { status } = await broken.message();
    expect(await proxy.exchange(1)).toMatchObject({ status, route: null });
    expect(proxy.exchanges).toHaveLength(2);
  });

  behaves('a body that turns out to be malformed is accounted as that', async (create) => {
    await using upstream = await scriptedUpstream(() => undefined);
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n');
    const connection = await upstream.connection(0);
    await connection.until('start');
    client.send('nonsense');
    expect((await client.message()).status).toBe(400);
    expect(await proxy.exchange(0)).toMatchObject({
      status: 400,
      target: '/',
      detail: expect.stringMatching(/^bad-framing\b/),
    });
    await connection.ended;
    expect(connection.text).not.toContain('\r\n0\r\n');
  });
});
