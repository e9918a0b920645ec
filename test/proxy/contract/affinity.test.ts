import { expect } from 'vitest';
import type { AffinityConfig } from '../../../src/policies/affinity.ts';
import type { SessionCookie } from '../../../src/http/session-cookie.ts';
import { contract } from '../../support/engines.ts';
import { unusedPort } from '../../support/loopback.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const COOKIE: SessionCookie = {
  ...{ name: 'session', path: null, domain: null, sameSite: null, sameSiteForOldBrowsers: false },
  ...{ secure: null, expires: null, maxAge: null },
};

function affinity(parts: Partial<AffinityConfig>): AffinityConfig {
  return {
    mode: 'balanced',
    keepsCanary: true,
    changesOnFailure: false,
    carrier: { cookie: COOKIE },
    ...parts,
  };
}

contract('cookie affinity', (behaves) => {
  for (const mode of ['balanced', 'persistent'] as const) {
    behaves(`${mode}: a client stays with the endpoint of its first response`, async (create) => {
      await using a = await recordingUpstream('a', () => ok('a'));
      await using b = await recordingUpstream('b', () => ok('b'));
      const policies = { affinity: affinity({ mode }) };
      await using proxy = await startProxy(create, [{ ports: [a.port, b.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(get('/', 'Cookie: session=forged.value; other=1'));
      const first = await client.message();
      const [, cookie = ''] =
        /^(session=[\w-]+\.[\w-]+); Path=\/; HttpOnly$/.exec(first.field('set-cookie') ?? '') ?? [];
      expect(cookie).not.toBe('');
      // Neither address nor port.
      expect(Buffer.from(cookie.slice('session='.length), 'base64url').toString('latin1')).not.toContain(
        '127.',
      );
      for (let i = 0; i < 4; i++) {
        client.send(get('/', `Cookie: a=b; ${cookie}`));
        const next = await client.message();
        expect([next.body, next.field('set-cookie')]).toEqual([first.body, undefined]);
      }
    });
  }

  behaves('a session in another field, which is over after its time', async (create) => {
    await using a = await recordingUpstream('a', () => ok('a', 'X-Session: of the Pod'));
    await using b = await recordingUpstream('b', () => ok('b'));
    const session = affinity({ mode: 'persistent', carrier: { header: 'x-session' }, lastsSeconds: 600 });
    const sites = [{ ports: [a.port, b.port], policies: { affinity: session } }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const ask = async (...fields: string[]): Promise<{ body: string; tokens: string[] }> => {
      client.send(get('/', ...fields));
      const response = await client.message();
      return { body: response.body, tokens: response.values('x-session') };
    };
    const first = await ask();
    expect(first.tokens).toHaveLength(1);
    const [whole = ''] = first.tokens;
    const [place = '', tag = '', began = '', seal = ''] = whole.split('.');
    expect(Math.abs(Number(began) - Date.now() / 1_000)).toBeLessThan(120);
    for (let i = 0; i < 4; i++) expect((await ask(`X-Session: ${whole}`)).body).toBe(first.body);
    const token = `${place}.${tag}`;
    const later = `${token}.${Number(began) + 1}`;
    for (const over of [
      token,
      `${token}.1.${seal}`,
      `${token}.x.y`,
      `${later}.${seal}`,
      later,
      `${whole}, ${whole}`,
    ]) {
      const [fresh = ''] = (await ask(`X-Session: ${over}`)).tokens;
      expect(fresh).toMatch(/^[\w-]+\.[\w-]+\.\d+\.[\w-]+$/);
    }
  });

  for (const changesOnFailure of [false, true]) {
    const outcome = changesOnFailure ? 'moves for good' : 'keeps its cookie';
    behaves(`a client whose endpoint refuses is served by another one and ${outcome}`, async (create) => {
      await using up = await recordingUpstream('up', () => ok('up'));
      const closed = await unusedPort();
      const policies = { affinity: affinity({ mode: 'persistent', changesOnFailure }) };
      await using only = await startProxy(create, [{ ports: [closed], policies }]);
      using before = await rawClient(only.port);
      before.send(get('/'));
      const [, cookie = ''] =
        /^(session=\S+);/.exec((await before.message()).field('set-cookie') ?? '') ?? [];
      expect(cookie).not.toBe('');
      await using proxy = await startProxy(create, [{ ports: [closed, up.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(get('/', `Cookie: ${cookie}`));
      const { body, field } = await client.message();
      expect([body, field('set-cookie') !== undefined]).toEqual(['up', changesOnFailure]);
    });
  }

  behaves(
    'a client stays with the canary, or with the main backend, before anything decides',
    async (create) => {
      await using main = await recordingUpstream('main', () => ok('main'));
      await using next = await recordingUpstream('next', () => ok('next'));
      const header = { name: 'x-canary', takes: { kind: 'always' } } as const;
      const cookies: string[] = [];
      for (const keepsCanary of [true, false]) {
        const policies = { affinity: affinity({ keepsCanary }) };
        const sites = [{ ports: [main.port], canary: { port: next.port, header }, policies }];
        await using proxy = await startProxy(create, sites);
        using client = await rawClient(proxy.port);
        const ask = async (...fields: string[]): Promise<string> => {
          client.send(get('/', ...fields));
          const response = await client.message();
          cookies.push(/^(session=\S+);/.exec(response.field('set-cookie') ?? '')?.[1] ?? '');
          return response.body;
        };
        cookies.length = 0;
        expect([await ask(), await ask('X-Canary: always')]).toEqual(['main', 'next']);
        const [ofMain, ofCanary] = cookies;
        expect([
          await ask('X-Canary: always', `Cookie: ${ofMain}`),
          await ask('X-Canary: never', `Cookie: ${ofCanary}`),
        ]).toEqual(keepsCanary ? ['main', 'next'] : ['next', 'main']);
      }
    },
  );

  behaves('the cookie has the attributes that are asked for', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok', 'Set-Cookie: own=1'));
    const cookie: SessionCookie = {
      ...{
        name: 'route',
        path: '/app',
        domain: 'example.com',
        sameSite: 'None',
        sameSiteForOldBrowsers: true,
      },
      ...{ secure: true, expires: 60, maxAge: 120 },
    };
    await using proxy = await startProxy(create, [
      { ports: [upstream.port], policies: { affinity: affinity({ carrier: { cookie } }) } },
    ]);
    using client = await rawClient(proxy.port);
    const setCookie = async (agent: string): Promise<string> => {
      client.send(get('/', `User-Agent: ${agent}`));
      return (await client.message())
        .values('set-cookie')
        .join(', ')
        .replace(/Expires=[^;]+/, 'Expires=…');
    };
    const common =
      /^own=1, route=\S+; Path=\/app; Domain=example\.com; Expires=…; Max-Age=120; Secure; HttpOnly/;
    expect(await setCookie('Mozilla/5.0 Chrome/120.0')).toMatch(
      new RegExp(`${common.source}; SameSite=None$`),
    );
    expect(await setCookie('Mozilla/5.0 Chrome/60.0')).toMatch(new RegExp(`${common.source}$`));
  });
});
