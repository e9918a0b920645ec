import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { type TlsProxySettings, authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const keys = { 'shop/app': authority().issue(['app.test']) };
const HSTS = 'max-age=600; includeSubDomains';

contract('from http to https', (behaves) => {
  behaves('a host with TLS is sent to the same target by https, whatever the method', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
      keys,
      redirect: { port: 443 },
    });
    using client = await rawClient(proxy.httpPort);
    client.send(get('/a//b/%2e/c%20d?x=%zz&y=a+b;'));
    const first = await client.message();
    expect([first.status, first.field('location')]).toEqual([
      308,
      'https://app.test/a//b/%2e/c%20d?x=%zz&y=a+b;',
    ]);
    expect(first.body).toContain('served over https only');
    client.send(request('POST', '/order', 'small body'));
    const second = await client.message();
    expect([second.status, second.field('location')]).toEqual([308, 'https://app.test/order']);
    client.send(request('HEAD', '/h', ''));
    const third = await client.message({ toHead: true });
    expect([third.status, third.field('location')]).toEqual([308, 'https://app.test/h']);
    client.send(get('/ws', 'Connection: Upgrade', 'Upgrade: websocket'));
    const fourth = await client.message();
    expect([fourth.status, fourth.field('location')]).toEqual([308, 'https://app.test/ws']);
    expect(upstream.requests).toHaveLength(0);
    expect(proxy.exchanges[0]).toMatchObject({
      status: 308,
      detail: 'https-only',
      route: { ingress: 'default/app.test' },
    });
  });

  behaves('the port is named when it is not 443, and the one asked for is not', async (create) => {
    await using proxy = await startTlsProxy(create, [{ ports: [], secret: null }], {
      redirect: { port: 8443 },
    });
    using client = await rawClient(proxy.httpPort);
    client.send('GET http://APP.test:8080/x?y HTTP/1.1\r\nHost: APP.test.:8080\r\n\r\n');
    expect((await client.message()).field('location')).toBe('https://app.test:8443/x?y');
  });

  behaves('hosts without TLS, ACME challenges and TLS itself are served', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(
      create,
      [
        { ports: [upstream.port], secret: 'shop/app', solver: true },
        { ports: [upstream.port], host: 'site.test', secret: 'shop/app' },
        { ports: [upstream.port], host: 'plain.test' },
        { ports: [upstream.port], host: 'a.wild.test', tlsHost: '*.wild.test', secret: null },
      ],
      { keys, redirect: { port: 443 } },
    );
    const status = async (host: string, path: string): Promise<number> => {
      using client = await rawClient(proxy.httpPort);
      client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      return (await client.message()).status;
    };
    expect(await status('plain.test', '/')).toBe(200);
    expect(await status('app.test', '/.well-known/acme-challenge/token')).toBe(200);
    expect(await status('app.test', '/.well-known/acme-challenge/../../secret')).toBe(308);
    expect(await status('app.test', '/.well-known/acme-challenge')).toBe(308);
    expect(await status('app.test', '/.well-known/acme-challenge/token?x')).toBe(308);
    expect(await status('app.test', '/.well-known/acme-challenge/to%6ben')).toBe(308);
    expect(await status('site.test', '/.well-known/acme-challenge/token')).toBe(308);
    expect(await status('a.wild.test', '/')).toBe(308);
    expect(await status('app.test', '/%')).toBe(400);
    using client = await secureClient(proxy.httpsPort, 'app.test');
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
  });

  behaves('a trusted proxy says what its client spoke, and nobody else does', async (create) => {
    await using upstream = await recordingUpstream();
    const status = async (settings: TlsProxySettings, proto: string): Promise<number> => {
      await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
        keys,
        redirect: { port: 443 },
        ...settings,
      });
      using client = await rawClient(proxy.httpPort);
      client.send(get('/', `X-Forwarded-Proto: ${proto}`));
      return (await client.message()).status;
    };
    expect(await status({ trustedProxies: ['127.0.0.1'] }, 'https')).toBe(200);
    expect(await status({ trustedProxies: ['127.0.0.1'] }, 'wss')).toBe(200);
    expect(await status({ trustedProxies: ['127.0.0.1'] }, 'http')).toBe(308);
    expect(await status({}, 'https')).toBe(308);
  });

  behaves('Strict-Transport-Security goes with https only, and the pod may have its own', async (create) => {
    await using upstream = await recordingUpstream('ok', ({ startLine }) =>
      startLine.includes('/own') ? ok('own', 'Strict-Transport-Security: max-age=1') : ok('ok'),
    );
    await using proxy = await startTlsProxy(create, [{ ports: [upstream.port], secret: 'shop/app' }], {
      keys,
      hsts: HSTS,
      trustedProxies: ['127.0.0.1'],
    });
    using client = await secureClient(proxy.httpsPort, 'app.test');
    const strict = async (path: string): Promise<string[]> => {
      client.wire.send(get(path));
      return (await client.wire.message()).values('strict-transport-security');
    };
    expect(await strict('/')).toEqual([HSTS]);
    expect(await strict('/own')).toEqual(['max-age=1']);
    client.wire.send('GET / HTTP/1.1\r\nHost: none.test\r\n\r\n');
    const missing = await client.wire.message();
    expect([missing.status, missing.field('strict-transport-security')]).toEqual([404, HSTS]);
    using plain = await rawClient(proxy.httpPort);
    plain.send(get('/'));
    expect((await plain.message()).values('strict-transport-security')).toEqual([]);
    plain.send(get('/', 'X-Forwarded-Proto: https'));
    expect((await plain.message()).values('strict-transport-security')).toEqual([HSTS]);
    plain.send('GET / HTTP/1.1\r\nno field\r\n\r\n');
    const malformed = await plain.message();
    expect([malformed.status, malformed.field('strict-transport-security')]).toEqual([400, undefined]);
  });
});
