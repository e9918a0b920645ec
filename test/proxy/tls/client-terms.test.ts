import { randomBytes } from 'node:crypto';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { ConnectionOptions } from 'node:tls';
import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { contract } from '../../support/engines.ts';
import { get } from '../../support/raw-client.ts';
import { type TlsSite, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';
import {
  ada,
  ask,
  keys,
  mallory,
  OPTIONAL,
  REQUIRED,
  sessionOf,
  shows,
  sites,
  STRANGERS,
  toldOf,
} from './asked-clients.ts';
import { happens } from '../../support/until.ts';

contract('the terms of a connection', (behaves) => {
  behaves(
    'a Host of other terms than its connection has gets 421, and the connection ends',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(
        create,
        sites(
          upstream.port,
          REQUIRED,
          { host: 'same.test', ports: [], clients: REQUIRED },
          { host: 'other.test', ports: [], clients: STRANGERS },
        ),
        { keys },
      );
      const statuses = async (name: string | null, ...hosts: string[]): Promise<number[]> => {
        using client = await secureClient(proxy.httpsPort, name, shows(ada));
        const found: number[] = [];
        for (const host of hosts) {
          client.wire.send(get('/').replace('app.test', host));
          const got = await client.wire.message();
          found.push(got.status);
          if (got.status === 421) {
            expect(got.body).toContain('open a new one');
            expect(await client.wire.ended).toBe('end');
          }
        }
        return found;
      };
      expect(await statuses('app.test', 'app.test', 'APP.test.:443', 'same.test', 'open.test')).toEqual([
        200, 200, 200, 421,
      ]);
      expect(await statuses('app.test', 'other.test')).toEqual([421]);
      expect(await statuses('open.test', 'open.test', 'app.test')).toEqual([200, 421]);
      expect(await statuses(null, 'app.test')).toEqual([421]);
      expect(await statuses('unknown.test', 'app.test')).toEqual([421]);
      expect(await statuses('other.test', 'other.test')).toEqual([400]);
      expect(upstream.requests).toHaveLength(4);
      expect(proxy.exchanges.map(({ detail }) => detail)).toContain('misdirected');
    },
  );

  behaves('terms that change meet open connections with 421, and new ones with the new', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    using before = await secureClient(proxy.httpsPort, 'app.test', shows(ada));
    before.wire.send(get('/'));
    expect((await before.wire.message()).status).toBe(200);
    proxy.adopt(sites(upstream.port, STRANGERS));
    before.wire.send(get('/'));
    expect((await before.wire.message()).status).toBe(421);
    expect((await ask(proxy, shows(ada))).status).toBe(400);
    expect((await ask(proxy, shows(mallory))).status).toBe(200);
    proxy.adopt([{ ports: [upstream.port], secret: 'shop/all', clients: 'unverifiable' }]);
    expect((await ask(proxy, shows(mallory))).status).toBe(503);
    proxy.adopt([{ ports: [upstream.port], secret: 'shop/all' }]);
    expect((await ask(proxy)).status).toBe(200);
    expect(toldOf(upstream)).toEqual({});
  });

  behaves('a session is resumed by the terms it was begun by, and by no others', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    const nobodyAsked: TlsSite[] = [{ ports: [upstream.port], secret: 'shop/all' }];
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const begin = async (shown: ConnectionOptions = {}): Promise<Buffer> => {
        const options = { minVersion: version, maxVersion: version, ...shown };
        using client = await secureClient(proxy.httpsPort, 'app.test', options);
        return await sessionOf(client.socket);
      };
      /** Whether it was resumed, what the client got, and who the pod was told it is. */
      const resume = async (session: Buffer): Promise<[boolean, number, unknown]> => {
        using client = await secureClient(proxy.httpsPort, 'app.test', { maxVersion: version, session });
        client.wire.send(get('/'));
        const { status } = await client.wire.message();
        const told = status === 200 ? toldOf(upstream)['ssl-client-subject-dn'] : undefined;
        return [client.socket.isSessionReused(), status, told];
      };
      const hers = [true, 200, expect.stringContaining('CN=ada')];
      const ours = await begin(shows(ada));
      expect(await resume(ours)).toEqual(hers);
      // Begun without a certificate, or with a bad one, it stays so.
      expect(await resume(await begin())).toEqual([true, 400, undefined]);
      expect(await resume(await begin(shows(mallory)))).toEqual([true, 400, undefined]);
      proxy.adopt(sites(upstream.port, STRANGERS));
      expect(await resume(ours)).toEqual([false, 400, undefined]);
      proxy.adopt(sites(upstream.port, OPTIONAL));
      expect(await resume(ours)).toEqual([false, 200, undefined]);
      const lenient = await begin(shows(ada));
      expect(await resume(lenient)).toEqual(hers);
      proxy.adopt(nobodyAsked);
      expect(await resume(ours)).toEqual([false, 200, undefined]);
      const open = await begin(shows(ada));
      proxy.adopt(sites(upstream.port, REQUIRED));
      expect(await resume(open)).toEqual([false, 400, undefined]);
      expect(await resume(lenient)).toEqual([false, 400, undefined]);
      expect(await resume(ours)).toEqual(hers);
      proxy.certificates.rotate(randomBytes(48));
      expect(await resume(ours)).toEqual([false, 400, undefined]);
    }
  });

  behaves('a certificate that expires ends what was begun with it', async (create) => {
    await using upstream = await recordingUpstream();
    let ahead = 0;
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), {
      keys,
      now: () => Date.now() + ahead,
    });
    const first = await secureClient(proxy.httpsPort, 'app.test', shows(ada));
    const session = await sessionOf(first.socket);
    first[Symbol.dispose]();
    expect((await ask(proxy, { session })).status).toBe(200);
    ahead = 31 * 24 * 60 * 60 * 1000;
    expect((await ask(proxy, { session })).status).toBe(400);
  });
});

