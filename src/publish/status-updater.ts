import type { Compilation } from '../routing/compile/compile.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { get } from '../model/sharded-map.ts';
import { type Address, addressText, statusAddresses } from './addresses.ts';
import { apiPath } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { LogOnce } from './log-once.ts';
import type { OwnedIngresses } from './owned-ingresses.ts';
import { PacedWrites } from './paced-writes.ts';
import {
  type DesiredStatus,
  planReleased,
  planOwned,
  resourceVersionOf,
  owns,
  statusPatch,
} from './ingress-status.ts';
import type { Leadership } from './leadership.ts';
import { tokenBucket } from './token-bucket.ts';
import { type Outcome, WorkQueue, outcomeOf } from './work-queue.ts';

export interface StatusUpdaterOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  readonly owned: OwnedIngresses;
  readonly compilation: () => Compilation | null;
  /** The server records it with each write, so that `portico cleanup` finds what we wrote. */
  readonly fieldManager: string;
}

const WRITES_PER_SECOND = 20;
const WRITES_AT_ONCE = 50;

/** Keeps the status of Ingresses as desired, for as long as this process is the leader. */
export class StatusUpdater {
  readonly #options: StatusUpdaterOptions;
  readonly #queue: WorkQueue;
  readonly #writes: PacedWrites;
  #contentionLogged = false;
  /** Every address that was desired since this process leads: these may be removed again. */
  readonly #published = new Set<string>();
  #desired: DesiredStatus | null = null;

  constructor(options: StatusUpdaterOptions) {
    const { leadership, clock, random, logOnce } = options;
    this.#options = options;
    this.#writes = new PacedWrites(clock, leadership.signal);
    this.#queue = new WorkQueue({
      clock,
      random,
      bucket: tokenBucket(clock, WRITES_PER_SECOND, WRITES_AT_ONCE),
      signal: leadership.signal,
      logOnce,
      topic: 'Ingress status',
      namespaceOf,
      right:
        'no address is published without the verb "patch" on resource "ingresses/status" ' +
        'in API group "networking.k8s.io"',
      work: (key) => this.#workFor(key),
    });
  }

  /** Checks these Ingresses. */
  enqueue(keys: Iterable<ObjectKey>): void {
    for (const key of keys) this.#queue.add(key);
  }

  /** What all statuses should say from now on. Before the first call nothing is written. */
  setDesired(desired: DesiredStatus): void {
    this.#desired = desired;
    for (const address of desired.addresses) this.#published.add(addressText(address));
    this.enqueue(this.#options.owned.all());
  }

  #workFor(key: ObjectKey): (() => Promise<Outcome>) | null {
    const addresses = this.#plan(key);
    const state = this.#options.compilation();
    const ingress = state && get(state.snapshot.ingresses, key);
    if (addresses === null || !ingress) {
      if (ingress) this.#writes.settled(key);
      else this.#writes.forget(key);
      return null;
    }
    const status = addresses.map(addressText).join();
    if (this.#writes.isContested(key, status)) this.#logContention(key, ingress);
    const version = resourceVersionOf(ingress);
    const isNow = this.#writes.mayWrite(key, version, status, () => this.#queue.add(key));
    return isNow ? () => this.#write(key, ingress, addresses) : null;
  }

  #plan(key: ObjectKey): readonly Address[] | null {
    const { compilation, owned } = this.#options;
    const state = compilation();
    const ingress = state && get(state.snapshot.ingresses, key);
    if (!ingress || !this.#desired) return null;
    if (owns(state, key)) return planOwned(ingress, this.#desired);
    const ours = [...(owned.released(key) ?? [])].filter((address) => this.#published.has(address));
    const rest = planReleased(ingress, new Set(ours));
    if (rest === null) owned.forget(key);
    return rest;
  }

  async #write(key: ObjectKey, ingress: unknown, addresses: readonly Address[]): Promise<Outcome> {
    const { leadership, owned, fieldManager } = this.#options;
    const [namespace, name = ''] = key.split('/');
    const path = `${apiPath('networking.k8s.io', 'ingresses', namespace, name)}/status`;
    const response = await leadership.call({
      method: 'PATCH',
      path: `${path}?${new URLSearchParams({ fieldManager })}`,
      contentType: 'application/merge-patch+json',
      body: statusPatch(ingress, addresses),
      signal: leadership.signal,
    });
    // The Ingress is gone: there is nothing left to write to.
    if (response.status === 404) return { kind: 'done' };
    const outcome = outcomeOf(response);
    if (outcome.kind === 'done') {
      const texts = addresses.map(addressText);
      this.#writes.wrote(key, resourceVersionOf(ingress), texts.join());
      // An Ingress that is no longer ours is cleaned once; its status then belongs to another controller.
      if (owned.released(key)) owned.forget(key);
      else owned.wrote(key, texts);
    }
    return outcome;
  }

  /** Logged for one Ingress only: ten thousand lines would say no more. */
  #logContention(key: ObjectKey, ingress: unknown): void {
    if (this.#contentionLogged) return;
    this.#contentionLogged = true;
    const current = statusAddresses(ingress).map((address) => (address ? addressText(address) : '?'));
    this.#options.logOnce.warnOnce(
      'contention',
      `Ingress status of ${key}: another writer keeps replacing it (it is ${current.join() || 'empty'} now), ` +
        'so Portico writes it less and less often. Give each installation its own class (--ingress-class, ' +
        '--controller-name); give all replicas of one installation the same --publish-namespace and addresses',
    );
  }
}
