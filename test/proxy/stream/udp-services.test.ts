import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { createEndpoints } from '../../../src/proxy/balance/endpoint-pool.ts';
import { DEFAULT_LIMITS } from '../../../src/proxy/limits.ts';
import type { PortState } from '../../../src/proxy/listener/port-state.ts';
import { StreamCounters } from '../../../src/proxy/stream/stream-counters.ts';
import { UdpServices } from '../../../src/proxy/stream/udp-services.ts';
import { mapOf } from '../../../src/model/sharded-map.ts';
import { EMPTY_TABLE } from '../../../src/routing/table-update.ts';
import type { RouteTable, StreamRoute } from '../../../src/routing/table.ts';
import { externalNames } from '../../support/external-names.ts';
import { SOCKETS } from '../../support/proxy.ts';
import { streamHops } from '../../support/streams.ts';
import { soon, until } from '../../support/until.ts';

function tableWith(ports: readonly number[]): RouteTable {
  const routes = ports.map((port): [string, StreamRoute] => {
    const flags = { acceptsProxyProtocol: false, sendsProxyProtocol: false };
    return [
      `udp/${port}`,
      { protocol: 'udp', port, backend: 'db/dns:53/udp', configMap: 'ops/udp', ...flags },
    ];
  });
  return { ...EMPTY_TABLE, streams: mapOf(routes) };
}

it('a port that another process has fails by itself, and can be given up while it waits', async () => {
  const other = createSocket('udp4').bind(0, '127.0.0.1');
  await soon(once(other, 'listening'), () => 'a socket');
  const { port } = other.address();
  const failed = Promise.withResolvers<[string, PortState]>();
  const faults: unknown[] = [];
  const context = {
    endpoints: createEndpoints({ random: () => 0, externalNames: externalNames() }),
    limits: DEFAULT_LIMITS,
    now: Date.now,
    onFault: (fault: unknown) => void faults.push(fault),
    onOutOfDescriptors: () => undefined,
    sockets: SOCKETS,
    places: Infinity,
    hops: streamHops(),
    counters: new StreamCounters(),
    onStreamEnd: () => undefined,
  };
  const place = { host: '127.0.0.1', reusePort: false };
  const services = new UdpServices(place, context, (...change) => {
    if (change[1].kind === 'failed') failed.resolve(change);
  });
  services.adopt(tableWith([port]), []);
  const failure = await soon(failed.promise, () => 'a failure to listen');
  expect(failure).toEqual([`udp/${port}`, { kind: 'failed', code: 'EADDRINUSE' }]);
  expect(() => services.adopt(tableWith([]), [])).not.toThrow();
  services.adopt(tableWith([port]), []);
  await services.drain(0);
  other.close();
  expect(faults).toEqual([]);
});

it('a fault where an answer is counted ends the exchange of that client, and the next one is served', async () => {
  const pod = createSocket('udp4').bind(0, '127.0.0.1');
  const client = createSocket('udp4').bind(0, '127.0.0.1');
  pod.on('message', (question, from) => pod.send(question, from.port, from.address));
  await soon(Promise.all([once(pod, 'listening'), once(client, 'listening')]), () => 'sockets');
  const key = 'db/dns:53/udp';
  const endpoints = [{ address: '127.0.0.1', port: pod.address().port }];
  const backend = { key, protocol: 'http', endpoints, externalName: null, unavailable: null } as const;
  const free = createSocket('udp4').bind(0, '127.0.0.1');
  await soon(once(free, 'listening'), () => 'a socket');
  const { port } = free.address();
  free.close();
  const table = { ...tableWith([port]), backends: mapOf([[key, backend]]) };
  const pool = createEndpoints({ random: () => 0, externalNames: externalNames() });
  pool.adopt(table);
  const faults: unknown[] = [];
  const ends: string[] = [];
  const counters = new StreamCounters();
  const row = counters.of({ protocol: 'udp', port });
  Object.defineProperty(row, 'sentDatagrams', {
    configurable: true,
    get: () => 0,
    set() {
      throw new Error('fault');
    },
  });
  const bound = Promise.withResolvers<void>();
  const services = new UdpServices(
    { host: '127.0.0.1', reusePort: false },
    {
      ...{ endpoints: pool, limits: DEFAULT_LIMITS, now: Date.now, counters },
      onFault: (fault: unknown) => void faults.push(fault),
      onOutOfDescriptors: () => undefined,
      sockets: SOCKETS,
      places: Infinity,
      hops: streamHops(),
      onStreamEnd: ({ end }) => void ends.push(end),
    },
    (_, state) => void (state.kind === 'bound' && bound.resolve()),
  );
  services.adopt(table, []);
  await soon(bound.promise, () => 'a port');
  client.send('one', port, '127.0.0.1');
  await until(() => faults.length === 1);
  expect(ends).toEqual(['fault']);
  Object.defineProperty(row, 'sentDatagrams', { value: 0, writable: true });
  const answer = once(client, 'message');
  client.send('two', port, '127.0.0.1');
  expect(String((await soon(answer, () => 'an answer'))[0])).toBe('two');
  expect(faults).toHaveLength(1);
  await services.drain(0);
  client.close();
  pod.close();
});
