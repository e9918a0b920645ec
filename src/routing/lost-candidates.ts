import type { Compilation } from './compile/compilation.ts';
import { type HostOwner, hostOwner, mayHave, wildcardAbove } from './compile/host-owner.ts';
import { asPattern } from './host-patterns.ts';
import type { Claims, PathClaim } from './ingress/claims.ts';
import { globTakes } from './match.ts';
import { get } from '../model/sharded-map.ts';
import { Shortlist } from '../model/shortlist.ts';
import { patternGroups } from './path-automata.ts';
import { byAge, byPrecedence } from './precedence.ts';
import { HOSTLESS, type Scope, describeScope, regexScope } from './scope.ts';
import type { Route, RouteTable } from './table.ts';

/** The rules that could take a request too, the best first, and why they do not. */
export interface LostCandidates {
  /** The first of them. */
  readonly named: readonly LostCandidate[];
  readonly count: number;
}

export interface LostCandidate {
  readonly route: Route;
  readonly reason: LostReason;
  /** The same as a sentence. */
  readonly because: string;
}

export type LostReason =
  | 'other-host-class'
  | 'shorter-path'
  | 'pattern-order'
  | 'path-type'
  | 'host-owner'
  | 'newer-ingress'
  | 'later-name'
  | 'later-rule'
  | 'default-backend';

/** Rules that one explanation names. */
const MAX_NAMED = 100;

/** Ingresses and plain paths that are looked at without an interruption: less than a millisecond. */
const STEP = 500;

interface Candidate {
  readonly claim: PathClaim;
  readonly scope: Scope;
  /** The namespace that has the scope, when that is another one. */
  readonly owner: HostOwner | null;
}

/** Every rule that would take the request if the winner were not there. May be interrupted: any number of Ingresses may share a host. */
export function* lostCandidates(
  compilation: Compilation,
  host: string,
  path: string,
  owner: Scope | null,
  winner: Route | null,
): Generator<void, LostCandidates> {
  let winning: PathClaim | undefined;
  const rules: Candidate[] = [];
  const defaults = new Shortlist<Claims>(MAX_NAMED, byAge);
  let count = 0;
  let looked = 0;
  for (const scope of scopesFor(compilation, host)) {
    const claimants = yield* claimantsIn(compilation, scope);
    const hostOwner = yield* ownerOf(compilation, scope, claimants);
    const best = new Shortlist<Candidate>(MAX_NAMED, (a, b) => byPrecedence(a.claim, b.claim));
    for (const claimant of claimants.all) {
      const isOwner = mayHave(claimant, hostOwner);
      const hasPatterns = claimants.withPatterns.has(claimant.object.namespace);
      if (scope === owner && isOwner && isLostDefault(claimant.defaultRoute, winner)) defaults.add(claimant);
      const paths = claimant.scopes.get(scope) ?? [];
      looked += 1 + paths.length;
      if (looked >= STEP) {
        looked = 0;
        yield;
      }
      for (const written of paths) {
        // A step of its own: an expression may have to be read and compiled.
        if (hasPatterns || written.route.pattern !== undefined) yield;
        const claim = hasPatterns ? asPattern(written) : written;
        if (claim === null || !takes(claim, path)) continue;
        // The winner may have the host in a second class too, by a glob: that is no loss.
        const isWinner = claim.route.field === winner?.field && claim.route.ingress === winner.ingress;
        if (!isWinner) best.add({ claim, scope, owner: isOwner ? null : hostOwner });
        else if (scope === owner) winning = claim;
      }
    }
    rules.push(...best.items);
    count += best.count;
  }
  const because =
    winner?.pathType === 'DefaultBackend'
      ? `Ingress ${winner.ingress} comes first.`
      : 'A rule has this path.';
  const named = [
    ...rules.map((candidate) => ({ route: candidate.claim.route, ...whyLost(candidate, owner, winning) })),
    ...defaults.items.flatMap(({ defaultRoute: route }): readonly LostCandidate[] =>
      route === null ? [] : [{ route, reason: 'default-backend', because }],
    ),
  ];
  return { named: named.slice(0, MAX_NAMED), count: count + defaults.count };
}

function isLostDefault(route: Route | null, winner: Route | null): boolean {
  return route !== null && !(winner?.ingress === route.ingress && winner.pathType === 'DefaultBackend');
}

/** The Ingresses that have a scope, in no order: see `claimantsOf`. */
interface Claimants {
  readonly all: readonly Claims[];
  readonly oldest: Claims | undefined;
  /** The namespaces that have every path a regular expression there. */
  readonly withPatterns: ReadonlySet<string | undefined>;
}

