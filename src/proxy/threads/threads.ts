import { type HandshakeTotals, NO_HANDSHAKES, addHandshakes } from '../tls/handshake-counters.ts';
import { descriptorLimit } from '../descriptors.ts';
import { type StreamsMemory, forgetHops, streamsMemory } from '../stream/streams-memory.ts';
import { StreamCounters, type StreamTotals } from '../stream/stream-counters.ts';
import { randomFillSync } from 'node:crypto';
import { type MessagePort, Worker } from 'node:worker_threads';
import { endWorker } from './end-worker.ts';
import { PASSWORD_WORKER } from './messages.ts';
import type {
  FromThread,
  LogDestination,
  ListenFailure,
  ThreadFault,
  LimitStoreChange,
  OutOfDescriptors,
  ThreadReport,
  ThreadData,
  ThreadSettings,
  ToThread,
} from './messages.ts';
import type { Answer, Answers, Question } from '../inspector.ts';
import { type CountedSource, type CounterTable, RequestCounters } from '../request-metrics.ts';
import { forgetCounts, sharedLimitsMemory } from '../../policies/limits/shared-limits.ts';
import type { DebugLine, DebugSession } from '../debug/debug-session.ts';
import type { SentSpans } from '../tracing/span-batch.ts';
import type { NameResolver } from '../balance/name-resolver.ts';
import type { EngineGauges, ListenAddress } from '../engine.ts';
import type { SecretData } from '../../model/secret-data.ts';
import type { KeyPair } from '../../model/secrets.ts';
import { type ShardedMap, difference, emptyMap } from '../../model/sharded-map.ts';
import { PortStates } from './port-states.ts';
import type { PortFacts } from '../../routing/gateway/serving-facts.ts';
import type { RouteTable } from '../../routing/table.ts';
import { type MapUpdate, copyableTable, tableUpdate } from '../../routing/table-update.ts';

export interface ThreadsOptions {
  readonly count: number;
  /** The module a thread runs: `thread.ts`, or the bundle that contains it. */
  readonly entry: URL;
  readonly settings: ThreadSettings;
  /** Each thread listens on all of them. */
  readonly addresses: readonly ListenAddress[];
  readonly onAccessLog: (sink: LogDestination, lines: string, droppedBytes: number) => void;
  readonly onSpans?: (spans: SentSpans) => void;
  readonly onDebugLine?: (line: DebugLine) => void;
  /** Resolves the ExternalNames that threads ask for. */
  readonly names: NameResolver;
  /** What goes wrong with one thread. Serving goes on in the others. */
  readonly onFailure: (trouble: ThreadFailure) => void;
  /** A port of Gateways or of a TCP or UDP service cannot be listened on, can be again, or every thread listens on it. */
  readonly onPortChange?: (key: string) => void;
}

export type ThreadFailure =
  | ListenFailure
  | OutOfDescriptors
  | LimitStoreChange
  | ThreadFault
  /** It is replaced after `retryInMs`. */
  | { readonly kind: 'died'; readonly reason: string; readonly retryInMs: number }
  /** A table could not be sent or adopted. The thread serves by the one it has, and is sent a whole one then. */
  | { readonly kind: 'table-failed'; readonly reason: string; readonly retryInMs: number }
  /** These entries of a table cannot be sent; the rest is in service. */
  | { readonly kind: 'left-out'; readonly entries: readonly string[] };

export interface DataPlaneReport {
  /** Of each thread, and of all threads that died. */
  readonly counters: readonly CounterTable[];
  readonly gauges: EngineGauges;
  readonly threads: number;
  readonly deaths: number;
  /** What threw in threads while they served, and cost no more than an exchange or a connection each. */
  readonly faults: number;
  readonly droppedMirrors: number;
  /** Spans of requests that threads dropped because the control thread was behind. */
  readonly droppedSpans: number;
  readonly streams: readonly StreamTotals[];
  readonly handshakes: HandshakeTotals;
  /** Requests for which the limit store could not be asked in time. */
  readonly limitStoreMisses: number;
  /** Of each thread. */
  readonly memoryBytes: readonly number[];
  /** The oldest generation that some thread still serves by. */
  readonly adoptedGeneration: number;
}

