import { cookieValue } from '../http/cookies.ts';
import { compilePattern } from '../http/pattern.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import type { CanaryConfig, CanaryHeader } from '../policies/canary.ts';
import type { WeightedBackend } from './table.ts';

type Conditions = Pick<CanaryConfig, 'header' | 'cookie'>;

/**
 * The backend of a request, of several: a canary whose conditions take the request; otherwise one by weight, of those
 * whose conditions do not keep it away. Null where no weight is above 0.
 */
export function chooseBackend(
  backends: readonly WeightedBackend[],
  request: RequestFacts,
): WeightedBackend | null {
  let kept = backends;
  for (const backend of backends) {
    if (backend.canary === null) continue;
    const verdict = askConditions(backend.canary.conditions, request);
    if (verdict === 'always') return backend;
    if (verdict === 'never') kept = kept.filter((each) => each !== backend);
  }
  return chooseByWeight(kept, request.random ?? 0);
}

/** One by its share of the weights; null where none is above 0. `random` from 0 to below 1. */
export function chooseByWeight(backends: readonly WeightedBackend[], random: number): WeightedBackend | null {
  let sum = 0;
  for (const { weight } of backends) sum += weight;
  let rest = random * sum;
  for (const backend of backends) {
    rest -= backend.weight;
    if (rest < 0) return backend;
  }
  return null;
}

/** Null where neither decides. */
function askConditions({ header, cookie }: Conditions, request: RequestFacts): 'always' | 'never' | null {
  const value = header === null ? undefined : request.value?.(header.name);
  const verdict = header === null || value === undefined ? null : askHeader(header, value);
  if (verdict !== null || cookie === null) return verdict;
  return spokenVerdict(cookieValue(request.value?.('cookie'), cookie));
}

function askHeader({ takes }: CanaryHeader, value: string): 'always' | 'never' | null {
  switch (takes.kind) {
    case 'always':
      return spokenVerdict(value);
    case 'value':
      return value === takes.value ? 'always' : null;
    case 'pattern':
      return patternOf(takes)(value) ? 'always' : null;
    default:
      return takes satisfies never;
  }
}

function spokenVerdict(value: string | undefined): 'always' | 'never' | null {
  return value === 'always' || value === 'never' ? value : null;
}

const patterns = new WeakMap<object, (text: string) => boolean>();

/** Compiled once for each route and thread. */
function patternOf(takes: { readonly pattern: string }): (text: string) => boolean {
  let found = patterns.get(takes);
  if (!found) patterns.set(takes, (found = compilePattern(takes.pattern)));
  return found;
}
