import type { Compilation } from '../routing/compile.ts';
import type { ObjectKey } from '../routing/objects.ts';
import { get } from '../routing/sharded-map.ts';
import { type Address, addressText } from './addresses.ts';
import { apiPath } from './api-call.ts';
import type { Clock } from './clock.ts';
import type { Complaints } from './complaints.ts';
import type { Served } from './served.ts';
import { type Wanted, planLeft, planServed, resourceVersionOf, serves, statusPatch } from './status.ts';
import type { Term } from './term.ts';
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
      written.set(key, { version: resourceVersionOf(ingress), addresses: texts.join() });
      // What left us is tidied up once; what it says after that is another's business.
      if (served.left(key)) served.forget(key);
      else served.wrote(key, texts);
    }
    return outcome;
  };

  const queue = startWorkQueue({
    clock,
    random,
    bucket: tokenBucket(clock, WRITES_PER_SECOND, WRITES_AT_ONCE),
    signal: term.signal,
    complaints,
    topic: 'Ingress status',
    right:
      'no address is published without the verb "patch" on resource "ingresses/status" ' +
      'in API group "networking.k8s.io"',
    work(key) {
      const addresses = plan(key);
      const state = compilation();
      const ingress = state && get(state.snapshot.ingresses, key);
      if (addresses === null || !ingress) {
        written.delete(key);
        return null;
      }
      const before = written.get(key);
      const inFlight = before?.version === resourceVersionOf(ingress);
      if (inFlight && before?.addresses === addresses.map(addressText).join()) return null;
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
