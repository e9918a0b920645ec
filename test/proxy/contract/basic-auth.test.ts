import { expect } from 'vitest';
import type { SecretData } from '../../../src/model/secret-data.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const policies = {
  'basic-auth': { secret: 'shop/users', format: 'htpasswd', challenge: 'Basic realm="x"' },
} as const;

/** Users of a Secret that a test may change while it is in use. */
function users(file: string): Map<string, SecretData> {
  return new Map([['shop/users', { auth: Buffer.from(file).toString('base64') }]]);
}

const BCRYPT = 'ada:$2y$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6';
const authorization = (credentials: string): string =>
  `Authorization: Basic ${Buffer.from(credentials).toString('base64')}`;

contract('basic authentication', (behaves) => {
  behaves('lets in who knows a password, which the Pod does not see', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const secrets = users(`${BCRYPT}\nbob:{PLAIN}secret\n`);
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], { secrets });
    using client = await rawClient(proxy.port);
    const ask = async (...fields: string[]) => {
      client.send(get('/', ...fields));
      return client.message();
    };
    const refused = await ask();
    expect([refused.status, refused.values('www-authenticate')]).toEqual([401, ['Basic realm="x"']]);
    for (const wrong of ['ada:PW', 'ada:', 'bob:pw', 'eve:pw', ':', 'ada'])
      expect((await ask(authorization(wrong))).status).toBe(401);
    // Two fields are not one.
    expect((await ask(authorization('ada:pw'), authorization('bob:secret'))).status).toBe(401);
    expect(upstream.requests).toEqual([]);
    expect((await ask(authorization('ada:pw'))).status).toBe(200);
    expect((await ask(authorization('bob:secret'), 'X-Kept: 1')).status).toBe(200);
    client.send(request('POST', '/', 'x'.repeat(100_000), authorization('ada:pw')));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests.map((seen) => seen.values('authorization'))).toEqual([[], [], []]);
    expect(upstream.requests[1]?.values('x-kept')).toEqual(['1']);
    expect(upstream.requests[2]?.body.length).toBe(100_000);
  });

  behaves('follows the Secret, and closes when it is gone', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const secrets = users('bob:{PLAIN}old\n');
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], { secrets });
    using client = await rawClient(proxy.port);
    const ask = async (credentials: string): Promise<number> => {
      client.send(get('/', authorization(credentials)));
      return (await client.message()).status;
    };
    expect(await ask('bob:old')).toBe(200);
    for (const [key, data] of users('bob:{PLAIN}new\n')) secrets.set(key, data);
    expect([await ask('bob:old'), await ask('bob:new')]).toEqual([401, 200]);
    secrets.clear();
    expect(await ask('bob:new')).toBe(503);
  });

  behaves('guards upgrades, and says why in the language of the request', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], {
      secrets: users(`${BCRYPT}\n`),
    });
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Accept: application/json', authorization('ada:no')));
    expect(JSON.parse((await client.message()).body)).toMatchObject({
      status: 401,
      reason: 'unauthenticated',
    });
    expect(await proxy.exchange(0)).toMatchObject({ status: 401, detail: 'unauthenticated', attempts: 0 });
    using upgrading = await rawClient(proxy.port);
    upgrading.send(get('/', 'Connection: Upgrade', 'Upgrade: websocket', authorization('ada:no')));
    const refused = await upgrading.message();
    expect([refused.status, refused.values('www-authenticate')]).toEqual([401, ['Basic realm="x"']]);
    expect(upstream.requests).toEqual([]);
  });
});
