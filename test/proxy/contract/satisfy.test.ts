import { expect } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const access = {
  'source-ranges': { allow: cidrsOf(['192.0.2.0/24']), deny: cidrsOf(['192.0.2.66']) },
  'basic-auth': { secret: 'shop/users', format: 'htpasswd', challenge: 'Basic realm="x"' },
} as const;
const secrets = new Map([
  [
    'shop/users',
    {
      auth: Buffer.from('ada:$2y$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6').toString(
        'base64',
      ),
    },
  ],
]);
const ADA = `Authorization: Basic ${Buffer.from('ada:pw').toString('base64')}`;

contract('satisfy', (behaves) => {
  behaves('asks for all access rules, or for any of them', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const sites = [
      { host: 'all.test', ports: [upstream.port], policies: access },
      { host: 'any.test', ports: [upstream.port], policies: { ...access, satisfy: { satisfy: 'any' } } },
    ] as const;
    await using proxy = await startProxy(create, sites, { trustedProxies: ['127.0.0.1'], secrets });
    using client = await rawClient(proxy.port);
    const ask = async (host: string, from: string, ...fields: string[]) => {
      client.send(get('/', `X-Forwarded-For: ${from}`, ...fields).replace('app.test', host));
      return client.message();
    };
    const statuses = async (host: string): Promise<number[]> => {
      const seen: number[] = [];
      for (const from of ['192.0.2.1', '192.0.2.66', '198.51.100.1'])
        for (const fields of [[], [ADA]]) seen.push((await ask(host, from, ...fields)).status);
      return seen;
    };
    expect(await statuses('all.test')).toEqual([401, 200, 403, 403, 403, 403]);
    expect(await statuses('any.test')).toEqual([200, 200, 401, 200, 401, 200]);
    expect((await ask('any.test', '198.51.100.1')).values('www-authenticate')).toEqual(['Basic realm="x"']);
    const policies = proxy.exchanges.map(({ policy }) => policy);
    const ip = 'source-ranges';
    const ofAll = ['basic-auth', '', ip, ip, ip, ip];
    expect(policies).toEqual([...ofAll, '', '', 'basic-auth', '', 'basic-auth', '', 'basic-auth']);
    // The password is the Pod's to see only where nobody checked it.
    expect(upstream.requests.map((seen) => seen.values('authorization').length)).toEqual([0, 0, 1, 0, 0]);
  });
});
