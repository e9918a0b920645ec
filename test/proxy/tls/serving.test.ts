import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { until } from '../../support/until.ts';
import { WebSocket, WebSocketServer } from 'ws';
import { contract } from '../../support/engines.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

const keys = {
  'shop/precise': authority().issue(['app.test']),
  'shop/wildcard': authority().issue(['*.wild.test']),
  'shop/default': authority().issue(['default.test']),
  'shop/expired': authority().issue(['expired.test'], { expired: true }),
};

contract('TLS', (behaves) => {
  behaves('a request over TLS reaches the pod, which is told how it came', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/precise' }], {
      keys,
    });
    using client = await secureClient(proxy.httpsPort, 'app.test', {
      ca: authority().certificate,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
    });
    expect([client.socket.authorized, client.socket.alpnProtocol]).toEqual([true, 'http/1.1']);
    for (const body of ['', 'x'.repeat(200_000)]) {
      client.wire.send(request('POST', '/a?b', body));
      expect((await client.wire.message()).body).toBe('ok');
    }
    const [first] = upstream.requests;
    expect(first?.field('x-forwarded-proto')).toBe('https');
    expect(first?.field('x-forwarded-port')).toBe(String(proxy.httpsPort));
    expect(first?.field('x-forwarded-for')).toBe('127.0.0.1');
    expect(upstream.requests[1]?.body).toHaveLength(200_000);
    expect(proxy.engine.gauges().clientConnections).toBe(1);
    expect(proxy.exchanges[0]?.connectionInfo.handshake).toEqual({
      version: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_/),
      serverName: 'app.test',
    });
  });

  behaves(
    'AUTO_HTTP: TLS goes on to the pod for clients that come with TLS, and for no others',
    async (create) => {
      await using pod = await recordingUpstream();
      const tls = createServer({ cert: keys['shop/default'].certificate, key: keys['shop/default'].key });
      tls.on('secureConnection', (socket) => socket.once('data', () => socket.end(ok('by TLS'))));
      tls.listen(0, '127.0.0.1');
      await happens(tls, 'listening');
      const policies = {
        'backend-transport': { protocol: 'auto_http', serverName: null, caCertificates: null },
      } as const;
      const at = (port: number) => [{ ports: [port], secret: 'shop/precise', policies }];
      await using proxy = await startTlsProxy(create, at(pod.port), { keys });
      // What another proxy says of its client does not count: nginx goes by the connection, too.
      using plain = await rawClient(proxy.httpPort);
      plain.send(get('/', 'X-Forwarded-Proto: https'));
      expect((await plain.message()).status).toBe(200);
      proxy.adopt(at((tls.address() as AddressInfo).port));
      using secure = await secureClient(proxy.httpsPort, 'app.test');
      secure.wire.send(get('/'));
      expect((await secure.wire.message()).body).toBe('by TLS');
      tls.close();
    },
  );

  behaves('a client that wants to negotiate again is closed', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/precise' }], {
      keys,
    });
    using client = await secureClient(proxy.httpsPort, 'app.test', { maxVersion: 'TLSv1.2' });
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
    client.socket.renegotiate({ rejectUnauthorized: false }, () => undefined);
    await happens(client.socket, 'close');
    await until(() => proxy.engine.gauges().clientConnections === 0, 'the connection is gone');
  });

  behaves('the certificate is chosen by the name asked for: precise, wildcard, default', async (create) => {
    await using proxy = await startTlsProxy(
      create,
      [
        { ports: [], secret: 'shop/precise' },
        { ports: [], host: 'a.wild.test', tlsHost: '*.wild.test', secret: 'shop/wildcard' },
        { ports: [], host: 'bad.wild.test', secret: null },
        { ports: [], host: 'bad.test', secret: null },
        { ports: [], host: 'gone.test', secret: 'shop/gone' },
        { ports: [], host: 'expired.test', secret: 'shop/expired' },
      ],
      { keys, defaultSecret: 'shop/default' },
    );
    const shown = async (name: string | null): Promise<string> => {
      using client = await secureClient(proxy.httpsPort, name);
      return client.shown;
    };
    expect(await shown('app.test')).toBe('app.test');
    expect(await shown('APP.test.')).toBe('app.test');
    expect(await shown('a.wild.test')).toBe('*.wild.test');
    expect(await shown('bad.wild.test')).toBe('*.wild.test');
    expect(await shown('b.a.wild.test')).toBe('default.test');
    expect(await shown('wild.test')).toBe('default.test');
    expect(await shown('bad.test')).toBe('default.test');
    expect(await shown('gone.test')).toBe('default.test');
    expect(await shown('other.test')).toBe('default.test');
    expect(await shown(null)).toBe('default.test');
    expect(await shown('expired.test')).toBe('expired.test');
    proxy.certificates.change([['shop/default', null]]);
    expect(await shown(null)).toBe('self-signed.test');
  });

  behaves('the Host field decides the route, whatever name the certificate was chosen by', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/precise' }], {
      keys,
    });
    using client = await secureClient(proxy.httpsPort, 'other.test');
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
  });

  behaves('a new certificate is shown to the next handshake; open connections go on', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(
      create,
      [{ ports: [upstream.port], host: 'app.test', secret: 'shop/precise' }],
      { keys },
    );
    using before = await secureClient(proxy.httpsPort, 'app.test');
    before.wire.send(get('/'));
    await before.wire.message();
    proxy.certificates.change([['shop/precise', keys['shop/wildcard']]]);
    using after = await secureClient(proxy.httpsPort, 'app.test');
    expect([before.shown, after.shown]).toEqual(['app.test', '*.wild.test']);
    before.wire.send(get('/again'));
    expect((await before.wire.message()).status).toBe(200);
  });

  behaves('a session is resumed until the ticket key is another', async (create) => {
    await using proxy = await startTlsProxy(create, [{ ports: [], secret: 'shop/precise' }], { keys });
    const resume = async (session?: Buffer): Promise<[reused: boolean, session: Buffer | undefined]> => {
      using client = await secureClient(proxy.httpsPort, 'app.test', {
        maxVersion: 'TLSv1.2',
        ...(session && { session }),
      });
      return [client.socket.isSessionReused(), client.socket.getSession()];
    };
    const [, session] = await resume();
    expect((await resume(session))[0]).toBe(true);
    proxy.certificates.change([['shop/precise', keys['shop/wildcard']]]);
    expect((await resume(session))[0]).toBe(true);
    proxy.certificates.rotate(randomBytes(48));
    const [reused, next] = await resume(session);
    expect(reused).toBe(false);
    expect((await resume(next))[0]).toBe(true);
  });

  behaves('plain HTTP on the TLS port is told so', async (create) => {
    await using proxy = await startTlsProxy(create, [], { keys });
    using client = await rawClient(proxy.httpsPort);
    client.send(get('/'));
    const response = await client.message();
    expect(response.status).toBe(400);
    expect(response.body).toContain('plain HTTP was sent to the HTTPS port');
    expect(await client.ended).toBe('end');
    expect(proxy.exchanges).toMatchObject([{ status: 400, detail: 'tls-expected' }]);
  });

  behaves('a TLS handshake on the plain port is a malformed request', async (create) => {
    await using proxy = await startTlsProxy(create, [], { keys });
    await expect(secureClient(proxy.httpPort, 'app.test')).rejects.toThrow();
  });

  behaves(
    'TLS 1.1 and ciphers without forward secrecy are refused, 1.2 and 1.3 are spoken',
    async (create) => {
      await using proxy = await startTlsProxy(create, [], { keys });
      const version = async (name: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3', ciphers?: string) => {
        const limits = { minVersion: name, maxVersion: name } as const;
        using client = await secureClient(proxy.httpsPort, 'app.test', {
          ...limits,
          ...(ciphers !== undefined && { ciphers }),
        });
        return client.socket.getProtocol();
      };
      await expect(version('TLSv1.1', 'DEFAULT@SECLEVEL=0')).rejects.toThrow(/alert|version/i);
      await expect(version('TLSv1.2', 'AES128-SHA')).rejects.toThrow(/alert|handshake/i);
      expect(await version('TLSv1.2')).toBe('TLSv1.2');
      expect(await version('TLSv1.3')).toBe('TLSv1.3');
    },
  );

  behaves('at the limit of handshakes, the oldest gives way to a new one', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], {
      keys,
      limits: { handshakes: 3 },
    });
    using first = await rawClient(proxy.httpsPort);
    const others = await Promise.all([1, 2, 3, 4].map(() => rawClient(proxy.httpsPort)));
    await first.ended;
    await others[0]?.ended;
    using client = await secureClient(proxy.httpsPort, 'app.test');
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
    await others[1]?.ended;
    expect(proxy.engine.gauges().clientConnections).toBe(1);
    for (const other of others) other.reset();
  });

  behaves(
    'a client that opens many connections ends its own, and no handshake of another',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/precise' }], {
        keys,
        limits: { handshakes: 4 },
      });
      const carrier = connect({ port: proxy.httpsPort, host: '127.0.0.1', localAddress: '127.0.0.2' });
      await happens(carrier, 'connect');
      const flood = await Promise.all(Array.from({ length: 40 }, () => rawClient(proxy.httpsPort)));
      await until(() => proxy.handshakes.totals().failed['no-room'] === 37, 'all but three have given way');
      using client = await secureClient(proxy.httpsPort, 'app.test', { socket: carrier });
      client.wire.send(get('/'));
      expect((await client.wire.message()).status).toBe(200);
      for (const each of flood) each.reset();
    },
  );

  behaves('a burst of connections stays within the limit, too', async (create) => {
    await using proxy = await startTlsProxy(create, [], { keys, limits: { handshakes: 4 } });
    const burst = await Promise.all(Array.from({ length: 40 }, () => rawClient(proxy.httpsPort)));
    let over = 0;
    const most = Promise.withResolvers<void>();
    for (const client of burst) void client.ended.then(() => ++over === 36 && most.resolve());
    await most.promise;
    expect(proxy.engine.gauges().clientConnections).toBeLessThanOrEqual(4);
    for (const client of burst) client.reset();
  });

  behaves('a handshake that does not end is ended', async (create) => {
    await using proxy = await startTlsProxy(create, [], { keys, limits: { handshakeTimeoutMs: 50 } });
    using silent = await rawClient(proxy.httpsPort);
    using slow = await rawClient(proxy.httpsPort);
    slow.send(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
    using broken = await rawClient(proxy.httpsPort);
    broken.send(Buffer.from([0x16, 0x03, 0x01, 0x00, 0x04, 0xff, 0xff, 0xff, 0xff]));
    await Promise.all([silent.ended, slow.ended, broken.ended]);
    expect(proxy.engine.gauges()).toMatchObject({ clientConnections: 0, inFlight: 0 });
  });

  behaves('a client that ends its side within its handshake is gone at once', async (create) => {
    await using proxy = await startTlsProxy(create, [], { keys, limits: { handshakeTimeoutMs: 3_600_000 } });
    const client = connect({ port: proxy.httpsPort, host: '127.0.0.1', allowHalfOpen: true });
    client.end(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
    await until(() => Object.keys(proxy.handshakes.totals().failed).length > 0, 'it is counted');
    expect(proxy.handshakes.totals().failed).toEqual({ 'client-gone': 1 });
    client.destroy();
  });

  behaves('a record that is none ends the connection after the handshake, too', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], { keys });
    const carrier = connect(proxy.httpsPort, '127.0.0.1');
    await happens(carrier, 'connect');
    using client = await secureClient(proxy.httpsPort, 'app.test', { socket: carrier });
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
    carrier.write(Buffer.alloc(64, 0x17));
    await client.wire.ended;
    await client.wire.closed;
    await until(() => proxy.engine.gauges().clientConnections === 0);
  });

  behaves('a body that stops short looks short over TLS too', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nall there is\r\n');
    });
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], { keys });
    using client = await secureClient(proxy.httpsPort, 'app.test');
    client.wire.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    await client.wire.until('all there is');
    (await upstream.connection(0)).reset();
    expect(await client.wire.ended).toBe('reset');
  });

  behaves('drain finishes what is under way over TLS, and lets idle clients go', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
    });
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], { keys });
    using idle = await secureClient(proxy.httpsPort, 'app.test');
    idle.wire.send(get('/none', 'Host: other'));
    await idle.wire.message();
    using half = await rawClient(proxy.httpsPort);
    using busy = await secureClient(proxy.httpsPort, 'app.test');
    busy.wire.send(get('/busy'));
    const pod = await upstream.connection(0);
    await pod.until('/busy');
    const drained = proxy.engine.drain(30_000);
    await idle.wire.ended;
    await half.ended;
    const refused = connect(proxy.httpsPort, '127.0.0.1');
    expect(await happens(refused, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
    pod.send(ok('finished'));
    const response = await busy.wire.message();
    expect(response.body).toBe('finished');
    expect(response.field('connection')?.toLowerCase()).toBe('close');
    expect(await drained).toBe(0);
  });

  behaves('WebSockets over TLS stay open while certificates change', async (create) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await happens(server, 'listening');
    server.on('connection', (socket, { headers }) => {
      socket.on('message', (message, binary) => socket.send(message, { binary }));
      socket.send(String(headers['x-forwarded-proto']));
    });
    const { port } = server.address() as AddressInfo;
    await using proxy = await startTlsProxy(create, [{ ports: [port], secret: 'shop/precise' }], { keys });
    const client = new WebSocket(`wss://127.0.0.1:${proxy.httpsPort}/chat`, {
      headers: { Host: 'app.test' },
      ...({ servername: 'app.test', ca: authority().certificate } as object),
    });
    const [greeting] = (await happens(client, 'message')) as [Buffer];
    expect(greeting.toString()).toBe('https');
    proxy.certificates.change([['shop/precise', keys['shop/wildcard']]]);
    const big = Buffer.alloc(300_000, 'w');
    client.send(big);
    const [echo] = (await happens(client, 'message')) as [Buffer];
    expect(echo.equals(big)).toBe(true);
    expect(proxy.engine.gauges().tunnels).toBe(1);
    client.close();
    await happens(client, 'close');
    server.close();
  });
});
