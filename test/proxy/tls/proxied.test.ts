import { connect } from 'node:net';
import { once } from 'node:events';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';

const keys = { 'shop/app': authority().issue(['app.test']) };
const V1 = 'PROXY TCP4 192.0.2.7 198.51.100.2 56324 4430\r\n';
const V2 = Buffer.concat([
  Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c', 'latin1'),
  Buffer.from([192, 0, 2, 7, 198, 51, 100, 2, 0xdc, 0x04, 0x11, 0x4e]),
]);

contract('PROXY protocol', (behaves) => {
  for (const [version, header] of [
    ['v1', Buffer.from(V1)],
    ['v2', V2],
  ] as const) {
    behaves(`${version} from a peer that may: the client is who it says, on both ports`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
        keys,
        proxyProtocolFrom: ['127.0.0.0/8'],
      });
      using whole = await rawClient(proxy.httpPort);
      whole.send(Buffer.concat([header, Buffer.from(get('/'))]));
      expect((await whole.message()).status).toBe(200);
      whole.send(get('/second'));
      expect((await whole.message()).status).toBe(200);

      using split = await rawClient(proxy.httpPort);
      for (const byte of header) split.send(Buffer.from([byte]));
      split.send(get('/split'));
      expect((await split.message()).status).toBe(200);

      const carrier = connect(proxy.httpsPort, '127.0.0.1');
      await once(carrier, 'connect');
      carrier.write(header);
      using client = await secureClient(proxy.httpsPort, 'app.test', { socket: carrier });
      client.wire.send(get('/tls'));
      expect((await client.wire.message()).status).toBe(200);

      expect(upstream.requests.map((request) => request.values('x-forwarded-for'))).toEqual(
        Array.from({ length: 4 }, () => ['192.0.2.7']),
      );
      expect(upstream.requests.map((request) => request.field('x-forwarded-port'))).toEqual(
        Array(4).fill('4430'),
      );
      expect(upstream.requests[3]?.field('x-forwarded-proto')).toBe('https');
      expect(proxy.exchanges.map(({ clientAddress }) => clientAddress)).toEqual(Array(4).fill('192.0.2.7'));
    });
  }

  behaves('such a peer may leave it out, and a load balancer may speak for itself', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], {
      keys,
      proxyProtocolFrom: ['127.0.0.1'],
    });
    for (const start of ['', 'PROXY UNKNOWN\r\n', '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0']) {
      using client = await rawClient(proxy.httpPort);
      client.send(start + get('/'));
      expect((await client.message()).status).toBe(200);
    }
    using secure = await secureClient(proxy.httpsPort, 'app.test');
    secure.wire.send(get('/'));
    expect((await secure.wire.message()).status).toBe(200);
    expect(upstream.requests.map((request) => request.field('x-forwarded-for'))).toEqual(
      Array(4).fill('127.0.0.1'),
    );
  });

  behaves('of anybody else it is a malformed request', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], {
      keys,
      proxyProtocolFrom: ['10.0.0.0/8'],
    });
    for (const header of [Buffer.from(V1), V2]) {
      using client = await rawClient(proxy.httpPort);
      client.send(Buffer.concat([header, Buffer.from(get('/'))]));
      // To Node's parser the first word is a method that it does not know.
      expect([400, 501]).toContain((await client.message()).status);
      using tls = await rawClient(proxy.httpsPort);
      tls.send(header);
      expect((await tls.message()).status).toBe(400);
    }
    expect(upstream.requests).toHaveLength(0);
  });

  behaves('a broken or unfinished header ends the connection without a word', async (create) => {
    await using proxy = await startTlsProxy(create, [], {
      keys,
      proxyProtocolFrom: ['127.0.0.1'],
      limits: { handshakeTimeoutMs: 100 },
    });
    for (const start of ['PROXY TCP4 nonsense\r\n', 'PROXY TCP4 192.0', '']) {
      using client = await rawClient(proxy.httpPort);
      client.send(start);
      await client.ended;
      expect(client.text).toBe('');
    }
    expect(proxy.exchanges).toHaveLength(0);
  });

  behaves('the client it names is the one that must be trusted', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port] }], {
      keys,
      proxyProtocolFrom: ['127.0.0.1'],
      trustedProxies: ['127.0.0.1'],
    });
    using client = await rawClient(proxy.httpPort);
    client.send(V1 + get('/', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https'));
    await client.message();
    expect(upstream.requests[0]?.values('x-forwarded-for')).toEqual(['192.0.2.7']);
    expect(upstream.requests[0]?.field('x-forwarded-proto')).toBe('http');
  });
});
