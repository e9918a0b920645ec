import { type Kind, type ObjectKey, objectKey } from '../model/objects.ts';
import type { ObjectChange } from '../model/snapshot.ts';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import { backoffMs, relistDelayMs } from '../kubernetes/backoff.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import type { Failure } from '../kubernetes/failure.ts';
import type { Log } from '../kubernetes/log.ts';
import { list } from './list.ts';
import { ObjectStore } from './object-store.ts';
import { type Resource, arrive, missingRight } from '../kubernetes/resources.ts';
import { type WatchEvent, endsInitialEvents, watch } from './watch.ts';

export interface ReflectorOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly resource: Resource;
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined;
  /** Objects of other namespaces are dropped on arrival. */
  readonly wanted: (namespace: string) => boolean;
  /** What changed, in the order in which it did; objects are frozen. */
  readonly onChanges: (changes: readonly ObjectChange[]) => void;
  /** Listed for the first time, or definitely forbidden to list a kind that can be done without. */
  readonly onListed: () => void;
  /** A list or watch failed for another reason than missing rights. */
  readonly onUnreachable: () => void;
  /** The API server answers this kind again, after it did not. */
  readonly onAnswered: () => void;
  /** `current` may be another. */
  readonly onStateChange: () => void;
}

const FORBIDDEN_RETRY_MS = 30_000;
const HEALTHY_AFTER_MS = 10_000;
const SHORT_WATCH_MS = 1000;
/** Kinds that are answered and lost again by turns must not wake one another in a tight loop. */
const WAKE_EVERY_MS = 5_000;
/** After this many invalid answers in a row, the resourceVersion itself is suspected. */
const RELIST_AFTER_FAILURES = 3;
/** A watch that is silent again may never bring anything, say through a proxy that buffers: then lists must do. */
const RELIST_AFTER_IDLE_TIMEOUTS = 2;
/** What a server answers to a streaming list that it does not serve, or only thinks it does: pages always work. */
const STREAMING_UNSERVED: ReadonlySet<string> = new Set(['unsupported', 'ended', 'silent']);

/**
 * Keeps a copy of one kind: lists it, watches it from there, and whatever happens goes on. It never gives up, and
 * what it has stays until a complete list says otherwise.
 */
export class Reflector {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly ended: Promise<void>;
  listed = false;
  lastEventAt: number | null = null;
  relists = 0;
  errors = 0;
  lastError: string | null = null;
  /** The API server's words while it forbids this kind. */
  forbidden: string | null = null;
  /** Whether the API server says that there is no such kind. */
  missing = false;

  #options: ReflectorOptions;
  #store: ObjectStore<Kind>;
  #stop = new AbortController();
  #resourceVersion: string | undefined;
  #streaming = true;
  #complete = false;
  #failures = 0;
  #idleTimeouts = 0;
  #expiries = 0;
  #listedAt = -Infinity;
  /** Ends the wait for the next attempt. */
  #pause = new AbortController();
  /** Whether that wait is for a server that did not answer, and did not say when it will. */
  #unanswered = false;
  #wokenAt = -Infinity;
  /** Whether the watch under way has delivered anything. */
  #healthy = false;
  /** The keys of the list in progress. */
  #seen: Set<ObjectKey> | undefined;

  constructor(options: ReflectorOptions) {
    this.resource = options.resource;
    this.namespace = options.namespace;
    this.#options = options;
    this.#store = new ObjectStore(options.resource.kind);
    this.ended = this.#run();
  }

  get objects(): number {
    return this.#store.size;
  }

