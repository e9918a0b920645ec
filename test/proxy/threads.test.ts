import { LOG_ALL } from '../../src/proxy/access-log/log-filter.ts';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { postMessageToThread } from 'node:worker_threads';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { countersOf } from '../../src/proxy/request-metrics.ts';
import {
  type DataPlaneReport,
  type ThreadFailure,
  type Threads,
  startThreads,
} from '../../src/proxy/threads/threads.ts';
import { type Pod, startPod } from '../e2e/pod.ts';
import { edit, emptyMap, get, mapOf } from '../../src/model/sharded-map.ts';
import type { HostRoutes, RouteTable } from '../../src/routing/table.ts';
import { BUNDLE } from '../support/bundle.ts';
import { eventually } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { tableOf } from '../support/proxy.ts';
import type { ThreadSettings } from '../../src/proxy/threads/messages.ts';
import { respServer } from '../support/resp-server.ts';
import { rawClient } from '../support/raw-client.ts';
import type { Birth, Order } from './threads-entry.ts';
import { happens } from '../support/until.ts';

const PORT = await heldPort();

interface DataPlane extends AsyncDisposable {
  readonly threads: Threads;
  readonly pod: Pod;
  readonly address: string;
  readonly failures: readonly ThreadFailure[];
  /** Ids of the threads that were ever about to serve. */
  readonly born: readonly number[];
  order(thread: number, order: Order): Promise<void>;
  /** GET on a connection of its own: the status, or 0 when there was none. */
  ask(host: string, path?: string): Promise<number>;
  publish(...hosts: string[]): void;
}

/** Bundled, since a dozen threads would load TypeScript one by one otherwise. */
const ENTRY = BUNDLE
  ? pathToFileURL(join(BUNDLE, '../threads/threads-entry.mjs'))
  : new URL('threads-entry.ts', import.meta.url);

async function startDataPlane(
  entry = ENTRY,
  limitStore: ThreadSettings['limitStore'] = null,
  limits: ThreadSettings['limits'] = DEFAULT_LIMITS,
): Promise<DataPlane> {
  const pod = await startPod('pod');
  const address = loopbackAddress();
  const failures: ThreadFailure[] = [];
  const born: number[] = [];
  const onBirth = (birth: Birth): void => void born.push(birth.born);
  process.on('workerMessage', onBirth);
  const threads = startThreads({
    count: 2,
    entry,
    settings: {
      engine: 'relay',
      limits,
      streams: { host: '127.0.0.1', reusePort: true },
      trustedProxies: [],
      nameRules: { allowLoopback: true },
      proxyProtocolFrom: [],
      proxyProtocolHttpsPorts: [],
      tls: null,
      healthCheck: null,
      httpsRedirect: null,
      strictTransportSecurity: null,
      accessLog: { format: 'off', filter: LOG_ALL, redact: [] },
      limitStore,
    },
    addresses: [{ host: address, port: PORT, reusePort: true }],
    onAccessLog: () => {},
    names: {
      resolve: async ({ host }) => ({ host, namespace: 'default', addresses: [], freshForMs: 5_000 }),
    },
    onFailure: (failure) => failures.push(failure),
  });
  const port = Number(pod.endpoint.split(':')[1]);
  return {
    threads,
    pod,
    address,
    failures,
    born,
    order: (thread, order) => postMessageToThread(thread, order),
    async ask(host, path = '/') {
      using client = await rawClient(PORT, address);
      client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      return (await client.message()).status;
    },
    publish: (...hosts) =>
      threads.distribute(tableOf(hosts.map((host) => ({ host, ports: [port] }))), emptyMap(), emptyMap()),
    async [Symbol.asyncDispose]() {
      await threads.drain(0);
      process.off('workerMessage', onBirth);
      await pod.stop();
    },
  };
}

function requests({ counters }: DataPlaneReport, ingress: string): number {
  const found = counters.flatMap((table) => [...countersOf(table)]).filter((each) => each.source === ingress);
  return found.flatMap(({ statusClasses }) => [...statusClasses]).reduce((sum, count) => sum + count, 0);
}

