import { gatewayObjectPaths } from '../kubernetes/resources.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import { COLLECTIONS } from '../model/snapshot.ts';
import { type UntypedObject, asArray, asObject } from '../model/untyped.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { isSameParent } from '../routing/gateway/listener-plan.ts';
import { opensPorts } from '../routing/gateway/conditions.ts';
import type { ServingFacts } from '../routing/gateway/serving-facts.ts';
import type { ParentKey } from '../routing/gateway/kinds.ts';
import { isSameStatus } from './gateway-status.ts';
import type { Leadership } from './leadership.ts';
import type { LogOnce } from './log-once.ts';
import { resourceVersionOf } from './ingress-status.ts';
import { PacedWrites } from './paced-writes.ts';
import { tokenBucket } from './token-bucket.ts';
import { STATUS_KINDS, type StatusKey, splitStatusKey, wantedStatus } from './wanted-status.ts';
import { type Outcome, WorkQueue, outcomeOf } from './work-queue.ts';

export interface GatewayStatusUpdaterOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  readonly compilation: () => Compilation | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly fieldManager: string;
}

const WRITES_PER_SECOND = 50;
const WRITES_AT_ONCE = 100;
const OPENING_PATIENCE_MS = 3_000;

/**
 * Keeps the status of the objects of Gateway API as the compilation and the data plane say, for as long as this process is the
 * leader. What is right already is not written.
 */
export class GatewayStatusUpdater {
  readonly #options: GatewayStatusUpdaterOptions;
  readonly #queue: WorkQueue;
  readonly #writes: PacedWrites;
  /** Since when ports of a Gateway or ListenerSet are about to be opened. */
  readonly #openingSince = new Map<string, number>();
  /** Null before it is known where clients reach the nodes. */
  #facts: ServingFacts | null = null;
  #last: Compilation | null = null;

