import type { Balance, HashOfGroups } from '../../policies/balance.ts';
import { namespaceOf } from '../../model/objects.ts';
import { difference, emptyMap, get } from '../../model/sharded-map.ts';
import { sessionPlace } from '../../routing/session.ts';
import type { Backend, BackendKey, Endpoint, RouteTable } from '../../routing/table.ts';
import { type PickContext, type BalancePool, choose, isEligible, balancePool } from './picker.ts';
import { type EndpointState, endpointKey, endpointState, latencyNow } from './endpoint-state.ts';
import { type AffinitySession, randomPlace } from './affinity-session.ts';
import type { ExternalNames } from './external-names.ts';
import type { NameAddresses } from './name-addresses.ts';

export type { EndpointState } from './endpoint-state.ts';

export interface Endpoints {
  /**
   * The endpoint for the next attempt, among those that the backend has by the current table, never one of `tried`
   * while others are left; null when there is none at all, or only a last resort that does not take connections. Of a backend that is in the table no more, those it had.
   * One of `backend.failoverEndpoints` only when all others were tried or are set aside.
   * Cost does not grow with the number of endpoints, except for retries. `hash` is asked only by a consistent hash.
   */
  choose(
    backend: Backend,
    balance: Balance | HashOfGroups,
    tried: readonly EndpointState[],
    hash: string,
    now: number,
  ): EndpointState | null;
  /**
   * The same for a client that stays with an endpoint, and what its cookie is to say from now on. While that endpoint
   * cannot be reached, another one serves it.
   */
  chooseForSession(
    session: AffinitySession,
    backend: Backend,
    balance: Balance | HashOfGroups,
    tried: readonly EndpointState[],
    hash: string,
    now: number,
  ): EndpointState | null;
  /**
   * Null when `choose` can be called at once, as nearly always. An ExternalName that was never resolved gives a
   * promise to wait for first; it always resolves, and `choose` then says whether there is an address.
   */
  pending(backend: Backend): Promise<void> | null;
  /**
   * The backend as the current table has it: while a request waited, its endpoints may all have been replaced, and what
   * they speak with them. One that is in the table no more stays as it was.
   */
  current(backend: Backend): Backend;
  /** Whether there are more endpoints than so many: another one to turn to when these were tried. */
  hasMoreThan(count: number, backend: Backend): boolean;
  /** How the first endpoints of a backend of the current table fare, `limit` at most; `now` in milliseconds since the epoch. */
  health(key: BackendKey, limit: number, now: number): readonly EndpointHealth[];
  /** The addresses of an ExternalName of the current table, of whichever namespace. */
  nameOf(host: string): NameAddresses | undefined;
  /** The table is current: derives what choosing needs, and gives the keys of addresses that are in no backend any more. */
  adopt(table: RouteTable): readonly string[];
}

/** How one endpoint fares on one thread, as plain data. */
export interface EndpointHealth {
  /** `address:port`, IPv6 in brackets. */
  readonly endpoint: string;
  readonly inFlight: number;
  /** Moving average of the time to the first byte; 0 until one was measured. */
  readonly latencyMs: number;
  /** Connect failures in a row. */
  readonly failures: number;
  /** How long it is still set aside because connections failed; 0 when it is not. */
  readonly ejectedForMs: number;
}

export interface EndpointsSettings {
  /** From 0 to below 1, as Math.random. */
  readonly random?: () => number;
  readonly externalNames: ExternalNames;
}

/** The endpoints of one data-plane thread: none before the first `adopt`. */
export function createEndpoints(settings: EndpointsSettings): Endpoints {
  return new EndpointPool(settings);
}

/**
 * Endpoint states by backend and address, kept while the backend of the current table has the address. No backend
 * learns from another one: two namespaces may send to the same Pod, and only one of them speaks its protocol.
 */