it('the threads ask a store that replicas share, and count by themselves when it is away', async () => {
  const store = await respServer();
  const address = { host: '127.0.0.1', port: store.port, tls: false };
  const user = { username: '', password: '', database: 0 };
  await using plane = await startDataPlane(ENTRY, { ...address, ...user });
  const port = Number(plane.pod.endpoint.split(':')[1]);
  const rates = [{ amount: 1, perMs: 3_600_000, burst: 19 }];
  const config = { namespace: 'default', ingress: 'a', rates, scope: 'cluster' as const, exempt: null };
  const statuses = { rateStatus: 429, concurrency: null, concurrencyStatus: 429 };
  const site = { host: 'a.test', ports: [port], policies: { 'rate-limit': { ...config, ...statuses } } };
  plane.threads.distribute(tableOf([site]), emptyMap(), emptyMap());
  await plane.threads.listening;
  await eventually(async () => store.commands.filter((command) => command === 'SCRIPT').length === 2);
  expect(await plane.ask('a.test')).toBe(200);
  await eventually(async () => store.commands.includes('EVALSHA') || (await plane.ask('a.test')) !== 200);
  expect(store.commands).toContain('EVALSHA');
  await store[Symbol.asyncDispose]();
  const kinds = (): readonly string[] => plane.failures.map(({ kind }) => kind);
  await eventually(async () => kinds().filter((kind) => kind === 'limit-store-away').length === 2);
  const before = (await plane.threads.report()).limitStoreMisses;
  expect(await plane.ask('a.test')).toBe(200);
  expect((await plane.threads.report()).limitStoreMisses).toBe(before + 1);
});

it('nothing is accepted before there is a table, and then every thread serves by it', async () => {
  await using plane = await startDataPlane();
  await eventually(async () => plane.born.length === 2);
  expect(plane.threads.serving()).toBe(false);
  expect(plane.threads.adoptedGeneration()).toBe(-1);
  await expect(plane.ask('a.test')).rejects.toThrow('ECONNREFUSED');

  plane.publish('a.test');
  expect(await plane.threads.listening).toEqual([PORT]);
  expect(plane.threads.serving()).toBe(true);
  for (let asked = 0; asked < 32; asked++) expect(await plane.ask('a.test')).toBe(200);
  const report = await plane.threads.report();
  expect(requests(report, 'default/a.test')).toBe(32);
  // Asked one after the other each thread needs one connection to the pod: so both were asked.
  expect(report.gauges.upstreamConnections).toBe(2);
  expect([report.threads, report.deaths]).toEqual([2, 0]);
  // A heap with the engine in it, and not the memory of the whole process.
  expect(report.memoryBytes.map((bytes) => bytes > 5e6 && bytes < 60e6)).toEqual([true, true]);

  // From here on differences are sent.
  plane.publish('a.test', 'b.test');
  plane.publish('b.test');
  const generation = (await plane.threads.report()).adoptedGeneration;
  for (let asked = 0; asked < 16; asked++) {
    expect(await plane.ask('b.test')).toBe(200);
    expect(await plane.ask('a.test')).toBe(404);
  }
  expect(plane.threads.adoptedGeneration()).toBe(generation);
});

