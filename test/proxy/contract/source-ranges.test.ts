import { expect } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

contract('source ranges', (behaves) => {
  behaves('let in whom they allow, and refuse others before a Pod sees anything', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const site = (host: string, allow: readonly string[] | null, deny: readonly string[]) => ({
      host,
      ports: [upstream.port],
      policies: { 'source-ranges': { allow: cidrsOf(allow), deny: cidrsOf(deny) } },
    });
    const sites = [
      site('app.test', ['192.0.2.0/24', '2001:db8::/32'], ['192.0.2.66']),
      site('open.test', null, ['192.0.2.66']),
    ];
    await using proxy = await startProxy(create, sites, { trustedProxies: ['127.0.0.1'] });
    using client = await rawClient(proxy.port);
    const ask = async (from: string, host = 'app.test'): Promise<number> => {
      client.send(get('/', `X-Forwarded-For: ${from}`).replace('app.test', host));
      return (await client.message()).status;
    };
    expect(await ask('192.0.2.1')).toBe(200);
    expect(await ask('::ffff:192.0.2.1')).toBe(200);
    expect(await ask('2001:DB8::9')).toBe(200);
    expect(await ask('192.0.2.66')).toBe(403);
    expect(await ask('::ffff:c000:242')).toBe(403);
    // Only the entry that the trusted proxy wrote says who the client is.
    expect(await ask('192.0.2.1, 198.51.100.1')).toBe(403);
    expect(await ask('2001:db9::9')).toBe(403);
    expect(await ask('198.51.100.1', 'open.test')).toBe(200);
    expect(await ask('192.0.2.66', 'open.test')).toBe(403);
    expect(upstream.requests).toHaveLength(4);
  });

  behaves('refuse in the language of the request, uploads and upgrades too', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = { 'source-ranges': { allow: cidrsOf(['192.0.2.0/24']), deny: null } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Accept: application/json'));
    expect(JSON.parse((await client.message()).body)).toMatchObject({
      status: 403,
      reason: 'address-denied',
    });
    client.send(request('POST', '/', 'x'.repeat(1000)));
    expect((await client.message()).status).toBe(403);
    using upgrading = await rawClient(proxy.port);
    upgrading.send(
      get(
        '/',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: eA==',
      ),
    );
    expect((await upgrading.message()).status).toBe(403);
    expect(upstream.requests).toEqual([]);
    expect(await proxy.exchange(0)).toMatchObject({ status: 403, detail: 'address-denied', attempts: 0 });
  });
});
