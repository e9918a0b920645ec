import { expect } from 'vitest';
import type { RetriesConfig } from '../../../src/policies/retries.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { until } from '../../support/until.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

function retries(on: Partial<NonNullable<RetriesConfig['on']>>, rest: Partial<RetriesConfig> = {}) {
  const all = { conditions: [], statuses: [], nonIdempotent: false, ...on };
  return { retries: { on: all, attempts: null, timeoutMs: null, ...rest } };
}

const busy = (): string => 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy';

contract('retries of a route', (behaves) => {
  behaves('a status is left for the response of another endpoint, once each', async (create) => {
    await using first = await recordingUpstream('', busy);
    await using second = await recordingUpstream('', busy);
    await using third = await recordingUpstream('good');
    const ports = [first.port, second.port, third.port];
    await using proxy = await startProxy(create, [{ ports, policies: retries({ statuses: [503] }) }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 3; i++) {
      client.send(get('/'));
      expect(await client.message()).toMatchObject({ status: 200, body: 'good' });
    }
    expect(third.requests).toHaveLength(3);
    const exchange = await proxy.exchange(0);
    expect(exchange.attempts).toBeGreaterThan(1);
    expect(exchange.upstreams.map(({ status, failure }) => [status, failure])).toEqual([
      ...Array.from({ length: exchange.attempts - 1 }, () => [503, '']),
      [200, ''],
    ]);
    expect(exchange.upstreams.at(-1)?.endpoint).toBe(exchange.endpoint);
    for (const { startMs, connectMs, headMs, durationMs } of exchange.upstreams) {
      const times = [connectMs ?? -1, headMs ?? -1, durationMs];
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(startMs + durationMs).toBeLessThanOrEqual(exchange.durationMs + 1);
    }
  });

  behaves('when no other endpoint is left, the status is the response', async (create) => {
    await using first = await recordingUpstream('', busy);
    await using second = await recordingUpstream('', busy);
    const sites = [{ ports: [first.port, second.port], policies: retries({ statuses: [503] }) }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect(await client.message()).toMatchObject({ status: 503, body: 'busy' });
    expect(first.requests.length + second.requests.length).toBe(2);
  });

  behaves('no more attempts than the route has', async (create) => {
    await using first = await recordingUpstream('', busy);
    await using second = await recordingUpstream('', busy);
    await using third = await recordingUpstream('', busy);
    const policies = retries({ statuses: [503] }, { attempts: 2 });
    const sites = [{ ports: [first.port, second.port, third.port], policies }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(503);
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 2 });
  });

  behaves('what was sent is not repeated for POST, unless that is asked for', async (create) => {
    await using first = await recordingUpstream('', busy);
    await using second = await recordingUpstream('', busy);
    const ports = [first.port, second.port];
    const sites = [
      { ports, policies: retries({ statuses: [503] }) },
      { host: 'any.test', ports, policies: retries({ statuses: [503], nonIdempotent: true }) },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', ''));
    expect((await client.message()).status).toBe(503);
    expect(first.requests.length + second.requests.length).toBe(1);
    client.send(request('POST', '/', '').replace('app.test', 'any.test'));
    expect((await client.message()).status).toBe(503);
    expect(first.requests.length + second.requests.length).toBe(3);
  });

  behaves('after a time-out another endpoint is asked', async (create) => {
    await using silent = await scriptedUpstream(() => undefined);
    await using good = await recordingUpstream('good');
    const timeouts = { connectMs: null, sendMs: null, readMs: 100 };
    const policies = { ...retries({ conditions: ['timeout'] }), timeouts };
    await using proxy = await startProxy(create, [{ ports: [silent.port, good.port], policies }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 2; i++) {
      client.send(get('/'));
      expect(await client.message()).toMatchObject({ status: 200, body: 'good' });
    }
  });

  behaves('off: an endpoint that refuses is not passed over', async (create) => {
    await using good = await recordingUpstream('good');
    const sites = [{ ports: [await unusedPort(), good.port], policies: retries({}) }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const statuses: number[] = [];
    for (let i = 0; i < 2; i++) {
      client.send(get('/'));
      statuses.push((await client.message()).status);
    }
    expect(statuses.toSorted()).toEqual([200, 502]);
  });
});

contract('retries of a rule of Gateway API', (behaves) => {
  const repeating = (rest: Partial<RetriesConfig> = {}) =>
    retries(
      { conditions: ['connect', 'reset', 'timeout'], statuses: [503] },
      { attempts: 4, repeats: true, ...rest },
    );

  behaves('the only endpoint is tried again, as often as the route says', async (create) => {
    let asked = 0;
    await using flaky = await recordingUpstream('', () => (++asked < 4 ? busy() : ok('good')));
    await using broken = await recordingUpstream('', busy);
    const sites = [
      { ports: [flaky.port], policies: repeating() },
      { host: 'broken.test', ports: [broken.port], policies: repeating() },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect(await client.message()).toMatchObject({ status: 200, body: 'good' });
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 4 });
    client.send(get('/').replace('app.test', 'broken.test'));
    expect(await client.message()).toMatchObject({ status: 503, body: 'busy' });
    expect(broken.requests).toHaveLength(4);
  });

  behaves('a connection that ends is made again, after the backoff', async (create) => {
    const at: number[] = [];
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head();
      at.push(performance.now());
      if (index < 3) connection.socket.destroy();
      else connection.send(ok('good'));
    });
    const sites = [{ ports: [upstream.port], policies: repeating({ backoffMs: 60 }) }];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect(await client.message()).toMatchObject({ status: 200, body: 'good' });
    const waited = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(waited).toHaveLength(3);
    // A timer may fire a millisecond early.
    for (const each of waited) expect(each).toBeGreaterThan(58);
  });

  behaves('an attempt that is too slow is given up for the next one', async (create) => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.head();
      if (index > 0) connection.send(ok('good'));
    });
    const policies = { ...repeating(), 'request-timeout': { totalMs: null, attemptMs: 150 } };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect(await client.message()).toMatchObject({ status: 200, body: 'good' });
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 2 });
  });

  behaves('the time for the request holds while the next attempt is waited for', async (create) => {
    await using upstream = await recordingUpstream('', busy);
    const policies = {
      ...repeating({ backoffMs: 60_000 }),
      'request-timeout': { totalMs: 100, attemptMs: null },
    };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(504);
    expect(await proxy.exchange(0)).toMatchObject({ attempts: 1, detail: 'deadline-exceeded' });
  });

  behaves('a client that leaves while the next attempt is waited for ends it', async (create) => {
    await using upstream = await recordingUpstream('', busy);
    const sites = [{ ports: [upstream.port], policies: repeating({ backoffMs: 60_000 }) }];
    await using proxy = await startProxy(create, sites);
    const client = await rawClient(proxy.port);
    client.send(get('/'));
    await until(() => upstream.requests.length === 1, 'asked');
    client.socket.destroy();
    expect(await proxy.exchange(0)).toMatchObject({ status: 499, attempts: 1 });
  });
});

contract('retries after a beginning', (behaves) => {
  behaves('a response within which an upstream falls silent is not replaced', async (create) => {
    await using first = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    const timeouts = { connectMs: null, sendMs: null, readMs: 100 };
    const policies = { ...retries({ conditions: ['timeout'] }), timeouts };
    await using proxy = await startProxy(create, [{ ports: [first.port, first.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.ended;
    expect(client.unread).toMatch(/half$/);
    expect(client.unread.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  behaves(
    'an interim response of the attempt that failed does not reach another endpoint',
    async (create) => {
      await using first = await recordingUpstream(
        '',
        () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${busy()}`,
      );
      await using second = await recordingUpstream('', () => ok('good'));
      const sites = [{ ports: [first.port, second.port], policies: retries({ statuses: [503] }) }];
      await using proxy = await startProxy(create, sites);
      using client = await rawClient(proxy.port);
      for (let i = 0; i < 2; i++) {
        client.send(get('/'));
        const { status } = await client.message();
        expect(status === 103 ? (await client.message()).status : status).toBe(200);
      }
      expect(second.leftover()).toBe('');
      expect(second.requests.every(({ startLine }) => startLine === 'GET / HTTP/1.1')).toBe(true);
    },
  );
});
