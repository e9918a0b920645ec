import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createEndpoints } from '../../../src/proxy/balance/endpoint-pool.ts';
import { DEFAULT_LIMITS, type Limits } from '../../../src/proxy/limits.ts';
import { StreamCounters } from '../../../src/proxy/stream/stream-counters.ts';
import type { StreamRecord } from '../../../src/proxy/stream/stream-record.ts';
import { Streams } from '../../../src/proxy/stream/streams.ts';
import { reset } from '../../../src/proxy/tls/termination.ts';
import { mapOf } from '../../../src/model/sharded-map.ts';
import { EMPTY_TABLE } from '../../../src/routing/table-update.ts';
import type { Backend } from '../../../src/routing/table.ts';
import { externalNames } from '../../support/external-names.ts';
import { SOCKETS } from '../../support/proxy.ts';
import { streamHops } from '../../support/streams.ts';
import { soon, until } from '../../support/until.ts';
import { happens } from '../../support/until.ts';

const open: (Socket | Server)[] = [];

afterEach(() => {
  for (const each of open.splice(0)) {
    if ('destroy' in each) each.destroy();
    else each.close();
  }
});

async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.push(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  open.push(server);
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A port that refuses connections. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await happens(server, 'close');
  return port;
}

interface Relayed {
  readonly streams: Streams;
  readonly faults: readonly unknown[];
  /** Of those that are over. */
  readonly records: readonly StreamRecord[];
  readonly counters: StreamCounters;
  /** A connection that is relayed to one of the ports. */
  connect(): Promise<Socket>;
}

async function relayTo(
  ports: readonly number[],
  limits: Partial<Limits> = {},
  preface?: Buffer,
  onStreamEnd: (record: StreamRecord) => void = () => undefined,
  /** What every connection waits for, such as the answer of a name server. */
  pending: Promise<void> | null = null,
): Promise<Relayed> {
  const key = 'default/db:5432';
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port }));
  const backend: Backend = { key, protocol: 'http', endpoints, externalName: null, unavailable: null };
  const pool = createEndpoints({ random: () => 0, externalNames: externalNames() });
  pool.adopt({ ...EMPTY_TABLE, backends: mapOf([[key, backend]]) });
  const faults: unknown[] = [];
  const counters = new StreamCounters();
  const records: StreamRecord[] = [];
  const streams = new Streams({
    endpoints: { choose: pool.choose.bind(pool), pending: () => pending },
    limits: { ...DEFAULT_LIMITS, ...limits },
    sockets: SOCKETS,
    now: Date.now,
    onFault: (fault) => void faults.push(fault),
    onOutOfDescriptors: () => undefined,
    places: Infinity,
    hops: streamHops(),
    counters,
    onStreamEnd(record) {
      records.push(record);
      onStreamEnd(record);
    },
  });
  const source = { protocol: 'tcp', port: 5432, clientAddress: '192.0.2.1' } as const;
  const port = await listen((socket) => streams.relay(socket, backend, source, { preface: preface ?? null }));
  return {
    streams,
    faults,
    records,
    counters,
    async connect() {
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      open.push(client);
      client.on('error', () => undefined);
      await happens(client, 'connect');
      return client;
    },
  };
}

/** Everything until the end; `reset` where it does not end in order. */
function rest(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('data', (part: Buffer) => parts.push(part)).resume();
  socket.once('end', () => resolve(Buffer.concat(parts).toString()));
  socket.once('close', () => resolve('reset'));
  return soon(promise, () => 'the end of a connection');
}

const echo = (socket: Socket): void => void socket.pipe(socket);

