import { namespaceOf } from '../model/objects.ts';
import { type Problem, problem } from '../model/problem.ts';
import { type Claims, type PathClaim, patternClaim } from './ingress/claims.ts';
import { readSiblingPattern } from './ingress/path-patterns.ts';
import type { PathSlot } from './path-tree.ts';
import { compareText } from './precedence.ts';
import { type Scope, describeScope } from './scope.ts';
import type { HostPatterns, PatternEntry, Route } from './table.ts';
import { TENANT_LIMITS } from './tenant-limits.ts';

/** Tells an Ingress what is wrong with it. */
type Tell = (ingress: string, problem: Problem) => void;

/** The Ingresses of a scope, those whose namespace has every path a regular expression there with such paths. */
export function withPatterns(scope: Scope, claimants: readonly Claims[], tell: Tell): readonly Claims[] {
  const making = new Set(
    claimants.filter(({ makesPatterns }) => makesPatterns).map(({ object }) => object.namespace),
  );
  if (making.size === 0) return claimants;
  return claimants.map((claims) => {
    const { canary } = claims;
    if (!making.has(claims.object.namespace)) return claims;
    if (canary === null) return { ...claims, scopes: patternScopes(scope, claims, claims.scopes, tell) };
    const scopes = patternScopes(scope, claims, canary.scopes, tell);
    return { ...claims, canary: { ...canary, scopes } };
  });
}

/** The paths of one scope, each a regular expression. One that can be none is left out. */
function patternScopes(
  scope: Scope,
  { ingress, object }: Claims,
  scopes: Claims['scopes'],
  tell: Tell,
): Claims['scopes'] {
  const paths = scopes.get(scope) ?? [];
  if (paths.every(({ route }) => route.pattern !== undefined)) return scopes;
  const patterns = paths.flatMap((claim): PathClaim | readonly PathClaim[] => {
    const onFault: OnFault = ({ code, message: reason }) => {
      const message = `Another Ingress of this namespace makes the paths of ${describeScope(scope)} regular expressions. ${reason}`;
      tell(ingress, problem('error', code, object, `${claim.route.field}.path`, message));
    };
    return asPattern(claim, onFault) ?? [];
  });
  return new Map([[scope, patterns]]);
}

type OnFault = (fault: { readonly code: string; readonly message: string }) => void;

/** A path as a regular expression, as all of its namespace are on a host where one is; null for one that can be none. */
export function asPattern(claim: PathClaim, onFault: OnFault = () => {}): PathClaim | null {
  const { path, pathType, pattern } = claim.route;
  if (pattern !== undefined || pathType === 'DefaultBackend') return claim;
  const reading = readSiblingPattern(path, pathType);
  if (reading.kind === 'pattern') return patternClaim(claim, reading.pattern);
  if (reading.kind === 'fault') onFault(reading);
  return null;
}

export interface SeparatedPlaces {
  readonly plain: ReadonlyMap<string, PathSlot>;
  /** Undefined where there are no regular expressions. */
  readonly patterns: HostPatterns | undefined;
}

/**
 * Separates the regular expressions of a scope from its plain paths, and brings them into the order in which they are tried:
 * that of ingress-nginx within a namespace. What is beyond the limit is left out, the youngest first.
 */
export function separatePatterns(
  scope: Scope,
  places: ReadonlyMap<string, PathSlot>,
  oldestFirst: readonly Claims[],
  tell: Tell,
): SeparatedPlaces {
  const isPattern = (at: string): boolean => at.startsWith('~');
  if (!places.keys().some(isPattern)) return { plain: places, patterns: undefined };
  const routes: Route[] = [];
  const plain = new Map<string, PathSlot>();
  for (const [at, slot] of places) {
    if (!isPattern(at)) plain.set(at, slot);
    else routes.push(...[slot.whole, slot.prefix].filter((route) => route !== null));
  }
  const ages = new Map(oldestFirst.map(({ ingress }, age) => [ingress, age]));
  const objects = new Map(oldestFirst.map(({ ingress, object }) => [ingress, object]));
  const ageOf = ({ ingress }: Route): number => ages.get(ingress) ?? Infinity;
  const { patternsSizePerHostAndNamespace } = TENANT_LIMITS;
  const sizes = new Map<string, number>();
  const byNamespace = new Map<string, PatternEntry[]>();
  const told = new Set<string>();
  for (const route of routes.toSorted((a, b) => ageOf(a) - ageOf(b))) {
    const namespace = namespaceOf(route.ingress);
    const entries = entriesOf(route);
    const size = entries.reduce((sum, { pattern }) => sum + pattern.size, sizes.get(namespace) ?? 0);
    if (size <= patternsSizePerHostAndNamespace) {
      sizes.set(namespace, size);
      byNamespace.set(namespace, [...(byNamespace.get(namespace) ?? []), ...entries]);
      continue;
    }
    const object = objects.get(route.ingress);
    if (!object || told.has(route.ingress)) continue;
    told.add(route.ingress);
    const message = `The regular expressions of a namespace on one host may have ${patternsSizePerHostAndNamespace} instructions, and with this one those of ${describeScope(scope)} have more; it is not served there: use fewer or simpler ones, or another host.`;
    tell(route.ingress, problem('error', 'HostPatternsTooLarge', object, `${route.field}.path`, message));
  }
  const lists = [...byNamespace].map(([namespace, entries]) => ({
    namespace,
    entries: entries.toSorted(byTextLength),
  }));
  return { plain, patterns: { lists, ages } };
}

/** As in ingress-nginx, a path of type Prefix is two: with a slash at the end, and without. */
function entriesOf(route: Route): readonly PatternEntry[] {
  const { pattern, pathType, path } = route;
  if (pattern === undefined) return [];
  if (pathType !== 'Prefix' || path.endsWith('/')) return [{ pattern, route }];
  const withSlash = { ...pattern, text: `${pattern.text}/`, size: pattern.size + 1 };
  return [
    { pattern: withSlash, route },
    { pattern, route },
  ];
}

/** The longer text first, then the greater one; of equals Exact. */
function byTextLength(a: PatternEntry, b: PatternEntry): number {
  return (
    b.pattern.text.length - a.pattern.text.length ||
    compareText(b.pattern.text, a.pattern.text) ||
    Number(b.route.pathType === 'Exact') - Number(a.route.pathType === 'Exact')
  );
}