it('a thread that dies is counted and replaced; the other one serves on, and nothing counted is lost', async () => {
  await using plane = await startDataPlane();
  plane.publish('a.test');
  await plane.threads.listening;
  for (let asked = 0; asked < 32; asked++) await plane.ask('a.test');
  expect(requests(await plane.threads.report(), 'default/a.test')).toBe(32);

  // Connections on both threads; those of one of them outlive the death of the other.
  const clients = await Promise.all(Array.from({ length: 32 }, () => rawClient(PORT, plane.address)));
  const [victim = 0, survivor = 0] = plane.born;
  await plane.order(victim, { die: 'now' });
  await eventually(async () => plane.failures.length === 1);
  expect(plane.failures[0]).toMatchObject({ kind: 'died', retryInMs: 100 });
  expect(plane.failures[0]).toHaveProperty(
    'reason',
    expect.stringContaining(`thread ${victim} was told to die`),
  );
  expect(plane.threads.serving()).toBe(false);
  let alive = 0;
  for (const client of clients) {
    client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    alive += await client.message().then(
      ({ status }) => Number(status === 200),
      () => 0,
    );
  }
  expect(alive).toBeGreaterThan(0);
  expect(alive).toBeLessThan(32);
  for (const client of clients) client[Symbol.dispose]();

  // What is published while one is missing reaches the new one, as a full table.
  plane.publish('a.test', 'later.test');
  await eventually(async () => plane.threads.serving());
  expect(plane.born).toHaveLength(3);
  expect(plane.born.slice(1)).toContain(survivor);
  const before = requests(await plane.threads.report(), 'default/a.test');
  expect(before).toBe(32 + alive);
  for (let asked = 0; asked < 32; asked++) expect(await plane.ask('later.test')).toBe(200);
  const report = await plane.threads.report();
  expect([report.threads, report.deaths]).toEqual([2, 1]);
  expect(requests(report, 'default/later.test')).toBe(32);
  expect(requests(report, 'default/a.test')).toBe(before);
  expect(report.gauges.upstreamConnections).toBe(2);

  // Dying again, and soon, it is given more time.
  await plane.order(plane.born[2] ?? 0, { die: 'now' });
  await eventually(async () => plane.failures.length === 2);
  expect(plane.failures[1]).toMatchObject({ kind: 'died', retryInMs: 200 });
  await eventually(async () => plane.threads.serving());
  expect((await plane.threads.report()).deaths).toBe(2);
});

it('a thread that dies while it is asked for its counters is counted once', async () => {
  await using plane = await startDataPlane(ENTRY, null, { ...DEFAULT_LIMITS, connections: 2 });
  plane.publish('a.test');
  await plane.threads.listening;
  for (let asked = 0; asked < 32; asked++) await plane.ask('a.test');
  const idle = await Promise.all(Array.from({ length: 24 }, () => rawClient(PORT, plane.address)));
  const evictions = async (): Promise<number> => {
    const { evicted, refused } = (await plane.threads.report()).gauges;
    return evicted + refused;
  };
  await eventually(async () => (await evictions()) >= 20);
  const evicted = await evictions();
  expect(requests(await plane.threads.report(), 'default/a.test')).toBe(32);
  await plane.order(plane.born[0] ?? 0, { die: 'at the next report' });
  const counted: number[] = [];
  while (plane.failures.length === 0) counted.push(requests(await plane.threads.report(), 'default/a.test'));
  counted.push(requests(await plane.threads.report(), 'default/a.test'));
  expect(new Set(counted)).toEqual(new Set([32]));
  expect(await evictions()).toBe(evicted);
  for (const client of idle) client[Symbol.dispose]();
});

it('a thread that cannot start is tried again, ever more slowly', async () => {
  const broken = new URL('data:text/javascript,throw new Error("no such engine")');
  await using plane = await startDataPlane(broken);
  plane.publish('a.test');
  await eventually(async () => plane.failures.length >= 4);
  const delays = plane.failures.map((failure) => (failure.kind === 'died' ? failure.retryInMs : 0));
  expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
  expect(plane.failures[0]).toHaveProperty('reason', expect.stringContaining('no such engine'));
  expect(plane.threads.serving()).toBe(false);
});

