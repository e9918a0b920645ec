import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { fullPort } from '../../support/full-port.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const NONE = { connectMs: null, sendMs: null, readMs: null };
const UPGRADE = ['GET / HTTP/1.1', 'Host: app.test', 'Connection: Upgrade', 'Upgrade: chat', '', ''].join(
  '\r\n',
);

contract('timeouts of a route', (behaves) => {
  behaves('504 when the Pod says nothing for the read timeout', async (create) => {
    await using upstream = await scriptedUpstream(() => undefined);
    const policies = { timeouts: { ...NONE, readMs: 100 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(504);
    expect(await proxy.exchange(0)).toMatchObject({ status: 504, detail: 'upstream-timed-out' });
  });

  behaves(
    'a read timeout that is longer than that of the flags holds for its route alone',
    async (create) => {
      const { promise: told, resolve: tell } = Promise.withResolvers<void>();
      await using silent = await scriptedUpstream(() => undefined);
      await using slow = await scriptedUpstream(async (connection) => {
        await connection.head();
        await told;
        connection.send(ok('at last'));
      });
      const policies = { timeouts: { ...NONE, readMs: 60_000 } };
      const sites = [{ ports: [silent.port] }, { host: 'slow.test', ports: [slow.port], policies }];
      await using proxy = await startProxy(create, sites, { limits: { upstreamIdleTimeoutMs: 50 } });
      using patient = await rawClient(proxy.port);
      patient.send(get('/').replace('app.test', 'slow.test'));
      await slow.connection(0);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(504);
      tell();
      expect(await patient.message()).toMatchObject({ status: 200, body: 'at last' });
    },
  );

  behaves('a response that stops for the read timeout is cut', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    const policies = { timeouts: { ...NONE, readMs: 100 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    // On a busy machine the time may be over before the response begins: that is 504, and is asked again.
    let received = '504';
    while (/^(?:HTTP\/1\.1 )?504/.test(received)) {
      using client = await rawClient(proxy.port);
      client.send(get('/', 'Connection: close'));
      await client.ended;
      received = client.unread;
    }
    expect(received).toMatch(/^HTTP\/1\.1 200 [^]*half$/);
  });

  behaves('504 when there is no connection within the connect timeout', async (create) => {
    await using port = await fullPort();
    const policies = { timeouts: { ...NONE, connectMs: 100 } };
    const sites = [{ ports: [port.port], policies }];
    await using proxy = await startProxy(create, sites, { limits: { connectTimeoutMs: 600_000 } });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(504);
    expect(await proxy.exchange(0)).toMatchObject({ detail: 'upstream-connect-timed-out' });
  });

  behaves(
    'an endpoint that is not reached has its share of it, and the next one is tried',
    async (create) => {
      await using port = await fullPort();
      await using upstream = await recordingUpstream('other');
      const policies = { timeouts: { ...NONE, connectMs: 600 } };
      const sites = [{ ports: [port.port, upstream.port], policies }];
      await using proxy = await startProxy(create, sites, { limits: { connectTimeoutMs: 600_000 } });
      using client = await rawClient(proxy.port);
      for (let i = 0; i < 2; i++) {
        client.send(get('/'));
        expect(await client.message()).toMatchObject({ status: 200, body: 'other' });
      }
    },
  );

  behaves('504 when the Pod takes nothing of a request for the send timeout', async (create) => {
    await using upstream = await scriptedUpstream((connection) => void connection.socket.pause());
    const policies = { timeouts: { ...NONE, sendMs: 200 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'x'.repeat(16_000_000)));
    expect((await client.message()).status).toBe(504);
  });

  behaves('504 when there is no complete response in the time of the request', async (create) => {
    await using silent = await scriptedUpstream(() => undefined);
    await using endless = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    const policies = { 'request-timeout': { totalMs: 100, attemptMs: null } };
    const ofAttempt = { 'request-timeout': { totalMs: null, attemptMs: 100 } };
    const sites = [
      { ports: [silent.port], policies },
      { host: 'attempt.test', ports: [silent.port], policies: ofAttempt },
      { host: 'endless.test', ports: [endless.port], policies: ofAttempt },
    ];
    await using proxy = await startProxy(create, sites);
    for (const host of ['app.test', 'attempt.test']) {
      using client = await rawClient(proxy.port);
      client.send(get('/').replace('app.test', host));
      expect((await client.message()).status).toBe(504);
    }
    using client = await rawClient(proxy.port);
    client.send(get('/').replace('app.test', 'endless.test'));
    await client.ended;
    expect(client.unread).toMatch(/half$/);
  });

  behaves('the time of a request ends when it becomes a tunnel', async (create) => {
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
      await told;
      connection.send('still here');
    });
    await using silent = await scriptedUpstream(() => undefined);
    const policies = { 'request-timeout': { totalMs: 100, attemptMs: 100 } };
    const sites = [
      { ports: [upstream.port], policies },
      { host: 'silent.test', ports: [silent.port], policies },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    expect((await client.head()).status).toBe(101);
    // As long as the time for a request, and begun after it.
    using other = await rawClient(proxy.port);
    other.send(get('/').replace('app.test', 'silent.test'));
    expect((await other.message()).status).toBe(504);
    tell();
    await client.until('still here');
  });

  behaves('a tunnel that is silent for the read timeout is closed', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
    });
    const policies = { timeouts: { ...NONE, readMs: 100 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(UPGRADE);
    expect((await client.head()).status).toBe(101);
    await client.ended;
  });
});