describe('a stream', () => {
  it('carries a half after the other one has ended, from both sides', async () => {
    const asksFirst = await relayTo([
      await listen((pod) => void pod.on('end', () => pod.end('all of it')).resume()),
    ]);
    const client = await asksFirst.connect();
    client.end('question');
    expect(await rest(client)).toBe('all of it');

    const got = Promise.withResolvers<string>();
    const podFirst = await relayTo([
      await listen((pod) => {
        pod.end('hello');
        void rest(pod).then(got.resolve);
      }),
    ]);
    const other = await podFirst.connect();
    expect(await rest(other)).toBe('hello');
    other.end('later');
    expect(await got.promise).toBe('later');
    for (const { streams } of [asksFirst, podFirst]) await until(() => streams.size === 0);
    expect(asksFirst.records).toMatchObject([
      {
        ...{ protocol: 'tcp', port: 5432, clientAddress: '192.0.2.1', backend: 'default/db:5432' },
        ...{ attempts: 1, receivedBytes: 8, sentBytes: 9, end: 'closed' },
      },
    ]);
    expect(asksFirst.counters.table()).toMatchObject([
      { protocol: 'tcp', port: 5432, open: 0, ends: { closed: 1 }, receivedBytes: 8, sentBytes: 9 },
    ]);
  });

  it('is over when its client goes away, or its Pod', async () => {
    const pods: Socket[] = [];
    const relayed = await relayTo([await listen((pod) => pods.push(pod.resume()))]);
    const client = await relayed.connect();
    await until(() => pods.length === 1);
    client.resetAndDestroy();
    expect(await rest(pods[0] as Socket)).toBe('reset');
    const other = await relayed.connect();
    await until(() => pods.length === 2);
    const end = rest(other);
    pods[1]?.resetAndDestroy();
    expect(await end).toBe('reset');
    await until(() => relayed.streams.size === 0);
    expect(relayed.records.map(({ end: how }) => how)).toEqual(['client-reset', 'upstream-reset']);
  });

  it('goes to another endpoint when one refuses, and is reset when all do', async () => {
    const one = await relayTo([await deadPort(), await listen(echo), await deadPort()]);
    const client = await one.connect();
    client.end('ping');
    expect(await rest(client)).toBe('ping');

    const none = await relayTo([await deadPort(), await deadPort()]);
    expect(await rest(await none.connect())).toBe('reset');
    await until(() => none.streams.size === 0);
    expect(none.records).toMatchObject([{ end: 'connect-failed', attempts: 2 }]);
    const nowhere = await relayTo([]);
    // It may be reset before the client knows that it is there.
    nowhere.connect().catch(() => undefined);
    await until(() => nowhere.records.length > 0);
    expect(nowhere.records).toMatchObject([{ end: 'no-endpoint', attempts: 0, endpoint: '' }]);
  });

  it('is read no faster than the other side takes it', async () => {
    const sent = 32 * 1024 * 1024;
    let pod: Socket | null = null;
    const relayed = await relayTo([await listen((socket) => void (pod = socket.pause()))]);
    const client = await relayed.connect();
    client.end(Buffer.alloc(sent, 'x'));
    await until(() => pod !== null);
    let before = -1;
    // Until the kernel and Portico hold all that they will hold.
    await until(async () => {
      const now = client.writableLength;
      await new Promise((resolve) => setTimeout(resolve, 50));
      const isStill = now === before;
      before = now;
      return isStill;
    });
    expect(client.writableLength).toBeGreaterThan(sent / 2);
    expect((await rest(pod as unknown as Socket)).length).toBe(sent);
  });

  it('ends after its time without a byte, and gives way when there are too many', async () => {
    const port = await listen((pod) => void pod.resume());
    const idle = await relayTo([port], { tunnelIdleTimeoutMs: 50 });
    expect(await rest(await idle.connect())).toBe('reset');
    expect(idle.records).toMatchObject([{ end: 'idle' }]);

    const full = await relayTo([await listen(echo)], { connections: 1 });
    const first = await full.connect();
    first.write('x');
    await happens(first, 'readable');
    const gone = rest(first);
    await full.connect();
    expect(await gone).toBe('reset');
    expect(full.records).toMatchObject([{ end: 'evicted', receivedBytes: 1 }]);
    expect(full.counters.table()).toMatchObject([{ open: 1, ends: { evicted: 1 } }]);
  });

  it('has its place while the name of its endpoint is looked up', async () => {
    const answer = Promise.withResolvers<void>();
    const waiting = await relayTo(
      [await listen(echo)],
      { connections: 1 },
      undefined,
      undefined,
      answer.promise,
    );
    const first = await waiting.connect();
    await until(() => waiting.streams.size === 1);
    // It may be reset before the client knows that it is connected.
    await waiting.connect().catch(() => null);
    await until(() => waiting.records.length === 1);
    expect(waiting.records).toMatchObject([{ end: 'too-many' }]);
    answer.resolve();
    first.end('hello');
    expect(await rest(first)).toBe('hello');
    expect(waiting.faults).toEqual([]);
  });

  it('sends what tells the Pod of the client before what the client sends', async () => {
    const relayed = await relayTo(
      [await listen(echo)],
      {},
      Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'),
    );
    const client = await relayed.connect();
    client.end('hello');
    expect(await rest(client)).toBe('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello');
  });

  it.each(['receivedBytes', 'sentBytes'] as const)(
    'ends alone by a fault where %s is counted, and the next one is relayed',
    async (name) => {
      const relayed = await relayTo([await listen(echo)]);
      const row = relayed.counters.of({ protocol: 'tcp', port: 5432 });
      const fault = new Error('fault');
      Object.defineProperty(row, name, {
        configurable: true,
        get: () => 0,
        set() {
          throw fault;
        },
      });
      const client = await relayed.connect();
      client.write('question');
      expect(await rest(client)).toBe('reset');
      expect(new Set(relayed.faults)).toEqual(new Set([fault]));
      expect(relayed.streams.size).toBe(0);
      Object.defineProperty(row, name, { value: 0, writable: true });
      const next = await relayed.connect();
      next.end('question');
      expect(await rest(next)).toBe('question');
      await until(() => relayed.streams.size === 0);
    },
  );

  it('is over however it ends, also where a fault comes of telling so', async () => {
    const fault = new Error('fault');
    const tell = (): void => {
      throw fault;
    };
    const pods: Socket[] = [];
    const port = await listen((pod) => void pods.push(pod.resume()));
    const relayed = await relayTo([port], {}, undefined, tell);
    const ways: ((client: Socket, pod: Socket) => void)[] = [
      (client, pod) => void (client.end(), pod.end()),
      (client) => client.resetAndDestroy(),
      (_, pod) => pod.resetAndDestroy(),
    ];
    for (const [index, end] of ways.entries()) {
      const client = await relayed.connect();
      client.write('x');
      await until(() => pods.length === index + 1);
      const closed = client.destroyed ? undefined : rest(client);
      end(client, pods[index] ?? client);
      await closed;
      await until(() => relayed.streams.size === 0 && relayed.faults.length === index + 1);
    }
    expect(new Set(relayed.faults)).toEqual(new Set([fault]));
    expect(relayed.records.map((record) => record.end)).toEqual(['closed', 'client-reset', 'upstream-reset']);
  });

  it('is waited for by a drain, which cuts what does not end', async () => {
    const relayed = await relayTo([await listen(echo)]);
    const ending = await relayed.connect();
    const staying = await relayed.connect();
    await until(() => relayed.streams.size === 2);
    const cut = rest(staying);
    const drained = relayed.streams.drain(300);
    ending.end('bye');
    expect(await rest(ending)).toBe('bye');
    expect(await drained).toBe(1);
    expect(await cut).toBe('reset');
    expect(relayed.faults).toEqual([]);
  });

  it('is closed by a reset also while its end is being sent', async () => {
    const port = await listen((socket) => socket.resume());
    const client = connect(port, '127.0.0.1');
    client.on('error', () => undefined);
    await happens(client, 'connect');
    client.end();
    // Node shuts the connection down in the next tick, and the system says so in the next turn.
    await new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)));
    const closed = happens(client, 'close');
    reset(client);
    await closed;
    expect(client.destroyed).toBe(true);
  });
});