/** The data plane as the control thread sees it: some threads that serve by the table they were sent last. */
export interface Threads {
  /** Sends what changed since the table, the keys and the data of Secrets that each thread has. Returns at once. */
  distribute(table: RouteTable, keys: ShardedMap<KeyPair>, secrets: ShardedMap<SecretData>): void;
  /** What TLS session tickets are sealed with from now on, by every thread: 48 random bytes. */
  useTicketKey(key: Uint8Array): void;
  /** What every thread tells of requests from now on. */
  debug(sessions: readonly DebugSession[]): void;
  /** Resolves with the ports when every thread has adopted a table and listens; rejects when one cannot listen. */
  readonly listening: Promise<readonly number[]>;
  /** Whether every thread that should serve listens and has adopted a table. */
  serving(): boolean;
  /** The generation that every thread serves by. */
  adoptedGeneration(): number;
  report(): Promise<DataPlaneReport>;
  /** Asks every thread; one that does not answer within a second is left out. */
  inspect<K extends keyof Answers>(
    question: Question & { readonly kind: K },
  ): Promise<readonly Inspected<K>[]>;
  /** Why ports of Gateways and services cannot be listened on, by their keys in the table. Another map with each change. */
  portFailures(): ReadonlyMap<string, string>;
  /** What became of those ports. Another object after each change. */
  portFacts(): PortFacts;
  /** Whether every thread listens on a port of a Gateway or service, by its key in the table. */
  isPortBound(key: string): boolean;
  /** Drops the counters of sources that are gone. */
  forget(sources: readonly CountedSource[]): void;
  /** Drains all threads and ends them. Resolves with the number of exchanges aborted at the deadline. */
  drain(timeoutMs: number): Promise<number>;
  /** One did not end when it was told to, so that the process cannot exit. */
  hasStuckThread(): boolean;
}

/** What one thread answered. */
export interface Inspected<K extends keyof Answers> {
  /** The same for as long as the thread lives. */
  readonly thread: number;
  /** The generation that it serves by; -1 before the first. */
  readonly generation: number;
  readonly listening: boolean;
  /** Null when it did not answer in time. */
  readonly answer: Answers[K] | null;
}

interface Distributed {
  readonly table: RouteTable;
  readonly keys: ShardedMap<KeyPair>;
  readonly secrets: ShardedMap<SecretData>;
}

interface Thread {
  readonly id: number;
  readonly worker: Worker;
  /** Null when the thread needs a whole one. */
  sent: RouteTable | null;
  askedToListen: boolean;
  retry: NodeJS.Timeout | null;
  retryDelayMs: number;
  sentKeys: ShardedMap<KeyPair>;
  sentSecrets: ShardedMap<SecretData>;
  adoptedGeneration: number;
  listening: boolean;
  lastReport: ThreadReport | null;
}

const RESTART_FLOOR_MS = 100;
const RESTART_CEILING_MS = 30_000;
/** A thread that served this long is healthy: the next death starts from the floor again. */
const HEALTHY_AFTER_MS = 60_000;
/** A thread that does not reply within this time is busy or stuck; its last report is used. */
const REPLY_TIMEOUT_MS = 1_000;
/** What a thread is given beyond the drain time before it is ended. */
const DRAIN_GRACE_MS = 2_000;

const NOTHING_ADOPTED = -1;
const NO_GAUGES: EngineGauges = {
  clientConnections: 0,
  upstreamConnections: 0,
  inFlight: 0,
  tunnels: 0,
  heldBytes: 0,
  evicted: 0,
  refused: 0,
  shed: 0,
  descriptorFailures: 0,
};

/** Starts the threads; each listens once it is sent a table. One that ends is replaced until `drain`. */
export function startThreads(options: ThreadsOptions): Threads {
  return new DataPlaneThreads(options);
}

