import { expect, it } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { RequestDebugger } from '../../../src/proxy/debug/request-debugger.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import type { RequestView } from '../../../src/http/request-view.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

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

  behaves('the fields are on what opens a tunnel', async (create) => {
    await using pod = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n');
    });
    await using proxy = await startProxy(create, [{ ports: [pod.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', ORIGIN, 'Connection: Upgrade', 'Upgrade: raw'));
    const head = await client.head();
    expect([head.status, head.field('access-control-allow-origin')]).toEqual([101, 'https://a.test']);
  });
});

it('the head of a request is let go when its response goes on, however long that is', async () => {
  const seen: RequestView[] = [];
  class Watching extends RequestDebugger {
    override begin(exchange: Parameters<RequestDebugger['begin']>[0]) {
      // It is the record of the exchange.
      seen.push(exchange as unknown as RequestView);
      return null;
    }
  }
  const debug = new Watching(() => undefined, Date.now);
  debug.use([{ id: 1, topics: [], host: null, until: Infinity, requests: 1 }]);
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfor');
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], policies }], { debug });
  using client = await rawClient(proxy.port);
  client.send(get('/', ORIGIN));
  expect((await client.head()).field('access-control-allow-origin')).toBe('https://a.test');
  expect(seen.map((record) => [record.target, record.value('origin')])).toEqual([['/', undefined]]);
});
