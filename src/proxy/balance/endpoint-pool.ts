import type { Balance } from '../../policies/balance.ts';
import { difference, emptyMap, get } from '../../model/sharded-map.ts';
import type { Backend, Endpoint, RouteTable } from '../../routing/table.ts';
import { type Choice, type Pool, choose, isPromising, pool } from './balance.ts';
import { type EndpointState, endpointKey, endpointState } from './endpoint-state.ts';
import { type ExternalNames, systemExternalNames } from './external-names.ts';

export type { EndpointState } from './endpoint-state.ts';

export interface Endpoints {
  /**
   * The endpoint for the next attempt, among those that the backend has by the current table, never one of `tried`
   * while others are left; null when there is none at all, or only a last resort that does not take connections. Of a backend that is in the table no more, those it had.
   * One of `backend.spare` only when all others were tried or are set aside.
   * Cost does not grow with the number of endpoints, except for retries. `hash` is asked only by a consistent hash.
   */
  choose(
    backend: Backend,
    balance: Balance,
    tried: readonly EndpointState[],
    hash: () => string,
    now: number,
  ): EndpointState | null;
  /**
   * Null when `choose` can be called at once, as nearly always. An ExternalName that was never resolved gives a
   * promise to wait for first; it always resolves, and `choose` then says whether there is an address.
   */
  pending(backend: Backend): Promise<void> | null;
  /** Whether there is another endpoint to turn to when one cannot be reached. */
  hasSeveral(backend: Backend): boolean;
  /** The table is current: derives what choosing needs, and gives the keys of addresses that are in no backend any more. */
  adopt(table: RouteTable): readonly string[];
}

export interface EndpointsSettings {
  /** Whether an ExternalName may resolve to loopback, link-local and metadata addresses. */
  readonly allowLoopback: boolean;
  /** From 0 to below 1, as Math.random. */
  readonly random?: () => number;
  readonly externalNames?: ExternalNames;
}

interface Known {
  readonly state: EndpointState;
  /** Backends of the current table that have this address. */
  uses: number;
}

/** Endpoint states by address, kept while any backend of the current table has the address. */
export function createEndpoints({
  allowLoopback,
  random = Math.random,
  externalNames = systemExternalNames(allowLoopback),
}: EndpointsSettings): Endpoints {
  const known = new Map<string, Known>();
  const pools = new WeakMap<readonly Endpoint[], Pool>();
  let backends: RouteTable['backends'] = emptyMap();

  function poolOf(endpoints: readonly Endpoint[]): Pool {
    let made = pools.get(endpoints);
    if (!made) {
      const states = endpoints.map(
        (endpoint) => known.get(endpointKey(endpoint))?.state ?? endpointState(endpoint),
      );
      pools.set(endpoints, (made = pool(states, random)));
    }
    return made;
  }

  return {
    choose(backend, balance, tried, hash, now) {
      const known = current(backend);
      const chosen = chooseOf(known, balance, { tried, hash, now, random });
      // Not ready, and refuses connections: better an answer at once than a wait for it.
      return known.lastResort && chosen && now < chosen.ejectedUntil ? null : chosen;
    },

    pending(backend) {
      return backend.externalName ? externalNames.pending(backend.externalName) : null;
    },

    hasSeveral(backend) {
      const { externalName, endpoints, spare } = current(backend);
      return externalName !== null || endpoints.length + (spare?.length ?? 0) > 1;
    },

    adopt(table) {
      const gone = new Set<string>();
      const left: Backend[] = [];
      for (const [key, after] of difference(backends, table.backends)) {
        const before = get(backends, key);
        if (before) left.push(before);
        if (after) for (const endpoint of endpointsOf(after)) use(endpoint);
        if (after?.externalName) externalNames.keep(after.externalName);
      }
      // Taken before given back: an address that only moves between backends is never without a use.
      for (const before of left) {
        for (const endpoint of endpointsOf(before)) {
          const key = endpointKey(endpoint);
          const entry = known.get(key);
          if (!entry || --entry.uses > 0) continue;
          known.delete(key);
          gone.add(key);
        }
        if (before.externalName) externalNames.release(before.externalName);
      }
      backends = table.backends;
      return [...gone];
    },
  };

  function chooseOf(backend: Backend, balance: Balance, choice: Choice): EndpointState | null {
    const { externalName, endpoints, spare: farther } = backend;
    const addresses = externalName ? externalNames.addresses(externalName, choice.now) : endpoints;
    const chosen = choose(poolOf(addresses), balance, choice);
    if (farther === undefined || (chosen && isPromising(chosen, choice))) return chosen;
    const spare = choose(poolOf(farther), balance, choice);
    return spare && isPromising(spare, choice) ? spare : (chosen ?? spare);
  }

  /** As the current table has it: while a request waited, its endpoints may all have been replaced. */
  function current(backend: Backend): Backend {
    return get(backends, backend.key) ?? backend;
  }

  function use(endpoint: Endpoint): void {
    const key = endpointKey(endpoint);
    const entry = known.get(key);
    if (entry) entry.uses++;
    else known.set(key, { state: endpointState(endpoint), uses: 1 });
  }
}

function* endpointsOf({ endpoints, spare }: Backend): Generator<Endpoint> {
  yield* endpoints;
  if (spare) yield* spare;
}
