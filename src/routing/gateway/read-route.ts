import { hostFault } from '../../model/names.ts';
import type { Dependency, ObjectReader } from '../../model/object-reader.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type ObjectReference, type Problem, referenceTo } from '../../model/problem.ts';
import { type UntypedObject, asArray, asObject, asString } from '../../model/untyped.ts';
import { policySecrets } from '../../policies/policy-secrets.ts';
import { isRestricting } from '../host-passthrough.ts';
import { compareText } from '../precedence.ts';
import { errorBackendKey } from '../replacing-backend.ts';
import type { CompileSettings } from '../settings.ts';
import {
  type BackendKey,
  INVALID_REFERENCE,
  type Route,
  type RouteKind,
  type WeightedBackend,
} from '../table.ts';
import { keyOf, readBackendRef, weightOf } from './backend-refs.ts';
import { ageOf, generationOf } from './gateways.ts';
import type { Fault, RouteKey } from './kinds.ts';
import { worst } from './listeners.ts';
import { type ParentRef, readParentRefs } from './parent-refs.ts';
import { readRouteAnnotations } from './route-annotations.ts';
import { type RuleClaim, readRules } from './route-rules.ts';

/** A route, read by itself: whatever its listeners are. */
export interface RouteRead {
  readonly key: RouteKey;
  readonly kind: RouteKind;
  /** `namespace/name` */
  readonly name: ObjectKey;
  readonly object: ObjectReference;
  readonly generation: number;
  readonly age: number;
  readonly parents: readonly ParentRef[];
  /** Lower case; one empty one where the route is for all hosts of its listeners. */
  readonly hostnames: readonly string[];
  /** Of an HTTPRoute or GRPCRoute. */
  readonly claims: readonly RuleClaim[];
  /** Of the other kinds: where connections go. */
  readonly stream: Route | null;
  /** Why no listener may take it. */
  readonly rejected: Fault | null;
  /** Why all of its rules answer 500. It is not accepted, but no other route may take requests that a filter was to stop. */
  readonly failing: Fault | null;
  /** Why some of its rules answer 500, or are not served: the first reason, and each of them. */
  readonly dropped: Fault | null;
  readonly allDropped: readonly Fault[];
  /** What it names and cannot have: the worst of it, as its condition says, and each of it. */
  readonly unresolved: Fault | null;
  readonly allUnresolved: readonly Fault[];
  readonly backends: readonly BackendKey[];
  readonly policySecrets: readonly ObjectKey[];
  readonly dependencies: readonly Dependency[];
  readonly problems: readonly Problem[];
}

const MAX_HOSTNAMES = 1_024;

export function readRoute(
  kind: RouteKind,
  name: ObjectKey,
  route: unknown,
  objects: ObjectReader,
  { defaults }: Pick<CompileSettings, 'defaults'>,
): RouteRead {
  const object = referenceTo(kind, name, route);
  const namespace = object.namespace ?? '';
  const spec = asObject(asObject(route)['spec']);
  const annotated = readRouteAnnotations(kind, route, object, objects, defaults);
  const problems: Problem[] = [...annotated.problems];
  const protocol = kind === 'UDPRoute' ? 'UDP' : 'TCP';
  const owner = { kind, key: name, object, namespace, protocol, policies: annotated.policies } as const;
  const isHttp = kind === 'HTTPRoute' || kind === 'GRPCRoute';
  const rules = isHttp ? readRules(spec['rules'], owner, objects, problems) : null;
  const stream = isHttp ? null : readStream(kind, name, namespace, protocol, spec, objects);
  const unresolved = rules?.unresolved ?? stream?.unresolved ?? [];
  const hostnames = readHostnames(spec['hostnames'], kind);
  const claims = rules?.claims ?? [];
  const faults = [...(rules?.faults ?? stream?.faults ?? []), ...hostnames.dropped];
  const fault = faults[0] ?? null;
  const open = isHttp || !isRestricting(annotated.policies) ? null : notRestrictable(kind);
  const unserved = rules?.served === 0 ? (rules.faults[0] ?? null) : null;
  const rejected = open ?? hostnames.fault ?? (claims.length === 0 ? unserved : null);
  const failing = rejected === null ? unserved : null;
  const isAccepted = rejected === null && failing === null;
  return {
    ...unreadRoute(kind, name, route, objects),
    hostnames: hostnames.hostnames,
    claims,
    stream: stream?.route ?? null,
    rejected,
    failing,
    dropped: isAccepted ? fault : null,
    allDropped: isAccepted ? distinct(faults) : [],
    unresolved: worst(unresolved),
    allUnresolved: distinct(unresolved),
    backends: [
      ...new Set(
        [...claims.map(({ route: each }) => each), ...(stream ? [stream.route] : [])].flatMap(backendsOf),
      ),
    ],
    policySecrets: [...new Set(claims.flatMap(({ route: each }) => secretsOf(each)))],
    problems,
  };
}

/** Where a restriction cannot be kept, nobody is let in. */
function notRestrictable(kind: RouteKind): Fault {
  const message = `The annotations of this ${kind} restrict who may use it, which holds for requests of HTTP alone, so it is not served: remove them, or restrict it by a NetworkPolicy.`;
  return { reason: 'UnsupportedValue', message };
}

/** Why a route is rejected that we fail on. */
export const FAILED: Fault = {
  reason: 'UnsupportedValue',
  message: 'Portico failed on this route; the log of Portico says more.',
};

