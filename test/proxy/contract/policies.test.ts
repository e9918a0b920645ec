import { expect } from 'vitest';
import { type BoundPolicy, CONTINUE, type Verdict } from '../../../src/policies/policy.ts';
import type { LocalResponse } from '../../../src/http/local-response.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const TEAPOT: LocalResponse = {
  status: 418,
  reasonPhrase: "I'm a teapot",
  fields: [
    ['content-type', 'text/plain'],
    ['content-length', '3'],
  ],
  body: 'tea',
  close: false,
};

const later = (policy: BoundPolicy): BoundPolicy => ({
  onRequest: async (request, edit): Promise<Verdict> => {
    await new Promise((resolve) => setImmediate(resolve));
    return policy.onRequest?.(request, edit) ?? CONTINUE;
  },
});

const editing: BoundPolicy = {
  onRequest(request, edit) {
    edit.target = `/new${request.target}`;
    edit.host = 'pod.internal';
    edit.remove('cookie');
    edit.set('X-User', request.value('x-user') ?? 'nobody');
    edit.set('X-Real-IP', '9.9.9.9');
    return CONTINUE;
  },
};

const WAYS: readonly (readonly [how: string, wrap: (policy: BoundPolicy) => BoundPolicy])[] = [
  ['at once', (policy) => policy],
  ['later', later],
];

contract('policies', (behaves) => {
  for (const [how, wrap] of WAYS) {
    behaves(`change the request before it goes out, ${how}`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
        everywhere: [wrap(editing)],
      });
      using client = await rawClient(proxy.port);
      client.send(get('/a?b', 'Cookie: secret', 'X-USER: ada'));
      expect((await client.message()).status).toBe(200);
      client.send(request('POST', '/c', 'x'.repeat(100_000), 'cookie: secret'));
      expect((await client.message()).status).toBe(200);
      const [first, second] = upstream.requests;
      expect(first?.startLine).toBe('GET /new/a?b HTTP/1.1');
      expect(first?.values('host')).toEqual(['pod.internal']);
      expect(first?.values('cookie')).toEqual([]);
      expect(first?.values('x-user')).toEqual(['ada']);
      expect(first?.values('x-real-ip')).toEqual(['9.9.9.9']);
      expect(second?.startLine).toBe('POST /new/c HTTP/1.1');
      expect(second?.body).toHaveLength(100_000);
      expect(second?.values('x-user')).toEqual(['nobody']);
    });

    behaves(`respond instead of the upstream, ${how}`, async (create) => {
      await using upstream = await recordingUpstream();
      const refusing: BoundPolicy = { onRequest: () => ({ kind: 'respond', response: TEAPOT }) };
      const marking: BoundPolicy = { onResponse: (edit) => edit.set('X-Marked', 'yes') };
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
        everywhere: [wrap(refusing), marking, { onRequest: () => expect.unreachable() }],
      });
      using client = await rawClient(proxy.port);
      for (const bytes of [get('/'), request('POST', '/', 'a body that nobody reads')]) {
        client.send(bytes);
        const response = await client.message();
        expect([response.status, response.body, response.field('x-marked')]).toEqual([418, 'tea', 'yes']);
      }
      expect(upstream.requests).toEqual([]);
      expect(await proxy.exchange(0)).toMatchObject({ status: 418, detail: '', attempts: 0 });
      expect(proxy.faults).toEqual([]);
    });
  }

  behaves('a client that leaves while a policy thinks is not waited for', async (create) => {
    await using upstream = await recordingUpstream();
    const thinking = Promise.withResolvers<Verdict>();
    const asked = Promise.withResolvers<void>();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      everywhere: [
        {
          onRequest: () => {
            asked.resolve();
            return thinking.promise;
          },
        },
      ],
    });
    {
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      await asked.promise;
    }
    expect(await proxy.exchange(0)).toMatchObject({ status: 499, detail: 'client-gone' });
    thinking.resolve(CONTINUE);
    await thinking.promise;
    expect([upstream.requests, proxy.faults]).toEqual([[], []]);
  });

  behaves('change what the client gets, from Pods and from Portico', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok', 'Server: pod', 'Set-Cookie: a=1'));
    const policies = {
      'response-headers': {
        set: [
          ['X-Frame-Options', 'DENY'],
          ['server', 'portico'],
        ],
      },
    } as const;
    const gone = { host: 'gone.test', ports: [], unavailable: 'no-endpoints', policies } as const;
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }, gone]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    const response = await client.message();
    expect([response.values('x-frame-options'), response.values('server')]).toEqual([['DENY'], ['portico']]);
    expect([response.values('set-cookie'), response.body]).toEqual([['a=1'], 'ok']);
    client.send(get('/').replace('app.test', 'gone.test'));
    const local = await client.message();
    expect([local.status, local.values('x-frame-options')]).toEqual([503, ['DENY']]);
  });

  behaves(
    'Strict-Transport-Security: over TLS only, once, and the value of the Pod counts',
    async (create) => {
      const HSTS = 'max-age=60';
      await using upstream = await recordingUpstream('ok', ({ startLine }) =>
        startLine.includes('own')
          ? ok('ok', 'Strict-Transport-Security: max-age=1')
          : ok('ok', 'Access-Control-Expose-Headers: strict-transport-security'),
      );
      const keys = { 'shop/a': authority().issue(['app.test']) };
      const sites = [{ ports: [upstream.port], secret: 'shop/a' }];
      await using proxy = await startTlsProxy(create, sites, { keys, hsts: HSTS });
      using secure = await secureClient(proxy.httpsPort, 'app.test');
      const valuesOf = async (bytes: string): Promise<readonly string[]> => {
        secure.wire.send(bytes);
        return (await secure.wire.message()).values('strict-transport-security');
      };
      expect(await valuesOf(get('/'))).toEqual([HSTS]);
      expect(await valuesOf(get('/own'))).toEqual(['max-age=1']);
      expect(await valuesOf(get('/').replace('app.test', 'nobody.test'))).toEqual([HSTS]);
      using plain = await rawClient(proxy.httpPort);
      plain.send(get('/'));
      expect((await plain.message()).values('strict-transport-security')).toEqual([]);
    },
  );
});