class EndpointPool implements Endpoints {
  readonly #random: () => number;
  readonly #externalNames: ExternalNames;
  readonly #states = new Map<BackendKey, ReadonlyMap<string, EndpointState>>();
  /** How many backends of the current table have an address. */
  readonly #uses = new Map<string, number>();
  readonly #pools = new WeakMap<readonly Endpoint[], BalancePool>();
  readonly #allEndpoints = new WeakMap<Backend, readonly Endpoint[]>();
  #backends: RouteTable['backends'] = emptyMap();
  /** What `current` gave last since the table was adopted: each attempt asks several times. */
  #newest: Backend | null = null;

  constructor({ random = Math.random, externalNames }: EndpointsSettings) {
    this.#random = random;
    this.#externalNames = externalNames;
  }

  choose(
    backend: Backend,
    balance: Balance | HashOfGroups,
    tried: readonly EndpointState[],
    hash: string,
    now: number,
  ): EndpointState | null {
    const known = this.current(backend);
    const chosen = this.#chooseOf(known, balance, { tried, hash, now, random: this.#random });
    return unlessRefusing(known, chosen, now);
  }

  chooseForSession(
    session: AffinitySession,
    backend: Backend,
    balance: Balance | HashOfGroups,
    tried: readonly EndpointState[],
    hash: string,
    now: number,
  ): EndpointState | null {
    const known = this.current(backend);
    const pool = this.#poolForSessions(known);
    const choice = { tried, hash, now, random: this.#random };
    const { mode, changesOnFailure } = session.affinity;
    const moves = changesOnFailure && tried.length > 0;
    if (mode === 'balanced') {
      if (session.place === null || moves) session.moveTo(placeOfEligible(pool, choice));
      const byPlace = { ...choice, hash: session.place ?? '' };
      return unlessRefusing(known, choose(pool, 'consistent-hash', byPlace), now);
    }
    const own = session.place === null ? undefined : placesOf(known, pool).get(session.place);
    if (own && isEligible(own, choice)) return own;
    const chosen = unlessRefusing(known, this.#chooseOf(known, balance, choice), now);
    if (chosen && (!own || moves)) session.moveTo(sessionPlace(known, chosen.key));
    return chosen;
  }

  pending({ key, externalName }: Backend): Promise<void> | null {
    return externalName ? this.#externalNames.pending(externalName.host, key) : null;
  }

  hasMoreThan(count: number, backend: Backend): boolean {
    // One connection tries all addresses of a name.
    const { endpoints, failoverEndpoints } = this.current(backend);
    return endpoints.length + (failoverEndpoints?.length ?? 0) > count;
  }

  health(key: BackendKey, limit: number, now: number): readonly EndpointHealth[] {
    const found: EndpointHealth[] = [];
    for (const [endpoint, state] of this.#states.get(key) ?? []) {
      if (found.length === limit) break;
      const { inFlight, failures } = state;
      const ejectedForMs = Math.max(0, state.ejectedUntil - now);
      found.push({ endpoint, inFlight, latencyMs: latencyNow(state, now), failures, ejectedForMs });
    }
    return found;
  }

  nameOf(host: string): NameAddresses | undefined {
    return this.#externalNames.find(host);
  }

  adopt(table: RouteTable): readonly string[] {
    const gone = new Set<string>();
    const left: Backend[] = [];
    for (const [key, after] of difference(this.#backends, table.backends)) {
      const before = get(this.#backends, key);
      if (before) left.push(before);
      if (after?.externalName) this.#externalNames.keep(after.externalName.host, namespaceOf(key));
      if (after) this.#states.set(key, this.#statesOf(after, this.#states.get(key)));
      else this.#states.delete(key);
    }
    // Taken before given back: an address that only moves between backends is never without a use.
    for (const before of left) {
      for (const endpoint of endpointsOf(before)) {
        const key = endpointKey(endpoint);
        const rest = (this.#uses.get(key) ?? 0) - 1;
        if (rest > 0) this.#uses.set(key, rest);
        else if (this.#uses.delete(key)) gone.add(key);
      }
      if (before.externalName) this.#externalNames.release(before.externalName.host, namespaceOf(before.key));
    }
    this.#backends = table.backends;
    this.#newest = null;
    return [...gone];
  }

  /** Near and far ones: which are near differs between Porticos, and a client must come to the same one by each. */
  #poolForSessions(backend: Backend): BalancePool {
    const { endpoints, failoverEndpoints } = backend;
    if (failoverEndpoints === undefined) return this.#poolOf(backend, endpoints);
    let all = this.#allEndpoints.get(backend);
    if (!all) this.#allEndpoints.set(backend, (all = [...endpoints, ...failoverEndpoints]));
    return this.#poolOf(backend, all);
  }

  #poolOf({ key }: Backend, endpoints: readonly Endpoint[]): BalancePool {
    let made = this.#pools.get(endpoints);
    if (!made) {
      const known = this.#states.get(key);
      const list = endpoints.map((endpoint) => known?.get(endpointKey(endpoint)) ?? endpointState(endpoint));
      this.#pools.set(endpoints, (made = balancePool(list, this.#random)));
    }
    return made;
  }

  #chooseOf(backend: Backend, balance: Balance | HashOfGroups, choice: PickContext): EndpointState | null {
    const { externalName, endpoints, failoverEndpoints: others } = backend;
    if (externalName) {
      const addresses = this.#externalNames.get(externalName.host, namespaceOf(backend.key))?.addresses ?? [];
      if (addresses.length === 0) return null;
      const [state] = this.#states.get(backend.key)?.values() ?? [];
      return state ?? null;
    }
    const chosen = choose(this.#poolOf(backend, endpoints), balance, choice);
    if (others === undefined || (chosen && isEligible(chosen, choice))) return chosen;
    const second = choose(this.#poolOf(backend, others), balance, choice);
    return second && isEligible(second, choice) ? second : (chosen ?? second);
  }

  /** As the current table has it: while a request waited, its endpoints may all have been replaced. */
  current(backend: Backend): Backend {
    if (backend !== this.#newest) this.#newest = get(this.#backends, backend.key) ?? backend;
    return this.#newest;
  }

  /** Counts the uses of the addresses, and keeps what is known of them. */
  #statesOf(
    backend: Backend,
    before: ReadonlyMap<string, EndpointState> | undefined,
  ): ReadonlyMap<string, EndpointState> {
    const after = new Map<string, EndpointState>();
    for (const endpoint of endpointsOf(backend)) {
      const key = endpointKey(endpoint);
      const name = backend.externalName
        ? this.#externalNames.get(backend.externalName.host, namespaceOf(backend.key))
        : undefined;
      after.set(key, before?.get(key) ?? endpointState(endpoint, name));
      this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
    }
    return after;
  }
}

/** Not ready, and refuses connections: better an answer at once than a wait for it. */
function unlessRefusing(
  { lastResort }: Backend,
  chosen: EndpointState | null,
  now: number,
): EndpointState | null {
  return lastResort && chosen && now < chosen.ejectedUntil ? null : chosen;
}

const MOST_DRAWS = 20;

/** A place on the ring whose own endpoint can be reached, as far as is known. */
function placeOfEligible(pool: BalancePool, choice: PickContext): string {
  for (let draws = 1; ; draws++) {
    const place = randomPlace();
    const own = choose(pool, 'consistent-hash', { ...choice, tried: [], now: Infinity, hash: place });
    if (own === null || draws === MOST_DRAWS || isEligible(own, choice)) return place;
  }
}

/** The endpoints by what cookies call them. */
function placesOf(backend: Backend, pool: BalancePool): ReadonlyMap<string, EndpointState> {
  return (pool.places ??= new Map(pool.states.map((state) => [sessionPlace(backend, state.key), state])));
}

/** A name counts as one endpoint: a connection to it tries all its addresses. */
function* endpointsOf({ endpoints, failoverEndpoints, externalName }: Backend): Generator<Endpoint> {
  if (externalName) yield { address: externalName.host, port: externalName.port };
  yield* endpoints;
  if (failoverEndpoints) yield* failoverEndpoints;
}