class DataPlaneThreads implements Threads {
  readonly #options: ThreadsOptions;
  readonly #threads = new Set<Thread>();
  /** What waits for the report or the answer of a number. */
  readonly #replies = new Map<number, (answer: Answer | null) => void>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  readonly #listening = Promise.withResolvers<readonly number[]>();
  #newest: Distributed | null = null;
  #ticketKey: Uint8Array | null = null;
  #debug: readonly DebugSession[] = [];
  #passwordWorker: Worker | null = null;
  #addresses: readonly ListenAddress[];
  readonly #portStates = new PortStates<Thread>();
  readonly #limits = sharedLimitsMemory(randomFillSync);
  readonly #streams: StreamsMemory;
  /** The counters of threads that have ended. */
  readonly #retired = new RequestCounters();
  #nextReplyId = 0;
  #nextThreadId = 0;
  #deaths = 0;
  /** What is counted of these since the start. */
  #retiredGauges = NO_GAUGES;
  #retiredFaults = 0;
  readonly #retiredStreams = new StreamCounters();
  #retiredHandshakes = NO_HANDSHAKES;
  #retiredDroppedMirrors = 0;
  #retiredDroppedSpans = 0;
  #retiredMisses = 0;
  #draining = false;
  #hasStuckThread = false;
  #restartDelayMs = RESTART_FLOOR_MS;

  constructor(options: ThreadsOptions) {
    this.#options = options;
    this.#addresses = options.addresses;
    this.#streams = streamsMemory(descriptorLimit(), options.count);
    // A failure is reported through onFailure; this promise also tells a caller that asks for the port.
    this.#listening.promise.catch(() => {});
    const first = hasAnyPort(options.addresses) ? 1 : options.count;
    for (let i = 0; i < first; i++) this.#start();
  }

  get listening(): Promise<readonly number[]> {
    return this.#listening.promise;
  }

