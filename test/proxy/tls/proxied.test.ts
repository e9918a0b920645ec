import { connect } from 'node:net';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { type RawClient, get, rawClient } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';
import { happens, until } from '../../support/until.ts';

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
      await happens(carrier, 'connect');
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

  behaves(
    'whose handshake gives way to others is told by the header, not by the load balancer',
    async (create) => {
      await using proxy = await startTlsProxy(create, [], {
        keys,
        proxyProtocolFrom: ['127.0.0.1'],
        limits: { handshakes: 4 },
      });
      const other = await rawClient(proxy.httpsPort);
      other.send('PROXY TCP4 192.0.2.8 198.51.100.2 56324 443\r\n');
      const flood: RawClient[] = [];
      for (let n = 0; n < 20; n++) {
        const client = await rawClient(proxy.httpsPort);
        client.send(V1);
        flood.push(client);
      }
      await until(() => proxy.handshakes.totals().failed['no-room'] === 17, 'the others have given way');
      other.send(Buffer.from([0x16, 0x03, 0x01, 0x00, 0x04, 0xff, 0xff, 0xff, 0xff]));
      await other.ended;
      expect(proxy.handshakes.totals().failed['no-room']).toBe(17);
      // A TLS alert, and not a connection that was closed without a word.
      expect(other.text.charCodeAt(0)).toBe(0x15);
      for (const client of flood) client.reset();
    },
  );

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

  behaves(
    'a trusted peer is believed although the header names somebody else, and nobody else is',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
        keys,
        redirect: { port: 443 },
        proxyProtocolFrom: ['127.0.0.1'],
        trustedProxies: ['127.0.0.1'],
      });
      const fields = ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: https'];
      using client = await rawClient(proxy.httpPort);
      client.send(V1 + get('/', ...fields));
      expect((await client.message()).status).toBe(200);
      expect(upstream.requests[0]?.values('x-forwarded-for')).toEqual(['192.0.2.7, 192.0.2.7']);
      expect(upstream.requests[0]?.field('x-forwarded-proto')).toBe('https');
      expect(upstream.requests[0]?.field('x-real-ip')).toBe('192.0.2.7');

      // The address in the header is one that would be trusted as a peer.
      await using other = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
        keys,
        redirect: { port: 443 },
        proxyProtocolFrom: ['127.0.0.1'],
        trustedProxies: ['192.0.2.0/24'],
      });
      using spoofing = await rawClient(other.httpPort);
      spoofing.send(V1 + get('/', ...fields));
      expect((await spoofing.message()).status).toBe(308);
      expect(other.exchanges[0]?.clientAddress).toBe('192.0.2.7');
    },
  );

  const HEADERS: readonly [name: string, header: Buffer, https: boolean][] = [
    ['says that the client spoke TLS', v2(8080, 0x07), true],
    ['came to a port that means https', v2(443, null), true],
    ['says that the client spoke no TLS, whatever the port', v2(443, 0x00), false],
    ['says nothing', v2(8080, null), false],
    ['is of version 1, to a port that means https', Buffer.from(V1.replace('4430', '443')), true],
    ['speaks for the load balancer itself', Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20\0\0\0', 'latin1'), false],
  ];
  for (const [name, header, https] of HEADERS) {
    behaves(`TLS ended before: a header that ${name}`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
        keys,
        redirect: { port: 443 },
        hsts: 'max-age=60',
        proxyProtocolFrom: ['127.0.0.1'],
        proxyProtocolHttpsPorts: [443],
      });
      using client = await rawClient(proxy.httpPort);
      client.send(Buffer.concat([header, Buffer.from(get('/'))]));
      const answer = await client.message();
      expect(answer.status).toBe(https ? 200 : 308);
      expect(answer.values('strict-transport-security')).toEqual(https ? ['max-age=60'] : []);
      expect(proxy.exchanges[0]?.scheme).toBe(https ? 'https' : 'http');
      if (https) expect(upstream.requests[0]?.field('x-forwarded-proto')).toBe('https');
    });
  }
});

/** Version 2 from 192.0.2.7 to this port; with PP2_TYPE_SSL and this first byte of it, unless that is null. */
function v2(port: number, ssl: number | null): Buffer {
  const extension = ssl === null ? [] : [0x20, 0, 5, ssl, 0, 0, 0, 0];
  const rest = [192, 0, 2, 7, 198, 51, 100, 2, 0xdc, 0x04, port >> 8, port & 0xff, ...extension];
  return Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0', 'latin1'),
    Buffer.from([rest.length, ...rest]),
  ]);
}
