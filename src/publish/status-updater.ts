import type { Compilation } from '../routing/compile/compile.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { get } from '../model/sharded-map.ts';
import { type Address, addressText, statusAddresses } from './addresses.ts';
import { apiPath } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { Complaints } from './log-once.ts';
import type { Served } from './owned-ingresses.ts';
import { trackRivals } from './status-contention.ts';
import { type Wanted, planLeft, planServed, resourceVersionOf, serves, statusPatch } from './status.ts';
import type { Term } from './leadership.ts';
import { tokenBucket } from './token-bucket.ts';
import { type Outcome, outcomeOf, startWorkQueue } from './work-queue.ts';

export interface StatusDeskOptions {
  readonly term: Term;
  readonly clock: Clock;
  readonly random: () => number;
  readonly complaints: Complaints;
  readonly served: Served;
  readonly compilation: () => Compilation | null;
  /** Recorded by the server beside what we write, so that `portico cleanup` knows it again. */
  readonly fieldManager: string;
}

/** Keeps the status of Ingresses as wanted, for one term. */
export interface StatusDesk {
  /** These Ingresses are to be looked at. */
  look(keys: Iterable<ObjectKey>): void;
  /** Null for not known (yet): then nothing is written. */
  want(wanted: Wanted | null): void;
}

const WRITES_PER_SECOND = 20;
const WRITES_AT_ONCE = 50;

export function openStatusDesk(options: StatusDeskOptions): StatusDesk {
  const { term, clock, random, complaints, served, compilation, fieldManager } = options;
  /** What was written to which version, until the watch shows another one. */
  const written = new Map<ObjectKey, { readonly version: string; readonly addresses: string }>();
  const rivals = trackRivals();
  /** Ingresses that are left alone for a while, because somebody else writes them too: how to stop waiting. */
  const resting = new Map<ObjectKey, () => void>();
  let rivalNamed = false;
  /** Every address that was wanted in this term: what may be taken back. */
  const published = new Set<string>();
  let wanted: Wanted | null = null;

  const plan = (key: ObjectKey): readonly Address[] | null => {
    const state = compilation();
    const ingress = state && get(state.snapshot.ingresses, key);
    if (!ingress || !wanted) return null;
    if (serves(state, key)) return planServed(ingress, wanted);
    const ours = [...(served.left(key) ?? [])].filter((address) => published.has(address));
    const rest = planLeft(ingress, new Set(ours));
    if (rest === null) served.forget(key);
    return rest;
  };

  const write = async (key: ObjectKey, ingress: unknown, addresses: readonly Address[]): Promise<Outcome> => {
    const [namespace, name = ''] = key.split('/');
    const path = `${apiPath('networking.k8s.io', 'ingresses', namespace, name)}/status`;
    const reply = await term.call({
      method: 'PATCH',
      path: `${path}?${new URLSearchParams({ fieldManager })}`,
      contentType: 'application/merge-patch+json',
      body: statusPatch(ingress, addresses),
      signal: term.signal,
    });
    // Gone: what was to be said about it matters to nobody.
    if (reply.status === 404) return { kind: 'done' };
    const outcome = outcomeOf(reply);
    if (outcome.kind === 'done') {
      const texts = addresses.map(addressText);
      rivals.wrote(key, texts.join(), clock.monotonicMs());
      written.set(key, { version: resourceVersionOf(ingress), addresses: texts.join() });
      // What left us is tidied up once; what it says after that is another's business.
      if (served.left(key)) served.forget(key);
      else served.wrote(key, texts);
    }
    return outcome;
  };

  const rest = (key: ObjectKey, forMs: number): void => {
    if (resting.has(key)) return;
    const wake = (): void => {
      resting.delete(key);
      queue.add(key);
    };
    resting.set(key, clock.setTimeout(wake, forMs));
  };
  /** One of ten thousand says enough. */
  const nameRival = (key: ObjectKey, ingress: unknown): void => {
    if (rivalNamed) return;
    rivalNamed = true;
    const says = statusAddresses(ingress).map((address) => (address ? addressText(address) : '?'));
    complaints.raise(
      'rival',
      `Ingress status of ${key}: somebody else keeps replacing what is written (it says ${says.join() || 'nothing'} now), ` +
        'so it is written ever more seldom. Installations side by side need a class each (--ingress-class, ' +
        '--controller-name); replicas of one need the same --publish-namespace and addresses',
    );
  };
  term.signal.addEventListener(
    'abort',
    () => {
      for (const cancel of resting.values()) cancel();
    },
    { once: true },
  );

  const queue = startWorkQueue({
    clock,
    random,
    bucket: tokenBucket(clock, WRITES_PER_SECOND, WRITES_AT_ONCE),
    signal: term.signal,
    complaints,
    topic: 'Ingress status',
    namespaceOf,
    right:
      'no address is published without the verb "patch" on resource "ingresses/status" ' +
      'in API group "networking.k8s.io"',
    work(key) {
      const addresses = plan(key);
      const state = compilation();
      const ingress = state && get(state.snapshot.ingresses, key);
      if (addresses === null || !ingress) {
        written.delete(key);
        if (!ingress) rivals.forget(key);
        return null;
      }
      const status = addresses.map(addressText).join();
      const before = written.get(key);
      const inFlight = before?.version === resourceVersionOf(ingress);
      if (inFlight && before?.addresses === status) return null;
      if (rivals.contested(key, status)) nameRival(key, ingress);
      const restMs = rivals.restMs(key, status, clock.monotonicMs());
      if (restMs > 0) {
        rest(key, restMs);
        return null;
      }
      return () => write(key, ingress, addresses);
    },
  });

  return {
    look(keys) {
      for (const key of keys) queue.add(key);
    },
    want(next) {
      wanted = next;
      for (const address of next?.addresses ?? []) published.add(addressText(address));
      for (const key of served.all()) queue.add(key);
    },
  };
}
