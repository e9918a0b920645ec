import type { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import { type UntypedObject, asArray, asObject } from '../../model/untyped.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import { INVALID_REFERENCE, type Route, type RouteKind, type WeightedBackend } from '../table.ts';
import { type BackendRef, type RefOwner, keyOf, readBackendRef, weightOf } from './backend-refs.ts';
import { backendPolicies } from './backend-tls.ts';
import { type FilterContext, mergeConfigs, readFilters } from './filters.ts';
import type { Fault } from './kinds.ts';
import { type MatchReading, type RouteMatch, readGrpcMatch, readHttpMatch } from './route-matches.ts';
import { readRuleRetry } from './rule-retry.ts';
import { readRuleSession } from './rule-session.ts';
import { readRuleTimes } from './rule-times.ts';

/** One path of a rule, and where its requests go. */
export interface RuleClaim {
  /** The place in the tree of paths. */
  readonly at: string;
  /** The place among the matches of its route. */
  readonly order: number;
  readonly route: Route;
}

export interface RulesRead {
  readonly claims: readonly RuleClaim[];
  /** How many rules there are that can be served. */
  readonly served: number;
  /** What is wrong with those that cannot. */
  readonly faults: readonly Fault[];
  readonly unresolved: readonly Fault[];
}

export interface RuleOwner extends RefOwner {
  readonly kind: RouteKind;
  /** `namespace/name` */
  readonly key: string;
  readonly object: ObjectReference;
  /** What the annotations of the route ask for. */
  readonly policies: PolicySet | null;
}

const MAX_RULES = 16;
const MAX_MATCHES = 128;
/** With more than these, which are those of further rules too, the matches of a route are not read. */
const MAX_READ = 1_024;
const EVERYTHING = [{}];

/**
 * The rules of an HTTPRoute or GRPCRoute; without any, or without matches, one takes everything. Requests of those beyond the
 * limits get 500: they may restrict access, so that neither another rule nor another route may take them.
 */
export function readRules(
  written: unknown,
  owner: RuleOwner,
  objects: ObjectReader,
  problems: Problem[],
): RulesRead {
  const claims: RuleClaim[] = [];
  const faults: Fault[] = [];
  const unresolved: Fault[] = [];
  const rules = (asArray(written).length === 0 ? EVERYTHING : asArray(written)).map(asObject);
  const total = rules.reduce((sum, rule) => sum + matchesOf(rule).length, 0);
  if (total > MAX_READ) return tooManyMatches(total, owner);
  if (rules.length > MAX_RULES) faults.push(beyond(`has ${rules.length} rules`, MAX_RULES));
  if (total > MAX_MATCHES) faults.push(beyond(`has ${total} matches`, MAX_MATCHES));
  let served = 0;
  let order = 0;
  for (const [index, rule] of rules.entries()) {
    const field = `spec.rules[${index}]`;
    const readings = matchesOf(rule).map((match) => readMatch(owner.kind, match));
    const isOf = (reading: MatchReading): boolean => reading.kind === 'match';
    const serving =
      index < MAX_RULES && order < MAX_MATCHES
        ? readServing(rule, field, prefixOf(readings), owner, objects, problems)
        : UNSERVED;
    unresolved.push(...serving.unresolved);
    const bad = readings.find((reading) => reading.kind === 'fault');
    if (bad?.kind === 'fault') faults.push(bad.fault);
    if (serving.fault !== null) faults.push(serving.fault);
    else if (serving !== UNSERVED && readings.some(isOf)) served++;
    for (const [place, reading] of readings.entries()) {
      order++;
      if (reading.kind === 'fault') continue;
      const at = asArray(rule['matches']).length === 0 ? field : `${field}.matches[${place}]`;
      const route = routeOf(reading.match, at, owner, order > MAX_MATCHES ? UNSERVED : serving);
      claims.push({ at: reading.match.at, order, route });
    }
  }
  return { claims, served, faults, unresolved };
}

function matchesOf(rule: UntypedObject): readonly unknown[] {
  const written = asArray(rule['matches']);
  return written.length === 0 ? EVERYTHING : written;
}

function beyond(what: string, most: number): Fault {
  const message = `The route ${what}, and the first ${most} are served, so requests of the others get 500: move them to another route.`;
  return { reason: 'UnsupportedValue', message };
}

/** What no other route takes of its hostnames gets 500. */
function tooManyMatches(total: number, owner: RuleOwner): RulesRead {
  const message = `The route has ${total} matches, and at most ${MAX_READ} are read, so none is served, and requests that no other route takes get 500: split the route.`;
  const reading = readMatch(owner.kind, {});
  const claims =
    reading.kind === 'match'
      ? [{ at: reading.match.at, order: 1, route: routeOf(reading.match, 'spec.rules', owner, UNSERVED) }]
      : [];
  return { claims, served: 0, faults: [{ reason: 'UnsupportedValue', message }], unresolved: [] };
}

function readMatch(kind: RouteKind, match: unknown): MatchReading {
  return kind === 'GRPCRoute' ? readGrpcMatch(match) : readHttpMatch(match);
}

/** The prefix that `ReplacePrefixMatch` replaces; null where a rule has none, or several. */
function prefixOf(readings: readonly MatchReading[]): string | null {
  const [reading, ...others] = readings;
  if (reading?.kind !== 'match' || others.length > 0 || reading.match.pathType !== 'Prefix') return null;
  return reading.match.path;
}

interface Serving {
  readonly policies: PolicySet | null;
  readonly backends: readonly ServingBackend[];
  /** Why requests of the rule get 500 and nothing else. */
  readonly fault: Fault | null;
  readonly unresolved: readonly Fault[];
}

interface ServingBackend {
  readonly ref: BackendRef;
  readonly weight: number;
  /** What it adds to the policies of the rule; null for nothing. */
  readonly configs: PolicyConfigs | null;
}

/** What is done with the requests of a rule. */
function readServing(
  rule: UntypedObject,
  field: string,
  prefix: string | null,
  owner: RuleOwner,
  objects: ObjectReader,
  problems: Problem[],
): Serving {
  const unresolved: Fault[] = [];
  const context: FilterContext = { owner, prefix, objects, problems, unresolved, ofBackend: false };
  const filters = readFilters(rule['filters'], `${field}.filters`, context);
  const times = readRuleTimes(rule, owner.kind);
  const ofRoute = owner.policies?.configs ?? {};
  const retry = readRuleRetry(rule, owner.kind, field, ofRoute.retries);
  const session = readRuleSession(rule, owner.kind, field);
  const fault = filters.fault ?? times.fault ?? retry.fault ?? session.fault;
  const ofRule = { ...times.configs, ...retry.configs, ...session.configs, ...filters.configs };
  const configs: PolicyConfigs = { ...ofRoute, ...ofRule };
  const closed = owner.policies?.closed ?? [];
  const backends: ServingBackend[] = [];
  for (const [index, written] of asArray(rule['backendRefs']).map(asObject).entries()) {
    const at = `${field}.backendRefs[${index}]`;
    const ref = readBackendRef(written, owner, objects);
    if (ref.kind === 'invalid') unresolved.push(ref.fault);
    const weight = weightOf(written);
    if (weight === 0) continue;
    const own = readFilters(written['filters'], `${at}.filters`, { ...context, ofBackend: true });
    if (own.fault !== null) {
      const { reason, message } = own.fault;
      problems.push(problem('error', reason, owner.object, `${at}.filters`, message));
    }
    const transport =
      ref.kind === 'backend' ? backendPolicies(ref, owner, objects, ofRoute['backend-transport']) : {};
    const isUsable = own.fault === null && transport !== 'unusable';
    const added = { ...(transport === 'unusable' ? {} : transport), ...own.configs };
    backends.push({
      ref: isUsable ? ref : { kind: 'invalid', fault: own.fault ?? NOT_VERIFIABLE },
      weight,
      configs: Object.keys(added).length > 0 ? added : null,
    });
  }
  return {
    policies: policySet(configs, closed),
    backends: fault === null ? backends : [],
    fault,
    unresolved,
  };
}

/** Of rules and matches beyond the limits. */
const UNSERVED: Serving = { policies: null, backends: [], fault: null, unresolved: [] };

const NOT_VERIFIABLE: Fault = { reason: 'Invalid', message: 'The Service cannot be verified.' };

function routeOf(match: RouteMatch, field: string, owner: RuleOwner, serving: Serving): Route {
  const { path, pathType, pattern, matches } = match;
  const [first, ...others] = serving.backends;
  const base: Route = {
    kind: owner.kind,
    ingress: owner.key,
    path,
    pathType,
    field,
    ...(pattern && { pattern }),
    ...(matches && { matches }),
    backend: first ? keyOf(first.ref) : INVALID_REFERENCE,
    policies: serving.policies,
  };
  if (!first) return base;
  if (others.length === 0) return { ...base, policies: withConfigs(serving.policies, first.configs) };
  const backends = serving.backends.map(({ ref, weight, configs }): WeightedBackend => {
    const key = keyOf(ref);
    if (configs === null) return { key, weight, canary: null };
    const route = { ...base, backend: key, policies: withConfigs(serving.policies, configs) };
    return { key, weight, canary: null, route };
  });
  return { ...base, backends };
}

/** The policies of a rule with those of one of its backends, which win. */
function withConfigs(policies: PolicySet | null, configs: PolicyConfigs | null): PolicySet | null {
  if (configs === null) return policies;
  return policySet(mergeConfigs(policies?.configs ?? {}, configs), policies?.closed ?? []);
}
