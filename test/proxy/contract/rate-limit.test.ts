import { expect } from 'vitest';
import type { RateLimitConfig } from '../../../src/policies/rate-limit.ts';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { eventually } from '../../support/daemon.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const NONE: RateLimitConfig = {
  ...{ namespace: 'shop', ingress: 'web', rates: [], scope: 'replica', rateStatus: 429 },
  ...{ concurrency: null, concurrencyStatus: 503, exempt: null },
};
const HOURLY = { amount: 1, perMs: 3_600_000, burst: 1 };

contract('rate limits', (behaves) => {
  behaves('let the burst pass, and send others away until the rate lets them', async (create) => {
    await using upstream = await recordingUpstream();
    const policies = { 'rate-limit': { ...NONE, rates: [HOURLY], exempt: cidrsOf(['192.0.2.9']) } };
    const sites = [{ ports: [upstream.port], policies }];
    await using proxy = await startProxy(create, sites, { trustedProxies: ['127.0.0.1'] });
    using client = await rawClient(proxy.port);
    const ask = async (from: string, ...fields: string[]) => {
      client.send(get('/', `X-Forwarded-For: ${from}`, ...fields));
      return client.message();
    };
    expect((await ask('192.0.2.1')).status).toBe(200);
    expect((await ask('192.0.2.1')).status).toBe(200);
    const refused = await ask('192.0.2.1', 'Accept: application/json');
    expect(refused.status).toBe(429);
    expect(Number(refused.field('retry-after'))).toBeGreaterThan(3_000);
    expect(JSON.parse(refused.body)).toMatchObject({ status: 429, reason: 'rate-limited' });
    expect(await proxy.exchange(2)).toMatchObject({ status: 429, detail: 'rate-limited', endpoint: '' });
    // The others are counted for themselves, and some not at all.
    expect((await ask('192.0.2.2')).status).toBe(200);
    for (let i = 0; i < 4; i++) expect((await ask('192.0.2.9')).status).toBe(200);
    // One client has a whole /64.
    expect((await ask('2001:db8::1')).status).toBe(200);
    expect((await ask('2001:db8::2')).status).toBe(200);
    expect((await ask('2001:db8::3')).status).toBe(429);
    expect(upstream.requests).toHaveLength(9);
  });

  behaves('all rates hold, and one that refuses costs the others nothing', async (create) => {
    await using upstream = await recordingUpstream();
    const rates = [{ ...HOURLY, burst: 2 }, HOURLY];
    const policies = { 'rate-limit': { ...NONE, rates, rateStatus: 503 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) {
      client.send(get('/'));
      statuses.push((await client.message()).status);
    }
    expect(statuses).toEqual([200, 200, 503, 503]);
  });

  behaves(
    'a client has so many requests under way, until one is over or its client is gone',
    async (create) => {
      const { promise: told, resolve: tell } = Promise.withResolvers<void>();
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        await told;
        connection.send(ok('done', 'Connection: close'));
      });
      const policies = { 'rate-limit': { ...NONE, concurrency: 2 } };
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using first = await rawClient(proxy.port);
      using second = await rawClient(proxy.port);
      using third = await rawClient(proxy.port);
      first.send(get('/'));
      second.send(get('/'));
      await upstream.connection(1);
      third.send(get('/'));
      expect((await third.message()).status).toBe(503);
      // It leaves, and there is room for another one.
      second.socket.destroy();
      await proxy.exchange(1);
      using fourth = await rawClient(proxy.port);
      fourth.send(get('/'));
      await upstream.connection(2);
      tell();
      expect((await first.message()).status).toBe(200);
      expect((await fourth.message()).status).toBe(200);
      await eventually(async () => proxy.exchanges.length === 4);
      third.send(get('/'));
      expect((await third.message()).status).toBe(200);
    },
  );
});
