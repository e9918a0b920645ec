import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

contract('canary', (behaves) => {
  behaves('a request goes to the canary that its fields name, and the account says so', async (create) => {
    await using main = await recordingUpstream('main', () => ok('main'));
    await using next = await recordingUpstream('next', () => ok('next'));
    const header = { name: 'x-canary', takes: { kind: 'pattern', pattern: '^(yes|please)$' } } as const;
    const sites = [{ ports: [main.port], canary: { port: next.port, header, cookie: 'canary' } }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const ask = async (...fields: string[]): Promise<string> => {
      client.send(get('/', ...fields));
      return (await client.message()).body;
    };
    expect(await ask()).toBe('main');
    expect(await ask('X-Canary: please')).toBe('next');
    expect(await ask('X-Canary: no', 'Cookie: a=b; canary=always')).toBe('next');
    expect(await ask('Cookie: canary=never')).toBe('main');
    expect(await proxy.exchange(0)).toMatchObject({ backend: 'default/app.test:80', canary: '' });
    expect(await proxy.exchange(1)).toMatchObject({
      backend: 'default/canary.app.test:80',
      canary: 'default/canary.app.test',
    });
  });

  behaves('weights are drawn for each request', async (create) => {
    await using main = await recordingUpstream('main', () => ok('main'));
    await using next = await recordingUpstream('next', () => ok('next'));
    const sites = [{ ports: [main.port], canary: { port: next.port, weight: 50 } }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const seen = new Set<string>();
    // All of a hundred to one side: once in 10^30 runs.
    for (let i = 0; i < 100 && seen.size < 2; i++) {
      client.send(get('/'));
      seen.add((await client.message()).body);
    }
    expect(seen).toEqual(new Set(['main', 'next']));
  });
});
