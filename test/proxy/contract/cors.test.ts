import { expect } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const ORIGIN = 'Origin: https://a.test';
const policies = {
  cors: {
    ...{ origins: ['https://a.test'], methods: 'GET', headers: 'X-Token' },
    ...{ credentials: true, exposeHeaders: '', maxAge: '60' },
  },
} as const;

contract('CORS', (behaves) => {
  behaves(
    'preflights are answered, and the connection goes on; other requests reach the Pod',
    async (create) => {
      await using upstream = await recordingUpstream('ok', () =>
        ok(
          'ok',
          'Access-Control-Allow-Origin: *',
          'access-control-allow-origin: https://pod.test',
          'Vary: Accept',
        ),
      );
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using client = await rawClient(proxy.port);
      const preflight = get('/', ORIGIN, 'Access-Control-Request-Method: PUT').replace('GET', 'OPTIONS');
      client.send(preflight);
      const answer = await client.message();
      expect([answer.status, answer.body, answer.values('content-length')]).toEqual([204, '', []]);
      expect(answer.values('access-control-allow-origin')).toEqual(['https://a.test']);
      expect(answer.values('access-control-allow-credentials')).toEqual(['true']);
      client.send(preflight.replace('a.test', 'evil.test'));
      const evil = await client.message();
      expect([evil.status, evil.values('access-control-allow-origin'), evil.values('vary')]).toEqual([
        204,
        [],
        ['Origin'],
      ]);
      expect(upstream.requests).toEqual([]);

      client.send(request('POST', '/', 'body', ORIGIN));
      const simple = await client.message();
      expect([simple.status, simple.body]).toEqual([200, 'ok']);
      expect(simple.values('access-control-allow-origin')).toEqual(['https://a.test']);
      expect(simple.values('vary')).toEqual(['Accept', 'Origin']);
      client.send(get('/').replace('GET', 'OPTIONS'));
      expect((await client.message()).body).toBe('ok');
      expect(upstream.requests.map(({ startLine }) => startLine)).toEqual([
        'POST / HTTP/1.1',
        'OPTIONS / HTTP/1.1',
      ]);
    },
  );

  behaves('the fields are on responses of Portico too', async (create) => {
    const deny = { 'source-ranges': { allow: null, deny: cidrsOf(['127.0.0.1']) } };
    const missing = { ports: [], unavailable: 'no-endpoints' } as const;
    await using proxy = await startProxy(create, [
      { ...missing, policies },
      { ...missing, host: 'denied.test', policies: { ...policies, ...deny } },
    ]);
    using client = await rawClient(proxy.port);
    for (const [host, status] of [
      ['app.test', 503],
      ['denied.test', 403],
    ] as const) {
      client.send(get('/', ORIGIN).replace('app.test', host));
      const response = await client.message();
      expect([response.status, response.values('access-control-allow-origin')]).toEqual([
        status,
        ['https://a.test'],
      ]);
    }
  });
});
