import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

contract('rewriting', (behaves) => {
  behaves('sends Pods another path and its prefix, and leaves the query', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const prefix = {
      rewrite: { kind: 'prefix', prefix: '/base' },
      ofHost: null,
      forwardedPrefix: '/shop',
    } as const;
    const whole = {
      rewrite: { kind: 'path', target: '/one$1' },
      ofHost: null,
      forwardedPrefix: null,
    } as const;
    await using proxy = await startProxy(create, [
      { ports: [upstream.port], policies: { rewrite: prefix } },
      { ports: [upstream.port], host: 'whole.test', policies: { rewrite: whole } },
    ]);
    using client = await rawClient(proxy.port);
    const ask = async (bytes: string): Promise<number> => {
      client.send(bytes);
      return (await client.message()).status;
    };
    expect(await ask(get('/a%20b/./c?d=%2F', 'X-Forwarded-Prefix: /forged'))).toBe(200);
    expect(await ask(get('http://app.test?x'))).toBe(200);
    expect(await ask(get('/a').replace('app.test', 'whole.test'))).toBe(200);
    const seen = upstream.requests.map(({ startLine, values }) => [
      startLine.split(' ')[1],
      values('x-forwarded-prefix')[0],
    ]);
    expect(seen).toEqual([
      ['/base/a%20b/c?d=%2F', '/shop'],
      ['/base/?x', '/shop'],
      ['/one', undefined],
    ]);
  });

  behaves('to a URL redirects, and follows no dots', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const redirect = { kind: 'redirect', location: 'https://new.test/x' } as const;
    await using proxy = await startProxy(create, [
      {
        ports: [upstream.port],
        policies: { rewrite: { rewrite: redirect, ofHost: null, forwardedPrefix: null } },
      },
    ]);
    using client = await rawClient(proxy.port);
    client.send(get('/old?a=b'));
    const response = await client.message();
    expect([response.status, response.field('location')]).toEqual([302, 'https://new.test/x?a=b']);
    expect(upstream.requests).toEqual([]);
  });
});