describe('threads that are given one table after the other', () => {
  let plane: DataPlane;
  beforeAll(async () => {
    plane = await startDataPlane();
  });
  afterAll(() => plane[Symbol.asyncDispose]());
  // What a thread is asked it answers after what it was given before.
  const adopted = (): Promise<unknown> => plane.threads.report();

  it('an entry that cannot be sent is left out: everything else is served, and later changes arrive', async () => {
    const broken = tableOf([
      { host: 'a.test', ports: [1] },
      { host: 'bad.test', ports: [1] },
    ]);
    const bad = { ...get(broken.hosts, 'bad.test'), notPlainData: () => {} } as unknown as HostRoutes;
    const hosts = edit(broken.hosts);
    hosts.set('bad.test', bad);
    plane.threads.distribute({ ...broken, hosts: hosts.done() }, emptyMap(), emptyMap());
    await plane.threads.listening;
    expect(plane.failures).toEqual([1, 2].map(() => ({ kind: 'left-out', entries: ['host bad.test'] })));
    expect(await plane.ask('a.test')).toBe(502);
    expect(await plane.ask('bad.test')).toBe(404);

    plane.publish('a.test', 'later.test');
    await eventually(
      async () => (await plane.ask('later.test')) === 200 && (await plane.ask('a.test')) === 200,
    );
    expect((await plane.threads.report()).deaths).toBe(0);
  });

  it('a table that a thread cannot adopt leaves it the one before, until it is sent another', async () => {
    plane.publish('a.test');
    await adopted();
    const before = plane.failures.length;
    const backends = mapOf([['default/a.test:80', { endpoints: null }]]);
    plane.threads.distribute({ ...tableOf([]), backends } as unknown as RouteTable, emptyMap(), emptyMap());
    await eventually(async () => plane.failures.length >= before + 2);
    expect(new Set(plane.failures.slice(before).map(({ kind }) => kind))).toEqual(new Set(['table-failed']));
    expect(await plane.ask('a.test')).toBe(200);

    plane.publish('later.test');
    await eventually(
      async () => (await plane.ask('later.test')) === 200 && (await plane.ask('a.test')) === 404,
    );
    expect((await plane.threads.report()).deaths).toBe(0);
  });

  it('the threads count a client together', async () => {
    const port = Number(plane.pod.endpoint.split(':')[1]);
    const rates = [{ amount: 1, perMs: 3_600_000, burst: 9 }];
    const config = { namespace: 'default', ingress: 'a', rates, exempt: null };
    const statuses = {
      scope: 'replica' as const,
      rateStatus: 429,
      concurrency: null,
      concurrencyStatus: 429,
    };
    const site = {
      host: 'counted.test',
      ports: [port],
      policies: { 'rate-limit': { ...config, ...statuses } },
    };
    plane.threads.distribute(tableOf([site]), emptyMap(), emptyMap());
    await adopted();
    const answers: number[] = [];
    for (let asked = 0; asked < 40; asked++) answers.push(await plane.ask('counted.test'));
    expect(answers).toEqual([...Array(10).fill(200), ...Array(30).fill(429)]);
    // Both of them had requests to count.
    const { counters } = await plane.threads.report();
    const counted = (table: DataPlaneReport['counters'][number]): boolean =>
      [...countersOf(table)].some(({ source }) => source === 'default/counted.test');
    expect(counters.filter(counted)).toHaveLength(2);
  });
});

it('a port in use is said with its code, and who waits for the port is told', async () => {
  await using plane = await startDataPlane();
  const holder = createServer().listen(PORT, plane.address);
  await happens(holder, 'listening');
  try {
    plane.publish('a.test');
    await expect(plane.threads.listening).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(plane.failures[0]).toMatchObject({ kind: 'listen-failed', code: 'EADDRINUSE' });
    expect(plane.threads.serving()).toBe(false);
  } finally {
    holder.close();
  }
});

it('draining ends every thread: what is under way may finish, and what is cut is counted over all of them', async () => {
  for (const finishes of [true, false]) {
    await using plane = await startDataPlane();
    plane.publish('a.test');
    await plane.threads.listening;
    const asked = Promise.allSettled(Array.from({ length: 16 }, () => plane.ask('a.test', '/slow')));
    await plane.pod.holds(16);
    const drained = plane.threads.drain(finishes ? 60_000 : 0);
    if (finishes) plane.pod.release();
    expect(await drained).toBe(finishes ? 0 : 16);
    const outcomes = (await asked).map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : 'cut'));
    expect(new Set(outcomes)).toEqual(new Set([finishes ? 200 : 'cut']));
    await expect(plane.ask('a.test')).rejects.toThrow('ECONNREFUSED');
    expect(plane.failures).toEqual([]);
    expect((await plane.threads.report()).threads).toBe(0);
    expect(requests(await plane.threads.report(), 'default/a.test')).toBe(16);
  }
});