/** Each of them once, by what it says. */
function distinct(faults: readonly Fault[]): readonly Fault[] {
  return [...new Map(faults.map((fault) => [fault.message, fault])).values()];
}

/** A route that nothing is served of. */
export function unreadRoute(
  kind: RouteKind,
  name: ObjectKey,
  route: unknown,
  objects: ObjectReader,
): RouteRead {
  const object = referenceTo(kind, name, route);
  const spec = asObject(asObject(route)['spec']);
  return {
    key: `${kind} ${name}`,
    kind,
    name,
    object,
    generation: generationOf(route),
    age: ageOf(route),
    parents: readParentRefs(spec['parentRefs'], object.namespace ?? ''),
    hostnames: [],
    claims: [],
    stream: null,
    rejected: FAILED,
    failing: null,
    dropped: null,
    allDropped: [],
    unresolved: null,
    allUnresolved: [],
    backends: [],
    policySecrets: [],
    dependencies: objects.dependencies(),
    problems: [],
  };
}

/** Every backend that requests of a route may go to. */
function backendsOf(route: Route): readonly BackendKey[] {
  const { backend, backends = [], policies } = route;
  const served = [backend, errorBackendKey(route) ?? [], ...backends.map(({ key }) => key)].flat();
  const asked = [policies, ...backends.map((each) => each.route?.policies ?? null)].flatMap(askedBy);
  return [...served, ...asked].filter((key) => key !== INVALID_REFERENCE);
}

/** Those that policies ask, send copies to, or have answer for others. */
function askedBy(policies: Route['policies']): readonly BackendKey[] {
  const configs = policies?.configs ?? {};
  const { 'request-mirror': copies, 'external-auth-filter': auth, 'error-backend': error } = configs;
  const asked = [...(copies?.mirrors ?? []), ...(auth?.to ? [auth.to] : [])].map(({ backend }) => backend);
  return error?.backend ? [...asked, error.backend] : asked;
}

function secretsOf({ policies, backends = [] }: Route): readonly ObjectKey[] {
  return [
    ...policySecrets(policies),
    ...backends.flatMap(({ route }) => (route ? policySecrets(route.policies) : [])),
  ];
}

interface HostnamesRead {
  readonly hostnames: readonly string[];
  /** Why there are none. */
  readonly fault: Fault | null;
  /** Why some are not served. */
  readonly dropped: readonly Fault[];
}

function readHostnames(written: unknown, kind: RouteKind): HostnamesRead {
  const listed = asArray(written);
  if (kind === 'TCPRoute' || kind === 'UDPRoute') return { hostnames: [''], fault: null, dropped: [] };
  if (listed.length === 0) return { hostnames: kind === 'TLSRoute' ? [] : [''], fault: null, dropped: [] };
  const all = listed.slice(0, MAX_HOSTNAMES).map((hostname) => (asString(hostname) ?? '').toLowerCase());
  const hostnames = [...new Set(all)].filter((hostname) => hostFault(hostname) === null);
  const bad = all.find((hostname) => hostFault(hostname) !== null);
  const faults = bad === undefined ? [] : [badHostname(bad)];
  if (hostnames.length === 0) return { hostnames, fault: faults[0] ?? null, dropped: [] };
  if (listed.length > MAX_HOSTNAMES) faults.push(tooManyHostnames(listed.length));
  return { hostnames, fault: null, dropped: faults };
}

function badHostname(hostname: string): Fault {
  const message = `The hostname ${JSON.stringify(hostname.slice(0, 80))} ${hostFault(hostname)}: correct it.`;
  return { reason: 'UnsupportedValue', message };
}

function tooManyHostnames(count: number): Fault {
  const message = `The route has ${count} hostnames, and the first ${MAX_HOSTNAMES} are served: move the others to another route.`;
  return { reason: 'UnsupportedValue', message };
}

/** A TLSRoute, TCPRoute or UDPRoute has one rule, without matches. */
function readStream(
  kind: RouteKind,
  name: ObjectKey,
  namespace: string,
  protocol: 'TCP' | 'UDP',
  spec: UntypedObject,
  objects: ObjectReader,
): { readonly route: Route; readonly faults: readonly Fault[]; readonly unresolved: readonly Fault[] } {
  const unresolved: Fault[] = [];
  const backends: WeightedBackend[] = [];
  const [rule, ...others] = asArray(spec['rules']);
  for (const written of asArray(asObject(rule)['backendRefs'])) {
    const ref = readBackendRef(written, { kind, namespace, protocol }, objects);
    if (ref.kind === 'invalid') unresolved.push(ref.fault);
    const weight = weightOf(written);
    if (weight > 0) backends.push({ key: keyOf(ref), weight, canary: null });
  }
  const [first, ...more] = backends;
  const route: Route = {
    kind,
    ingress: name,
    path: '',
    pathType: 'DefaultBackend',
    field: 'spec.rules[0]',
    backend: first?.key ?? INVALID_REFERENCE,
    ...(more.length > 0 && { backends }),
    policies: null,
  };
  return { route, faults: others.length > 0 ? [onlyOneRule(kind)] : [], unresolved };
}

function onlyOneRule(kind: RouteKind): Fault {
  const message = `The first rule of a ${kind} gets all connections, so the others get none: put their backendRefs into the first.`;
  return { reason: 'UnsupportedValue', message };
}

/** The older route first, then by `namespace/name`. */
export function byAge(a: RouteRead, b: RouteRead): number {
  return a.age - b.age || compareText(a.name, b.name) || compareText(a.kind, b.kind);
}
