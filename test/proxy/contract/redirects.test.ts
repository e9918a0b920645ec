import { expect } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import type { RequestRedirectConfig } from '../../../src/policies/request-redirect.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const LOCATION = 'https://www.app.test/new';

contract('redirects', (behaves) => {
  behaves('answer every request, without a Service too, and keep the connection', async (create) => {
    const policies = { redirect: { status: '308', location: LOCATION } } as const;
    const sites = [{ ports: [], unavailable: 'service-not-found', policies } as const];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    for (const bytes of [get('/a?b'), request('POST', '/', 'body'), get('/', 'Accept: application/grpc')]) {
      client.send(bytes);
      const response = await client.message();
      expect([response.status, response.field('location')]).toEqual([308, LOCATION]);
    }
    expect(await proxy.exchange(0)).toMatchObject({ status: 308, detail: '', attempts: 0 });
    using upgrading = await rawClient(proxy.port);
    upgrading.send(get('/', 'Connection: Upgrade', 'Upgrade: raw'));
    expect((await upgrading.message()).status).toBe(308);
  });

  behaves('of the root go to where the application begins, by the host that was asked', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = { 'app-root': { path: '/app' } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], {
      trustedProxies: ['127.0.0.1'],
    });
    using client = await rawClient(proxy.port);
    const ask = async (bytes: string): Promise<readonly [number, string | undefined]> => {
      client.send(bytes);
      const { status, field } = await client.message();
      return [status, field('location')];
    };
    expect(await ask(get('/?a=b'))).toEqual([302, 'http://app.test/app']);
    expect(await ask(get('//', 'X-Forwarded-Proto: https'))).toEqual([302, 'https://app.test/app']);
    expect(await ask(get('http://app.test'))).toEqual([302, 'http://app.test/app']);
    expect(await ask(get('http://app.test?a=/b'))).toEqual([302, 'http://app.test/app']);
    expect(await ask(get('/app'))).toEqual([200, undefined]);
    expect(await ask(get('http://app.test/app'))).toEqual([200, undefined]);
    using old = await rawClient(proxy.port);
    old.send('GET / HTTP/1.0\r\nHost: app.test:8080\r\n\r\n');
    expect((await old.message()).field('location')).toBe('http://app.test:8080/app');
    expect(upstream.requests).toHaveLength(2);
  });

  behaves('of a route keep the host of the request, of which there may be none', async (create) => {
    const redirect = { status: 302, scheme: null, hostname: null, port: null, path: null } as const;
    const path = { kind: 'whole', path: '/new' } as const;
    const site = { ports: [], unavailable: 'service-not-found' } as const;
    const locations = async (changes: Partial<RequestRedirectConfig>): Promise<string[]> => {
      const policies = { 'request-redirect': { ...redirect, ...changes } };
      await using proxy = await startProxy(create, [{ ...site, host: '', policies }]);
      const seen: string[] = [];
      for (const bytes of [
        'GET //evil.test/?a HTTP/1.0\r\n\r\n',
        'GET http://app.test:1/b HTTP/1.0\r\n\r\n',
        'GET /c HTTP/1.0\r\nHost: app.test\r\n\r\n',
      ]) {
        using client = await rawClient(proxy.port);
        client.send(bytes);
        const { status, field } = await client.message();
        seen.push((field('location') ?? String(status)).replace(`:${proxy.port}`, ':PORT'));
      }
      return seen;
    };
    expect(await locations({ path })).toEqual([
      '/new?a',
      'http://app.test:PORT/new',
      'http://app.test:PORT/new',
    ]);
    expect(await locations({})).toEqual([
      '/evil.test/?a',
      'http://app.test:PORT/b',
      'http://app.test:PORT/c',
    ]);
    expect(await locations({ scheme: 'https' })).toEqual(['400', 'https://app.test/b', 'https://app.test/c']);
    expect(await locations({ hostname: 'b.test', port: 80 })).toEqual([
      'http://b.test//evil.test/?a',
      'http://b.test/b',
      'http://b.test/c',
    ]);
  });

  behaves('come after nothing that is refused, and before what is not there', async (create) => {
    const redirect = { status: '301', location: LOCATION } as const;
    const deny = { 'source-ranges': { allow: null, deny: cidrsOf(['127.0.0.1']) } };
    const missing = { ports: [], unavailable: 'service-not-found' } as const;
    await using proxy = await startProxy(create, [
      { ...missing, policies: { redirect, ...deny } },
      { ...missing, host: 'denied.test', policies: deny },
      { ...missing, host: 'missing.test' },
    ]);
    using client = await rawClient(proxy.port);
    for (const [host, status] of [
      ['app.test', 301],
      ['denied.test', 403],
      ['missing.test', 503],
    ] as const) {
      client.send(get('/').replace('app.test', host));
      expect((await client.message()).status).toBe(status);
    }
  });
});