  /** Whether what is held is what there is now, as far as can be told; a kind that may not be read never will be. */
  get current(): boolean {
    return (
      this.missing ||
      this.forbidden !== null ||
      (this.lastError === null && this.#resourceVersion !== undefined)
    );
  }

  /** Forgets everything; gives the changes that say so. */
  drop(): readonly ObjectChange[] {
    return this.#store.retain(new Set());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pause.abort();
    await this.ended;
  }

  /**
   * The API server answers another kind of this process: the next attempt need not wait for the end of its back-off.
   * The jitter of back-offs is there to spread nodes, not the kinds of one node.
   */
  wake(): void {
    const now = this.#options.clock.monotonicMs();
    if (!this.#unanswered || now - this.#wokenAt < WAKE_EVERY_MS) return;
    this.#wokenAt = now;
    this.#pause.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const delayMs = await this.#attempt().catch((error: unknown) => this.#resync(error));
      this.#options.onStateChange();
      if (delayMs > 0 && !signal.aborted) {
        this.#pause = new AbortController();
        await sleep(this.#options.clock, delayMs, this.#pause.signal);
      }
      this.#unanswered = false;
    }
  }

  /** One list or one watch; answers how long to wait before the next. */
  async #attempt(): Promise<number> {
    if (this.#resourceVersion !== undefined) return this.#watch();
    this.#seen = new Set();
    return this.#streaming ? this.#watch() : this.#listPages();
  }

  async #listPages(): Promise<number> {
    const outcome = await list({
      ...this.#options,
      signal: this.#stop.signal,
      onPage: (items) => {
        if (this.lastError !== null) this.#options.onAnswered();
        this.#emit(items.map((item) => this.#put(item)));
      },
    });
    if (outcome.kind !== 'listed') return this.#fail(outcome);
    this.#completeList(outcome.resourceVersion);
    return 0;
  }

  async #watch(): Promise<number> {
    const { clock, random } = this.#options;
    const listing = this.#resourceVersion === undefined;
    const openedAt = clock.wallMs();
    this.#healthy = false;
    const outcome = await watch({
      ...this.#options,
      resourceVersion: this.#resourceVersion,
      signal: this.#stop.signal,
      onOpen: () => this.#recover(),
      onEvents: (events) => this.#onEvents(events),
    });
    const livedMs = clock.wallMs() - openedAt;
    if (this.#healthy || livedMs >= HEALTHY_AFTER_MS) this.#failures = 0;
    if (listing && this.#resourceVersion === undefined && STREAMING_UNSERVED.has(outcome.kind)) {
      this.#streaming = false;
      return 0;
    }
    if (outcome.kind !== 'ended') return this.#fail(outcome);
    // A server that ends every watch at once must not be asked in a tight loop.
    return livedMs >= SHORT_WATCH_MS ? 0 : backoffMs(++this.#failures, random);
  }

  #onEvents(events: readonly WatchEvent[]): void {
    const changes: (ObjectChange | undefined)[] = [];
    let complete: string | undefined;
    for (const event of events) {
      const { resourceVersion } = event.object.metadata;
      if (endsInitialEvents(event) && this.#seen) complete = resourceVersion;
      else if (event.type === 'DELETED') changes.push(this.#delete(event.object));
      else if (event.type !== 'BOOKMARK') changes.push(this.#put(event.object));
      // Until a list is complete there is nowhere to resume.
      if (!this.#seen || complete) this.#resourceVersion = resourceVersion;
    }
    this.#healthy = true;
    this.#idleTimeouts = 0;
    this.lastEventAt = this.#options.clock.wallMs();
    this.#emit(changes);
    if (complete) this.#completeList(this.#resourceVersion ?? complete);
  }

  #put(item: unknown): ObjectChange | undefined {
    const object = arrive(this.resource.kind, item);
    if (!object || !this.#options.wanted(object.metadata?.namespace ?? '')) return undefined;
    this.#seen?.add(objectKey(object));
    return this.#store.put(object);
  }

  #delete(item: object): ObjectChange | undefined {
    const key = objectKey(item);
    this.#seen?.delete(key);
    return this.#store.delete(key);
  }

  #emit(changes: readonly (ObjectChange | undefined)[]): void {
    const real = changes.filter((change) => change !== undefined);
    if (real.length > 0) this.#options.onChanges(real);
  }

  #completeList(resourceVersion: string): void {
    if (this.#complete) this.relists++;
    this.#complete = true;
    const gone = this.#store.retain(this.#seen ?? new Set());
    this.#seen = undefined;
    this.#resourceVersion = resourceVersion;
    this.#listedAt = this.lastEventAt = this.#options.clock.wallMs();
    this.#emit(gone);
    this.#recover();
    this.#markListed();
  }

  #recover(): void {
    const answersAgain = this.lastError !== null;
    if (answersAgain) this.#note('info', 'the API server answers again');
    this.lastError = null;
    this.forbidden = null;
    this.missing = false;
    if (answersAgain) this.#options.onAnswered();
    this.#options.onStateChange();
  }

  #markListed(): void {
    if (this.listed) return;
    this.listed = true;
    this.#options.onListed();
  }

  /** Notes the failure; answers how long to wait before trying again. */
  #fail(failure: Failure): number {
    if (this.#stop.signal.aborted) return 0;
    const { random } = this.#options;
    if (failure.kind === 'expired') {
      this.#resourceVersion = undefined;
      this.#note('info', `listing again: ${failure.message}`);
      // Lists are dear: a server that forgets at once what it has just listed is not asked in a tight loop.
      this.#expiries =
        this.#options.clock.wallMs() - this.#listedAt < HEALTHY_AFTER_MS ? this.#expiries + 1 : 0;
      return relistDelayMs(this.#expiries, random);
    }
    this.#failures++;
    if (failure.kind === 'not-found' && this.resource.custom) {
      this.missing = true;
      this.#resourceVersion = undefined;
      this.#note('debug', failure.message);
      return backoffMs(this.#failures, random);
    }
    this.errors++;
    const right = failure.kind === 'forbidden' ? `${missingRight([this.resource], this.namespace)} ` : '';
    const isSaid = failure.message === this.lastError || this.#isExpected(failure);
    this.#note(isSaid ? 'debug' : 'warn', right + failure.message);
    this.lastError = failure.message;
    if (failure.kind !== 'forbidden') this.#options.onUnreachable();
    switch (failure.kind) {
      case 'forbidden':
        this.forbidden = failure.message;
        if (!this.resource.required) this.#markListed();
        return backoffMs(this.#failures, random, FORBIDDEN_RETRY_MS);
      case 'oversized':
        this.#resourceVersion = undefined;
        this.#streaming = false;
        return backoffMs(this.#failures, random);
      case 'garbled':
        if (this.#failures >= RELIST_AFTER_FAILURES) this.#resourceVersion = undefined;
        return backoffMs(this.#failures, random);
      case 'failed':
        this.#unanswered = failure.retryAfterMs === undefined;
        return backoffMs(this.#failures, random, failure.retryAfterMs);
      case 'silent':
        if (++this.#idleTimeouts >= RELIST_AFTER_IDLE_TIMEOUTS) this.#resourceVersion = undefined;
        this.#unanswered = true;
        return backoffMs(this.#failures, random);
      case 'unsupported':
        return backoffMs(this.#failures, random);
      case 'not-found':
        this.#unanswered = true;
        return backoffMs(this.#failures, random);
    }
  }

  /**
   * Of a kind that a CustomResourceDefinition defines: when it was just created, the API server needs a second, and says
   * so. And a cluster may have these kinds for others: one problem says of all of them that they may not be read.
   */
  #isExpected(failure: Failure): boolean {
    if (!this.resource.custom) return false;
    const isStarting = failure.kind === 'failed' && failure.retryAfterMs !== undefined && !this.listed;
    return failure.kind === 'forbidden' || isStarting;
  }

  /** A bug of ours must not end the watch either: what is held may be wrong, so everything is listed again. */
  #resync(error: unknown): number {
    this.#store.forgetVersions();
    this.#options.log('error', 'the watch failed; listing again', { err: error, kind: this.resource.kind });
    this.#resourceVersion = undefined;
    return this.#fail({ kind: 'failed', message: `${error as Error}`, retryAfterMs: undefined });
  }

  #note(level: 'debug' | 'info' | 'warn', message: string): void {
    const { kind } = this.resource;
    this.#options.log(level, message, { kind, ...(this.namespace ? { namespace: this.namespace } : {}) });
  }
}