it('hosts that share an HTTP/2 connection get 421 where they do not share its terms', async () => {
  await using upstream = await recordingUpstream();
  await using proxy = await startTlsProxy(
    nativeEngine,
    sites(
      upstream.port,
      REQUIRED,
      { host: 'same.test', ports: [], clients: REQUIRED },
      { host: 'other.test', ports: [], clients: STRANGERS },
    ),
    { keys },
  );
  for (const [name, shown, expected] of [
    ['app.test', shows(ada), { 'app.test': 200, 'same.test': 200, 'open.test': 421, 'other.test': 421 }],
    ['open.test', shows(ada), { 'open.test': 200, 'app.test': 421, 'same.test': 421 }],
    ['app.test', {}, { 'app.test': 400, 'open.test': 421 }],
  ] as const) {
    const session = connectHttp2(`https://${name}`, {
      ...{ host: '127.0.0.1', port: proxy.httpsPort, servername: name, rejectUnauthorized: false },
      ...shown,
    } as Parameters<typeof connectHttp2>[1]);
    try {
      const found: Record<string, number> = {};
      for (const host of Object.keys(expected)) found[host] = await statusOf(session, host);
      expect(found).toEqual(expected);
    } finally {
      session.destroy();
    }
  }
  expect(upstream.requests).toHaveLength(3);
  expect(toldOf(upstream, 1)).toMatchObject({ 'ssl-client-verify': 'SUCCESS' });
});

it('a gRPC call without a certificate is told so by a status of its own', async () => {
  await using proxy = await startTlsProxy(nativeEngine, sites(1, REQUIRED), { keys });
  const session = connectHttp2('https://app.test', {
    ...{ host: '127.0.0.1', port: proxy.httpsPort, servername: 'app.test', rejectUnauthorized: false },
  } as Parameters<typeof connectHttp2>[1]);
  try {
    const stream = session.request({
      ...{ ':method': 'POST', ':path': '/a.B/c', ':authority': 'app.test' },
      ...{ 'content-type': 'application/grpc', te: 'trailers' },
    });
    const [headers] = await happens(stream, 'response');
    expect(headers).toMatchObject({ ':status': 200, 'grpc-status': '16' });
  } finally {
    session.destroy();
  }
});

async function statusOf(session: ClientHttp2Session, host: string): Promise<number> {
  const stream = session.request({ ':path': '/', ':authority': host });
  stream.resume();
  const [headers] = (await happens(stream, 'response')) as [Record<string, number>];
  return headers[':status'] ?? 0;
}