  constructor(options: GatewayStatusUpdaterOptions) {
    const { leadership, clock, random, logOnce } = options;
    this.#options = options;
    this.#writes = new PacedWrites(clock, leadership.signal);
    this.#queue = new WorkQueue({
      clock,
      random,
      bucket: tokenBucket(clock, WRITES_PER_SECOND, WRITES_AT_ONCE),
      signal: leadership.signal,
      logOnce,
      topic: 'Gateway API status',
      namespaceOf: (key) => namespaceOf(splitStatusKey(key)[1]),
      right:
        'nobody is told what becomes of Gateways and routes without the verb "patch" on their resources "…/status" ' +
        'in API group "gateway.networking.k8s.io"',
      work: (key) => this.#workFor(key as StatusKey),
    });
  }

  /** Takes what is known of the nodes and the data plane from now on. */
  setFacts(facts: ServingFacts): void {
    const isFirst = this.#facts === null;
    this.#facts = facts;
    // What was to be written before was left.
    if (isFirst) return this.#last ? this.#addAll(this.#last) : undefined;
    const { gateways, sets } = this.#options.compilation()?.gateways ?? {};
    for (const [key] of gateways ? entries(gateways) : []) this.#queue.add(`Gateway ${key}`);
    for (const [key] of sets ? entries(sets) : []) this.#queue.add(`ListenerSet ${key}`);
  }

  /** Checks what differs in the next compilation: everything at first. */
  advance(next: Compilation): void {
    const last = this.#last;
    this.#last = next;
    if (!last) return this.#addAll(next);
    for (const kind of STATUS_KINDS) {
      const collection = COLLECTIONS[kind];
      for (const [key] of difference(last.snapshot[collection], next.snapshot[collection]))
        this.#queue.add(`${kind} ${key}`);
    }
    const [before, after] = [last.gateways, next.gateways];
    for (const [key] of difference(before.attachments, after.attachments)) this.#queue.add(key);
    for (const [place, losses] of difference(last.lossesByPlace, next.lossesByPlace)) {
      for (const each of [get(last.lossesByPlace, place), losses])
        for (const key of each?.keys() ?? []) this.#queue.add(key);
    }
    if (before.classes !== after.classes) {
      for (const name of after.classes.keys()) this.#queue.add(`GatewayClass ${name}`);
    }
    if (before.plan !== after.plan || before.gateways !== after.gateways) {
      for (const [key] of entries(after.gateways)) this.#queue.add(`Gateway ${key}`);
      for (const key of after.plan.sets.keys()) {
        const parent = `ListenerSet ${key}` as const;
        if (!isSameParent(before.plan, after.plan, parent)) this.#queue.add(parent);
      }
    }
    const services = new Set<ObjectKey>();
    for (const [service] of difference(before.routesByService, after.routesByService)) services.add(service);
    // One policy is in the way of another, or no longer.
    for (const [key] of difference(before.tlsPolicies, after.tlsPolicies)) {
      for (const { service } of [before, after].flatMap((each) => get(each.tlsPolicies, key)?.targets ?? []))
        services.add(service);
    }
    for (const service of services) {
      for (const key of get(after.tlsPoliciesByService, service) ?? [])
        this.#queue.add(`BackendTLSPolicy ${key}`);
    }
    for (const [listener] of difference(before.routesByListener, after.routesByListener)) {
      this.#queue.add(listener.slice(0, listener.lastIndexOf('/')));
    }
  }

  #addAll(compilation: Compilation): void {
    for (const kind of STATUS_KINDS) {
      for (const [key] of entries(compilation.snapshot[COLLECTIONS[kind]]))
        if (this.#concerns(kind, key, compilation)) this.#queue.add(`${kind} ${key}`);
    }
  }

  /** Whether an object may need a status of ours when this process begins to lead. */
  #concerns(
    kind: (typeof STATUS_KINDS)[number],
    key: ObjectKey,
    { snapshot, gateways, settings }: Compilation,
  ): boolean {
    if (kind === 'GatewayClass' || kind === 'Gateway' || kind === 'ListenerSet') return true;
    if (kind === 'BackendTLSPolicy') return true;
    if (get(gateways.attachments, `${kind} ${key}`)) return true;
    const { parents, ancestors } = asObject(get(snapshot[COLLECTIONS[kind]], key)?.status);
    return [...asArray(parents), ...asArray(ancestors)].some(
      (entry) => asObject(entry)['controllerName'] === settings.gatewayController,
    );
  }

  #workFor(key: StatusKey): (() => Promise<Outcome>) | null {
    const { compilation, now } = this.#options;
    const state = compilation();
    const [kind, name] = splitStatusKey(key);
    const object = state && get(state.snapshot[COLLECTIONS[kind]], name);
    if (!state || !object || this.#facts === null) {
      this.#writes.forget(key);
      this.#openingSince.delete(key);
      return null;
    }
    if (this.#awaitsPorts(key, state, this.#facts)) return null;
    const time = `${new Date(now()).toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`;
    const wanted = wantedStatus(key, state, this.#facts, time);
    if (wanted === null || isSameStatus(object.status, wanted)) return null;
    const text = withoutTimes(wanted);
    const isNow = this.#writes.mayWrite(key, resourceVersionOf(object), text, () => this.#queue.add(key));
    return isNow ? () => this.#write(key, object, wanted, text) : null;
  }

  /** What is about to be opened is told of when it is, unless that takes long. */
  #awaitsPorts(key: StatusKey, { gateways }: Compilation, facts: ServingFacts): boolean {
    const [kind] = splitStatusKey(key);
    if (kind !== 'Gateway' && kind !== 'ListenerSet') return false;
    if (!opensPorts(key as ParentKey, gateways, facts)) {
      this.#openingSince.delete(key);
      return false;
    }
    const nowMs = this.#options.clock.monotonicMs();
    const sinceMs = this.#openingSince.get(key) ?? nowMs;
    this.#openingSince.set(key, sinceMs);
    const leftMs = sinceMs + OPENING_PATIENCE_MS - nowMs;
    if (leftMs > 0) this.#writes.later(key, leftMs, () => this.#queue.add(key));
    return leftMs > 0;
  }

  async #write(key: StatusKey, object: unknown, status: UntypedObject, text: string): Promise<Outcome> {
    const { leadership, fieldManager } = this.#options;
    const [kind, name] = splitStatusKey(key);
    const namespace = namespaceOf(name);
    const plain = namespace === '' ? name : name.slice(namespace.length + 1);
    const version = resourceVersionOf(object);
    for (const path of gatewayObjectPaths(kind, namespace === '' ? undefined : namespace, plain)) {
      const response = await leadership.call({
        method: 'PATCH',
        path: `${path}/status?${new URLSearchParams({ fieldManager })}`,
        contentType: 'application/merge-patch+json',
        // Lists are replaced as a whole: what others added to them since must not be lost.
        body: { metadata: { resourceVersion: version }, status },
        signal: leadership.signal,
      });
      if (response.status === 404) continue;
      const outcome = outcomeOf(response);
      if (outcome.kind === 'done') this.#writes.wrote(key, version, text);
      // The watch brings the object that the conflict is about, and with it another try.
      return response.status === 409 ? { kind: 'done' } : outcome;
    }
    return { kind: 'done' };
  }
}

function withoutTimes(status: UntypedObject): string {
  return JSON.stringify(status, (field, value: unknown) =>
    field === 'lastTransitionTime' ? undefined : value,
  );
}
