import { expect } from 'vitest';
import type { MirrorConfig } from '../../../src/policies/mirror.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { until } from '../../support/until.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

function mirrorTo(port: number, parts: Partial<MirrorConfig> = {}): MirrorConfig {
  const to = { scheme: 'http', host: '127.0.0.1', port, verify: true } as const;
  return { namespace: 'default', to, target: null, host: 'test.internal', withoutBodies: false, ...parts };
}

contract('mirror', (behaves) => {
  behaves('copies requests, and lets nobody wait for the server that gets the copies', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    // It never says a word.
    await using test = await scriptedUpstream(async (connection) => void (await connection.head()));
    const target = ['/copies', { variable: 'request_uri', name: '' }] as const;
    const policies = { mirror: mirrorTo(test.port, { target }) };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/a?b=c', 'Cookie: a=1', 'X-Forwarded-For: 6.6.6.6'));
    expect((await client.message()).body).toBe('main');
    await until(() => test.connections.some(({ text }) => text.includes('\r\n\r\n')));
    const { text } = await test.connection(0);
    expect(text.slice(0, text.indexOf('\r\n'))).toBe('GET /copies/a?b=c HTTP/1.1');
    expect(text).toMatch(/\r\nHost: test\.internal\r\n/i);
    expect(text).toMatch(/\r\nCookie: a=1\r\n/i);
    expect(text).not.toContain('6.6.6.6');
    // Far more than may be under way: those beyond are left out.
    for (let i = 0; i < 100; i++) {
      client.send(get(`/${i}`));
      expect((await client.message()).status).toBe(200);
    }
    expect(test.connections.length).toBeLessThanOrEqual(32);
  });

  behaves('copies no password that was checked', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    await using test = await recordingUpstream('test', () => ok('test'));
    const auth = Buffer.from('ada:{PLAIN}pw').toString('base64');
    const policies = {
      mirror: mirrorTo(test.port),
      'basic-auth': { secret: 'shop/users', format: 'htpasswd', challenge: 'Basic realm="x"' },
    } as const;
    const secrets = new Map([['shop/users', { auth }]]);
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], { secrets });
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-Kept: 1', `Authorization: Basic ${Buffer.from('ada:pw').toString('base64')}`));
    expect((await client.message()).status).toBe(200);
    await until(() => test.requests.length === 1);
    expect(['x-kept', 'authorization'].map((name) => test.requests[0]?.values(name))).toEqual([['1'], []]);
  });

  behaves('copies no body, and a request that has one only where it may go without', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    await using test = await recordingUpstream('test', () => ok('test'));
    for (const withoutBodies of [false, true]) {
      const seen = test.requests.length;
      const expected = withoutBodies ? 2 : 1;
      const policies = { mirror: mirrorTo(test.port, { withoutBodies }) };
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(request('POST', `/${withoutBodies}`, 'a body'));
      expect((await client.message()).body).toBe('main');
      client.send(get('/last'));
      await client.message();
      await until(() => test.requests.length >= seen + expected);
      const copies = [...test.requests].slice(seen).map(({ startLine, body }) => `${startLine} ${body}`);
      expect(copies.toSorted()).toEqual(
        withoutBodies ? ['GET /last HTTP/1.1 ', 'POST /true HTTP/1.1 '] : ['GET /last HTTP/1.1 '],
      );
    }
  });
});
