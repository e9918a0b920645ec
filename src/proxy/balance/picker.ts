import type { Balance, HashOfGroups } from '../../policies/balance.ts';
import { type EndpointState, latencyNow } from './endpoint-state.ts';
import { type HashRing, hashRing, ringStart } from './hash-ring.ts';

/** The endpoints of one backend, with what choosing among them needs. */
export interface BalancePool {
  readonly states: readonly EndpointState[];
  /** Where round robin goes on. */
  cursor: number;
  /** Built when a consistent hash first asks for it. */
  ring: HashRing | null;
  /** The same for groups of endpoints of one size. */
  groups: EndpointGroups | null;
  /** By what cookies call them; built when a session first asks for it. */
  places: ReadonlyMap<string, EndpointState> | null;
}

interface EndpointGroups {
  readonly size: number;
  readonly pools: readonly (readonly EndpointState[])[];
  readonly ring: HashRing;
}

export function balancePool(states: readonly EndpointState[], random: () => number): BalancePool {
  // A start of its own for each pool: threads in step would all begin with the same endpoint.
  return { states, cursor: Math.floor(random() * states.length), ring: null, groups: null, places: null };
}

/** What one choice goes by. */
export interface PickContext {
  readonly tried: readonly EndpointState[];
  readonly hash: string;
  readonly now: number;
  readonly random: () => number;
}

/** How much an endpoint must have going for it; each level asks less than the one before. */
type Level = 'untried and not ejected' | 'untried' | 'any';

/**
 * The endpoint for the next attempt; null for an empty pool. An ejected one is taken only when nothing else is
 * left, and one that was tried only when all were. The first look nearly always finds one.
 */
export function choose(
  pool: BalancePool,
  balance: Balance | HashOfGroups,
  context: PickContext,
): EndpointState | null {
  if (pool.states.length === 0) return null;
  return (
    pick(pool, balance, 'untried and not ejected', context) ??
    pick(pool, balance, 'untried', context) ??
    pick(pool, balance, 'any', context)
  );
}

function pick(
  pool: BalancePool,
  balance: Balance | HashOfGroups,
  level: Level,
  choice: PickContext,
): EndpointState | null {
  if (typeof balance === 'object') return groupHash(pool, balance.groupSize, level, choice);
  switch (balance) {
    case 'round-robin':
      return roundRobin(pool, level, choice);
    case 'least-requests':
      return powerOfTwoChoices(pool, level, choice, fewerRequests);
    case 'ewma':
      return powerOfTwoChoices(pool, level, choice, lowerCost);
    case 'consistent-hash':
      return ringHash(pool, level, choice);
    default:
      return balance satisfies never;
  }
}

/** Neither tried by this exchange nor set aside: nothing speaks against it. */
export function isEligible(state: EndpointState, choice: Pick<PickContext, 'now' | 'tried'>): boolean {
  return choice.now >= state.ejectedUntil && !choice.tried.includes(state);
}

function fits(state: EndpointState, level: Level, choice: PickContext): boolean {
  switch (level) {
    case 'untried and not ejected':
      return isEligible(state, choice);
    case 'untried':
      return !choice.tried.includes(state);
    case 'any':
      return true;
    default:
      return level satisfies never;
  }
}

function roundRobin(pool: BalancePool, level: Level, choice: PickContext): EndpointState | null {
  const found = nextFrom(pool, pool.cursor, level, choice);
  if (found < 0) return null;
  pool.cursor = found + 1 === pool.states.length ? 0 : found + 1;
  return pool.states[found] ?? null;
}

/** The first that fits at `start` or after it, going round once; -1 for none. */
function nextFrom(pool: BalancePool, start: number, level: Level, choice: PickContext): number {
  const { states } = pool;
  for (let step = 0; step < states.length; step++) {
    const index = start + step < states.length ? start + step : start + step - states.length;
    const state = states[index];
    if (state && fits(state, level, choice)) return index;
  }
  return -1;
}

type Better = (a: EndpointState, b: EndpointState, now: number) => boolean;

function powerOfTwoChoices(
  pool: BalancePool,
  level: Level,
  choice: PickContext,
  better: Better,
): EndpointState | null {
  const { states } = pool;
  const one = Math.floor(choice.random() * states.length);
  // A second one that is never the first: drawn from the rest.
  const draw = Math.floor(choice.random() * (states.length - 1));
  const other = draw < one ? draw : draw + 1;
  const a = fitting(states[one], level, choice);
  const b = fitting(states[other], level, choice);
  if (a && b) return better(b, a, choice.now) ? b : a;
  return a ?? b ?? states[nextFrom(pool, one, level, choice)] ?? null;
}

function fitting(state: EndpointState | undefined, level: Level, choice: PickContext): EndpointState | null {
  return state && fits(state, level, choice) ? state : null;
}

function fewerRequests(a: EndpointState, b: EndpointState): boolean {
  return a.inFlight < b.inFlight;
}

/** Latency times queue, as in Finagle's peak EWMA: one that was never measured is tried at once, but by one request. */
function lowerCost(a: EndpointState, b: EndpointState, now: number): boolean {
  return cost(a, now) < cost(b, now);
}

const UNMEASURED_AND_BUSY_MS = 1_000;

function cost(state: EndpointState, now: number): number {
  const latencyMs =
    state.latencyMs === 0 && state.inFlight > 0 ? UNMEASURED_AND_BUSY_MS : latencyNow(state, now);
  return latencyMs * (state.inFlight + 1);
}

/** From the hash's place on the ring on to the first that fits: when one leaves, only its share moves. */
function ringHash(pool: BalancePool, level: Level, choice: PickContext): EndpointState | null {
  const ring = (pool.ring ??= hashRing(pool.states.map((state) => state.key)));
  const { owners } = ring;
  const start = ringStart(ring, choice.hash);
  for (let step = 0; step < owners.length; step++) {
    const place = start + step < owners.length ? start + step : start + step - owners.length;
    const state = pool.states[owners[place] ?? 0];
    if (state && fits(state, level, choice)) return state;
  }
  return null;
}

/** One at random of the group that the hash leads to; where none of it fits, of all. */
function groupHash(pool: BalancePool, size: number, level: Level, choice: PickContext): EndpointState | null {
  const groups = (pool.groups = pool.groups?.size === size ? pool.groups : groupsOf(pool.states, size));
  const { ring, pools } = groups;
  const group = pools[ring.owners[ringStart(ring, choice.hash)] ?? 0] ?? [];
  const start = Math.floor(choice.random() * group.length);
  for (let step = 0; step < group.length; step++) {
    const state = group[(start + step) % group.length];
    if (state && fits(state, level, choice)) return state;
  }
  return pool.states[nextFrom(pool, start, level, choice)] ?? null;
}

/** In an order that every Portico comes to. What is missing in the last group is taken from the first. */
function groupsOf(states: readonly EndpointState[], size: number): EndpointGroups {
  const sorted = states.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const count = Math.ceil(sorted.length / size);
  const pools = Array.from({ length: count }, (_, group) => {
    const end = group * size + size;
    return [...sorted.slice(group * size, end), ...sorted.slice(0, Math.max(0, end - sorted.length))];
  });
  return { size, pools, ring: hashRing(pools.map((_, group) => `group ${group}`)) };
}
