import { expect } from 'vitest';
import type { ResolvedAddress } from '../../../src/proxy/balance/name-resolver.ts';
import { eventually } from '../../support/daemon.ts';
import type { HashBy } from '../../../src/policies/balance.ts';
import type { EngineFactory } from '../../../src/proxy/engine.ts';
import { contract } from '../../support/engines.ts';
import { fullPort } from '../../support/full-port.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

contract('endpoints', (behaves) => {
  behaves('requests go round', async (create) => {
    await using a = await recordingUpstream('a');
    await using b = await recordingUpstream('b');
    await using c = await recordingUpstream('c');
    await using proxy = await startProxy(create, [{ ports: [a.port, b.port, c.port] }]);
    using client = await rawClient(proxy.port);
    let order = '';
    for (let i = 0; i < 6; i++) {
      client.send(get('/'));
      order += (await client.message()).body;
    }
    expect(order).toBe('abcabc');
    expect((await proxy.exchange(0)).endpoint).toBe(a.address);
  });

  for (const bytes of [
    get('/'),
    request('POST', '/', 'body'),
    request('POST', '/', '4\r\nbody\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'),
  ]) {
    behaves(
      `a refused connection goes to another endpoint: ${JSON.stringify(bytes.slice(0, 60))}`,
      async (create) => {
        await using alive = await recordingUpstream('alive');
        await using proxy = await startProxy(create, [
          { ports: [await unusedPort(), await unusedPort(), alive.port] },
        ]);
        using client = await rawClient(proxy.port);
        client.send(bytes);
        expect((await client.message()).body).toBe('alive');
        expect(alive.requests[0]?.body).toBe(bytes.includes('body') ? 'body' : '');
        expect(await proxy.exchange(0)).toMatchObject({
          attempts: 3,
          status: 200,
          endpoint: alive.address,
          detail: '',
        });
      },
    );
  }

  behaves('a connection that breaks before the answer to a GET goes to another endpoint', async (create) => {
    await using breaking = await scriptedUpstream(async (connection) => {
      await connection.message();
      connection.reset();
    });
    await using alive = await recordingUpstream('alive');
    await using proxy = await startProxy(create, [{ ports: [breaking.port, alive.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).body).toBe('alive');
    expect(breaking.connections).toHaveLength(1);
  });

  behaves('a connection that is not made in time goes to another endpoint, or is 504', async (create) => {
    await using full = await fullPort();
    await using alive = await recordingUpstream('alive');
    const sites = [{ ports: [full.port, alive.port] }, { host: 'other.test', ports: [full.port] }];
    await using proxy = await startProxy(create, sites, { limits: { connectTimeoutMs: 100 } });
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'body'));
    expect((await client.message()).body).toBe('alive');
    expect((await proxy.exchange(0)).attempts).toBe(2);
    client.send(get('/').replace('app.test', 'other.test'));
    expect((await client.message()).status).toBe(504);
    // All the time there is belongs to the only endpoint.
    expect(await proxy.exchange(1)).toMatchObject({
      detail: 'upstream-connect-timed-out',
      attempts: 1,
      connectFailures: ['timeout'],
    });
  });

  for (const [what, bytes] of [
    ['a GET', get('/')],
    ['an upload', request('POST', '/', 'body')],
    ['an upgrade', get('/', 'Connection: Upgrade', 'Upgrade: websocket')],
  ] as const) {
    behaves(
      `${what} that waits for an endpoint that leaves goes on with those there are now`,
      async (create) => {
        await using full = await fullPort();
        await using alive = await recordingUpstream('alive');
        const limits = { connectTimeoutMs: 600_000, attempts: 1 };
        await using proxy = await startProxy(create, [{ ports: [full.port] }], { limits });
        using client = await rawClient(proxy.port);
        client.send(bytes);
        await eventually(async () => proxy.endpoint()?.inFlight === 1);
        const left = proxy.endpoint();
        proxy.adopt([{ ports: [alive.port] }]);
        expect((await client.message()).body).toBe('alive');
        expect(await proxy.exchange(0)).toMatchObject({
          endpoint: alive.address,
          attempts: 2,
          connectFailures: ['endpoint-gone'],
          detail: '',
        });
        expect(left).toMatchObject({ inFlight: 0, failures: 0 });
      },
    );
  }

  behaves('a request goes on in the protocol that the endpoints there are now speak', async (create) => {
    await using silent = await scriptedUpstream(() => undefined);
    await using alive = await recordingUpstream('alive');
    const limits = { connectTimeoutMs: 600_000 };
    await using proxy = await startProxy(create, [{ ports: [silent.port], protocol: 'https' }], { limits });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await silent.connection(0);
    await eventually(async () => proxy.endpoint()?.inFlight === 1);
    proxy.adopt([{ ports: [alive.port] }]);
    expect((await client.message()).body).toBe('alive');
  });

  for (const protocol of ['http', 'https'] as const) {
    behaves(
      `a request that waits for the last endpoint of a backend by ${protocol} is 503 when it leaves`,
      async (create) => {
        // By https it is connected to, and nobody shakes hands.
        await using full = protocol === 'http' ? await fullPort() : await scriptedUpstream(() => undefined);
        const limits = { connectTimeoutMs: 600_000 };
        await using proxy = await startProxy(create, [{ ports: [full.port], protocol }], { limits });
        using client = await rawClient(proxy.port);
        client.send(get('/'));
        await eventually(async () => proxy.endpoint()?.inFlight === 1);
        proxy.adopt([{ ports: [], protocol, unavailable: 'no-endpoints' }]);
        expect((await client.message()).status).toBe(503);
        expect(await proxy.exchange(0)).toMatchObject({ detail: 'no-endpoint', attempts: 1 });
      },
    );
  }

  behaves('a connection without a route to its address says so', async (create) => {
    // TCP to a broadcast address: the kernel knows no route.
    await using proxy = await startProxy(create, [{ ports: [9], address: '127.255.255.255' }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(502);
    expect(await proxy.exchange(0)).toMatchObject({
      detail: 'upstream-unreachable: ENETUNREACH',
      connectFailures: ['ENETUNREACH', 'ENETUNREACH', 'ENETUNREACH'],
    });
  });

  behaves('an address that refuses again and again is left alone', async (create) => {
    await using alive = await recordingUpstream('alive');
    // The clock stands still: the address is never tried again.
    const settings = { now: () => 0 };
    await using proxy = await startProxy(create, [{ ports: [await unusedPort(), alive.port] }], settings);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 20; i++) {
      client.send(get('/'));
      expect((await client.message()).body).toBe('alive');
      await proxy.exchange(i);
    }
    const retried = proxy.exchanges.filter(({ attempts }) => attempts > 1);
    expect(retried).toHaveLength(3);
  });

  behaves(
    'a request is finished by the table it began with, the next one goes by the new',
    async (create) => {
      await using before = await scriptedUpstream((connection) => connection.until('\r\n\r\n'));
      await using after = await recordingUpstream('after');
      await using proxy = await startProxy(create, [{ ports: [before.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      const connection = await before.connection(0);
      await connection.until('\r\n\r\n');
      proxy.adopt([{ ports: [after.port] }]);
      using other = await rawClient(proxy.port);
      other.send(get('/'));
      expect((await other.message()).body).toBe('after');
      connection.send(ok('before'));
      expect((await client.message()).body).toBe('before');
    },
  );

  behaves('an ExternalName is resolved before its first request', async (create) => {
    await using upstream = await recordingUpstream('found');
    const answer = Promise.withResolvers<{ address: string; ttl: number }[]>();
    const asked = Promise.withResolvers<string>();
    const resolve = (host: string): Promise<ResolvedAddress[]> => {
      asked.resolve(host);
      return answer.promise;
    };
    const externalName = { host: 'db.example', port: upstream.port };
    await using proxy = await startProxy(create, [{ ports: [], externalName }], { resolve });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect(await asked.promise).toBe('db.example');
    answer.resolve([{ address: '127.0.0.1', ttl: 60 }]);
    expect((await client.message()).body).toBe('found');
  });

  behaves('an ExternalName that resolves to the node itself is 503', async (create) => {
    const resolve = async (): Promise<ResolvedAddress[]> => [{ address: '127.0.0.1', ttl: 60 }];
    const externalName = { host: 'rebound.example', port: 1 };
    await using proxy = await startProxy(create, [{ ports: [], externalName }], {
      resolve,
      allowLoopback: false,
    });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(503);
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 0, detail: 'no-endpoint' });
  });

  behaves('every address of an ExternalName is tried, whichever family it is of', async (create) => {
    await using upstream = await recordingUpstream('found');
    // Nobody listens there, and at once it is known.
    const dead = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '::ffff:127.0.0.6', '127.0.0.7'];
    const resolve = async (): Promise<ResolvedAddress[]> =>
      [...dead, '127.0.0.1'].map((address) => ({ address, ttl: 60 }));
    const externalName = { host: 'db.example', port: upstream.port };
    await using proxy = await startProxy(create, [{ ports: [], externalName }], { resolve });
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 8; i++) {
      client.send(request('POST', '/', 'body', 'X-Close: 1'));
      expect((await client.message()).body).toBe('found');
    }
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 1, endpoint: `db.example:${upstream.port}` });
    expect(upstream.requests[0]?.field('host')).toBe('app.test');
    expect(proxy.endpoint()?.failures).toBe(0);
  });

  const WITH_USER: readonly HashBy[] = [
    'header:x-user',
    [{ variable: 'http', name: 'x-user' }, ' of ', { variable: 'host', name: '' }],
  ];
  behaves('a consistent hash keeps a client header in one place', async (create) => {
    for (const hashBy of WITH_USER) await keepsUsers(create, hashBy);
  });

  async function keepsUsers(create: EngineFactory, hashBy: HashBy): Promise<void> {
    await using a = await recordingUpstream('a');
    await using b = await recordingUpstream('b');
    const policies = { balance: { balance: 'consistent-hash', hashBy, groupSize: null } } as const;
    await using proxy = await startProxy(create, [{ ports: [a.port, b.port], policies }]);
    using client = await rawClient(proxy.port);
    const places = new Map<string, Set<string>>();
    for (let i = 0; i < 40; i++) {
      const user = `user-${i % 20}`;
      client.send(get('/', `X-User: ${user}`));
      const { body } = await client.message();
      places.set(user, (places.get(user) ?? new Set()).add(body));
    }
    expect([...places.values()].every((seen) => seen.size === 1)).toBe(true);
    expect(new Set([...places.values()].flatMap((seen) => [...seen]))).toEqual(new Set(['a', 'b']));
  }
});