  distribute(table: RouteTable, keys: ShardedMap<KeyPair>, secrets: ShardedMap<SecretData>): void {
    this.#newest = { table, keys, secrets };
    for (const thread of this.#threads) this.#sendNewest(thread);
  }

  useTicketKey(key: Uint8Array): void {
    this.#ticketKey = key;
    for (const thread of this.#threads) this.#send(thread, { kind: 'ticket-key', key });
  }

  debug(sessions: readonly DebugSession[]): void {
    this.#debug = sessions;
    for (const thread of this.#threads) this.#send(thread, { kind: 'debug', sessions });
  }

  serving(): boolean {
    return (
      this.#threads.size === this.#options.count &&
      [...this.#threads].every((t) => t.listening && t.adoptedGeneration !== NOTHING_ADOPTED)
    );
  }

  adoptedGeneration(): number {
    return this.#threads.size === 0
      ? NOTHING_ADOPTED
      : Math.min(...[...this.#threads].map((thread) => thread.adoptedGeneration));
  }

  async report(): Promise<DataPlaneReport> {
    await Promise.all(
      [...this.#threads].map((thread) => this.#ask(thread, (id) => ({ kind: 'report', id }))),
    );
    // A thread that died meanwhile is among the retired already, and must not be counted twice.
    const all = [...this.#threads].flatMap(({ lastReport }) => lastReport ?? []);
    const gauges = all.reduce((sum, { gauges }) => addGauges(sum, gauges), this.#retiredGauges);
    return {
      counters: [this.#retired.table(), ...all.map((report) => report.counters)],
      gauges,
      streams: this.#retiredStreams.sumWith(all.flatMap((report) => report.streams)),
      handshakes: all.reduce((sum, each) => addHandshakes(sum, each.handshakes), this.#retiredHandshakes),
      threads: this.#threads.size,
      deaths: this.#deaths,
      limitStoreMisses: all.reduce((sum, report) => sum + report.limitStoreMisses, this.#retiredMisses),
      faults: all.reduce((sum, report) => sum + report.faults, this.#retiredFaults),
      droppedMirrors: all.reduce((sum, report) => sum + report.droppedMirrors, this.#retiredDroppedMirrors),
      droppedSpans: all.reduce((sum, report) => sum + report.droppedSpans, this.#retiredDroppedSpans),
      memoryBytes: all.map((report) => report.memoryBytes),
      adoptedGeneration: this.adoptedGeneration(),
    };
  }

  inspect<K extends keyof Answers>(
    question: Question & { readonly kind: K },
  ): Promise<readonly Inspected<K>[]> {
    return Promise.all(
      [...this.#threads].map(async (thread) => {
        const answer = await this.#ask(thread, (id) => ({ kind: 'inspect', id, question }));
        const { id, adoptedGeneration: generation, listening } = thread;
        // A thread answers what it was asked.
        const value = (answer?.value ?? null) as Answers[K] | null;
        return { thread: id, generation, listening, answer: value };
      }),
    );
  }

  portFailures(): ReadonlyMap<string, string> {
    return this.#portStates.failures;
  }

  portFacts(): PortFacts {
    return this.#portStates.facts;
  }

  isPortBound(key: string): boolean {
    return this.#portStates.isBound(key);
  }

  forget(sources: readonly CountedSource[]): void {
    this.#retired.forget(sources);
    for (const thread of this.#threads) this.#send(thread, { kind: 'forget', sources });
  }

  hasStuckThread(): boolean {
    return this.#hasStuckThread;
  }

  async drain(timeoutMs: number): Promise<number> {
    this.#draining = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const { retry } of this.#threads) if (retry) clearTimeout(retry);
    const counts = await Promise.all(
      [...this.#threads].map((thread) => this.#drainThread(thread, timeoutMs)),
    );
    if (this.#passwordWorker) await this.#end(this.#passwordWorker);
    return counts.reduce((sum, aborted) => sum + aborted, 0);
  }

  #send(thread: Thread, message: ToThread): void {
    thread.worker.postMessage(message);
  }

  #sendKeys(thread: Thread, update: MapUpdate<KeyPair>): void {
    if (update.length > 0) this.#send(thread, { kind: 'keys', update });
  }

  #sendSecrets(thread: Thread, update: MapUpdate<SecretData>): void {
    if (update.length > 0) this.#send(thread, { kind: 'secrets', update });
  }

  #sendNewest(thread: Thread): void {
    if (!this.#newest || thread.retry) return;
    try {
      this.#sendTable(thread, this.#newest);
    } catch (error) {
      this.#tableFailed(thread, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  #sendTable(thread: Thread, { table, keys, secrets }: Distributed): void {
    const keyUpdate = updateOf(thread.sentKeys, keys);
    const secretUpdate = updateOf(thread.sentSecrets, secrets);
    // A Secret is there before the table that names it, and goes after the last one that did.
    this.#sendKeys(thread, keyUpdate.filter(isThere));
    this.#sendSecrets(thread, secretUpdate.filter(isThere));
    if (thread.sent !== table) this.#sendUpdate(thread, table);
    thread.sent = table;
    this.#sendKeys(thread, keyUpdate.filter(isGone));
    this.#sendSecrets(thread, secretUpdate.filter(isGone));
    thread.sentKeys = keys;
    thread.sentSecrets = secrets;
    // No connection is accepted before there is a table to serve it by.
    if (!thread.askedToListen) this.#send(thread, { kind: 'listen', addresses: this.#addresses });
    thread.askedToListen = true;
  }

  /** One entry that cannot be copied keeps no other from the thread. */
  #sendUpdate(thread: Thread, table: RouteTable): void {
    try {
      this.#send(thread, { kind: 'table', update: tableUpdate(thread.sent, table) });
    } catch {
      const { copyable, leftOut } = copyableTable(table);
      this.#send(thread, { kind: 'table', update: tableUpdate(null, copyable) });
      this.#options.onFailure({ kind: 'left-out', entries: leftOut });
    }
  }

  /** The thread serves on by the table it has; what it is sent next is a whole one. */
  #tableFailed(thread: Thread, reason: string): void {
    thread.sent = null;
    if (thread.retry || this.#draining) return;
    const retryInMs = thread.retryDelayMs;
    thread.retryDelayMs = Math.min(retryInMs * 2, RESTART_CEILING_MS);
    this.#options.onFailure({ kind: 'table-failed', reason, retryInMs });
    thread.retry = setTimeout(() => {
      thread.retry = null;
      this.#sendNewest(thread);
    }, retryInMs);
  }

  #start(): void {
    const workerData: ThreadData = {
      settings: this.#options.settings,
      limits: this.#limits,
      streams: this.#streams,
    };
    const worker = new Worker(this.#options.entry, { workerData });
    const thread: Thread = {
      id: this.#nextThreadId++,
      worker,
      sent: null,
      askedToListen: false,
      retry: null,
      retryDelayMs: RESTART_FLOOR_MS,
      sentKeys: emptyMap(),
      sentSecrets: emptyMap(),
      adoptedGeneration: NOTHING_ADOPTED,
      listening: false,
      lastReport: null,
    };
    this.#threads.add(thread);
    const startedAt = performance.now();
    let reason = '';
    worker.on('message', (message: FromThread) => this.#receive(thread, message));
    worker.on(
      'error',
      (error) => (reason = error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    worker.on('exit', (code) => {
      forgetCounts(this.#limits);
      forgetHops(this.#streams);
      this.#threads.delete(thread);
      for (const key of this.#portStates.forget(thread)) this.#options.onPortChange?.(key);
      if (thread.retry) clearTimeout(thread.retry);
      if (thread.lastReport) {
        for (const _ of this.#retired.add(thread.lastReport.counters));
        this.#retiredStreams.addEnded(thread.lastReport.streams);
        this.#retiredHandshakes = addHandshakes(this.#retiredHandshakes, thread.lastReport.handshakes);
        this.#retiredGauges = addGauges(this.#retiredGauges, countedOf(thread.lastReport.gauges));
        this.#retiredFaults += thread.lastReport.faults;
        this.#retiredDroppedMirrors += thread.lastReport.droppedMirrors;
        this.#retiredDroppedSpans += thread.lastReport.droppedSpans;
        this.#retiredMisses += thread.lastReport.limitStoreMisses;
      }
      if (this.#draining) return;
      this.#deaths++;
      if (performance.now() - startedAt > HEALTHY_AFTER_MS) this.#restartDelayMs = RESTART_FLOOR_MS;
      const retryInMs = this.#restartDelayMs;
      this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, RESTART_CEILING_MS);
      this.#options.onFailure({ kind: 'died', reason: reason || `exit code ${code}`, retryInMs });
      const timer = setTimeout(() => {
        this.#restarts.delete(timer);
        this.#start();
      }, retryInMs);
      this.#restarts.add(timer);
    });
    if (this.#ticketKey) this.#send(thread, { kind: 'ticket-key', key: this.#ticketKey });
    if (this.#debug.length > 0) this.#send(thread, { kind: 'debug', sessions: this.#debug });
    this.#sendNewest(thread);
  }

  #receive(thread: Thread, message: FromThread): void {
    switch (message.kind) {
      case 'adopted':
        thread.adoptedGeneration = message.generation;
        thread.retryDelayMs = RESTART_FLOOR_MS;
        break;
      case 'adopt-failed':
        this.#tableFailed(thread, message.reason);
        break;
      case 'resolve':
        void this.#options.names.resolve(message.name).then((answer) => {
          if (this.#threads.has(thread)) this.#send(thread, { kind: 'name', answer });
        });
        break;
      case 'hash-passwords':
        this.#hashPasswords(message.port);
        break;
      case 'listening':
        thread.listening = true;
        // Port 0 means "any": the first thread finds one and the others join it.
        if (hasAnyPort(this.#addresses)) {
          this.#addresses = this.#addresses.map((address, index) => ({
            ...address,
            port: message.ports[index] ?? 0,
          }));
          while (this.#threads.size < this.#options.count) this.#start();
        }
        if (this.serving()) this.#listening.resolve(message.ports);
        break;
      case 'listen-failed':
        this.#options.onFailure(message);
        this.#listening.reject(Object.assign(new Error(message.message), { code: message.code }));
        break;
      case 'limit-store-away':
      case 'limit-store-back':
      case 'out-of-descriptors':
      case 'fault':
        this.#options.onFailure(message);
        break;
      case 'port':
        if (this.#portStates.set(thread, message.key, message.state, this.#options.count))
          this.#options.onPortChange?.(message.key);
        break;
      case 'report':
        thread.lastReport = message.report;
        this.#replies.get(message.id)?.(null);
        break;
      case 'inspected':
        this.#replies.get(message.id)?.(message.answer);
        break;
      case 'access-log':
        this.#options.onAccessLog(message.sink, message.lines, message.droppedBytes);
        this.#send(thread, { kind: 'log-taken', sink: message.sink, characters: message.lines.length });
        break;
      case 'debug-line':
        this.#options.onDebugLine?.(message.line);
        break;
      case 'spans':
        this.#options.onSpans?.(message);
        this.#send(thread, { kind: 'spans-taken', count: message.count });
        break;
      case 'drained':
        thread.lastReport = message.report;
        break;
    }
  }

  /** All threads share the one that hashes, which is started with the first password. */
  #hashPasswords(port: MessagePort): void {
    if (this.#draining) return port.close();
    let worker = this.#passwordWorker;
    if (!worker) {
      worker = new Worker(this.#options.entry, { workerData: PASSWORD_WORKER });
      this.#passwordWorker = worker;
      worker.on('error', (error) => this.#options.onFailure({ kind: 'fault', stack: String(error) }));
      worker.on('exit', () => {
        if (this.#passwordWorker === worker) this.#passwordWorker = null;
      });
    }
    worker.postMessage(port, [port]);
  }

  /** Resolves when the thread has replied, or will not: with the answer to a question, and otherwise null. */
  #ask(thread: Thread, messageOf: (id: number) => ToThread): Promise<Answer | null> {
    const id = this.#nextReplyId++;
    const { promise, resolve } = Promise.withResolvers<Answer | null>();
    const done = (answer: Answer | null): void => {
      clearTimeout(timer);
      this.#replies.delete(id);
      thread.worker.off('exit', giveUp);
      resolve(answer);
    };
    const giveUp = (): void => done(null);
    const timer = setTimeout(giveUp, REPLY_TIMEOUT_MS);
    this.#replies.set(id, done);
    thread.worker.once('exit', giveUp);
    this.#send(thread, messageOf(id));
    return promise;
  }

  async #drainThread(thread: Thread, timeoutMs: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const timer = setTimeout(() => resolve(1), timeoutMs + DRAIN_GRACE_MS);
    thread.worker.on('message', (message: FromThread) => {
      if (message.kind === 'drained') resolve(message.aborted);
    });
    thread.worker.on('exit', () => resolve(0));
    this.#send(thread, { kind: 'drain', timeoutMs });
    const aborted = await promise;
    clearTimeout(timer);
    await this.#end(thread.worker);
    return aborted;
  }

  async #end(worker: Worker): Promise<void> {
    if (!(await endWorker(worker))) this.#hasStuckThread = true;
  }
}

function updateOf<V>(sent: ShardedMap<V>, newest: ShardedMap<V>): MapUpdate<V> {
  return [...difference(sent, newest)].map(([key, value]) => [key, value ?? null] as const);
}

function isThere([, value]: readonly [string, unknown]): boolean {
  return value !== null;
}

function isGone([, value]: readonly [string, unknown]): boolean {
  return value === null;
}

function hasAnyPort(addresses: readonly ListenAddress[]): boolean {
  return addresses.some(({ port }) => port === 0);
}

function addGauges(a: EngineGauges, b: EngineGauges): EngineGauges {
  return {
    clientConnections: a.clientConnections + b.clientConnections,
    upstreamConnections: a.upstreamConnections + b.upstreamConnections,
    inFlight: a.inFlight + b.inFlight,
    tunnels: a.tunnels + b.tunnels,
    heldBytes: a.heldBytes + b.heldBytes,
    evicted: a.evicted + b.evicted,
    refused: a.refused + b.refused,
    shed: a.shed + b.shed,
    descriptorFailures: a.descriptorFailures + b.descriptorFailures,
  };
}

/** Of a thread that has ended, what it counted; it has no connections any more. */
function countedOf({ evicted, refused, shed, descriptorFailures }: EngineGauges): EngineGauges {
  return { ...NO_GAUGES, evicted, refused, shed, descriptorFailures };
}