function* claimantsIn({ indexes, claims }: Compilation, scope: Scope): Generator<void, Claimants> {
  const withRules: Claims[] = [];
  const withPatterns = new Set<string | undefined>();
  let [oldest, oldestYielding]: (Claims | undefined)[] = [];
  let looked = 0;
  for (const ingress of get(indexes.ingressesByScope, scope) ?? []) {
    if (++looked % STEP === 0) yield;
    const found = get(claims, ingress);
    if (found === undefined) continue;
    if (found.yields.has(scope)) oldestYielding = older(oldestYielding, found);
    else {
      withRules.push(found);
      oldest = older(oldest, found);
      if (found.makesPatterns) withPatterns.add(found.object.namespace);
    }
  }
  if (oldest !== undefined || oldestYielding === undefined) return { all: withRules, oldest, withPatterns };
  const making = oldestYielding.makesPatterns ? [oldestYielding.object.namespace] : [];
  return { all: [oldestYielding], oldest: oldestYielding, withPatterns: new Set(making) };
}

function older(a: Claims | undefined, b: Claims): Claims {
  return a === undefined || byAge(b, a) < 0 ? b : a;
}

function* ownerOf(
  compilation: Compilation,
  scope: Scope,
  { oldest }: Claimants,
): Generator<void, HostOwner | null> {
  const { hostOwnership } = compilation.settings;
  const wildcard = hostOwnership === 'namespace' ? wildcardAbove(scope) : null;
  const above = wildcard === null ? undefined : (yield* claimantsIn(compilation, wildcard)).oldest;
  return hostOwner(scope, hostOwnership, (each) => (each === scope ? oldest : above));
}

/** The scopes that have a host, in the order of their classes. */
function scopesFor({ scopes, table }: Compilation, host: string): readonly Scope[] {
  const found: Scope[] = [];
  if (host !== '' && get(scopes, host)) found.push(host);
  const dot = host.indexOf('.');
  const wildcard = `*${host.slice(dot)}`;
  if (dot > 0 && get(scopes, wildcard)) found.push(wildcard);
  found.push(...globsFor(table, host));
  for (const { entries: regexes } of table.hostRegexes) {
    for (const { pattern, routes } of regexes) {
      if (patternGroups(pattern, host) !== null) found.push(regexScope(routes.host));
    }
  }
  if (get(scopes, HOSTLESS)) found.push(HOSTLESS);
  return found;
}

function* globsFor({ globs }: RouteTable, host: string): Generator<Scope> {
  for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) {
    for (const glob of get(globs, host.slice(dot + 1)) ?? []) {
      if (globTakes(glob, host, dot)) yield `~${glob.glob}`;
    }
  }
}

/** Whether a rule takes a path, whatever else there is. */
function takes({ at, route }: PathClaim, path: string): boolean {
  if (route.pattern !== undefined) return patternGroups(route.pattern, path) !== null;
  return path === at || (route.pathType !== 'Exact' && path.startsWith(`${at}/`));
}

function whyLost(
  { claim: { at, age, route }, scope, owner: hostOwner }: Candidate,
  owner: Scope | null,
  winning: PathClaim | undefined,
): { reason: LostReason; because: string } {
  if (hostOwner) {
    const { object, ingress } = hostOwner.claims;
    const because = `Namespace ${object.namespace} owns ${describeScope(scope)}, by Ingress ${ingress}.`;
    return { reason: 'host-owner', because };
  }
  if (scope !== owner) {
    const because = `The request belongs to ${describeScope(owner ?? '')}, which comes before ${describeScope(scope)}.`;
    return { reason: 'other-host-class', because };
  }
  const { route: winner } = winning ?? { route };
  if (winning && (winning.route.pattern ?? route.pattern) !== undefined && winning.at !== at) {
    const because = `"${winner.path}" comes before "${route.path}", as regular expressions are ordered.`;
    return { reason: 'pattern-order', because };
  }
  if (!winning || at.length < winning.at.length) {
    return { reason: 'shorter-path', because: `"${winner.path}" is longer.` };
  }
  if (winner.pathType === 'Exact' && route.pathType !== 'Exact') {
    return { reason: 'path-type', because: `Exact comes before ${route.pathType}.` };
  }
  if (age !== winning.age) return { reason: 'newer-ingress', because: `Ingress ${winner.ingress} is older.` };
  if (route.ingress !== winner.ingress) {
    return {
      reason: 'later-name',
      because: `Ingress ${winner.ingress} is equally old and comes first by name.`,
    };
  }
  return { reason: 'later-rule', because: `${winner.field} comes first in the same Ingress.` };
}
