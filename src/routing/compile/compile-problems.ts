import { isDeepStrictEqual } from 'node:util';
import type { Compilation } from './compilation.ts';
import { controllerBackend } from './compile-backends.ts';
import { type CompiledGateways, placesOf } from './compile-gateways.ts';
import type { Attachment } from '../gateway/attachment.ts';
import { lossesOf, sharedHostProblems } from './compile-losses.ts';
import type { Fault, RouteKey } from '../gateway/kinds.ts';
import { isSameParent } from '../gateway/listener-plan.ts';
import { leftServiceProblems } from '../gateway/left-services.ts';
import { lossProblems } from '../gateway/route-losses.ts';
import {
  classProblems,
  gatewayProblems,
  listenerSetProblems,
  routeProblems,
  tlsPolicyProblems,
} from '../gateway/gateway-problems.ts';
import { dependentsOn } from '../../model/dependents.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import { suffixOf } from './glob-bucket.ts';
import type { ObjectKey } from '../../model/objects.ts';
import {
  MAX_PROBLEMS,
  type Problem,
  describeObject,
  firstOfEachCode,
  problem,
  sortProblems,
} from '../../model/problem.ts';
import { referenceProblems } from '../references.ts';
import { scopeKind } from '../scope.ts';
import { type ShardedMap, difference, edit, entries, get } from '../../model/sharded-map.ts';
import type { BackendKey } from '../table.ts';

type Compiled = Omit<Compilation, 'problems' | 'faults'> & { readonly faults: CompileFault[] };

/** Gathers the problems of the objects that were touched; those of all others stay as they are. */
export function compileProblems(
  from: Compilation,
  compiled: Compiled,
  affectedIngresses: ReadonlySet<ObjectKey>,
  affectedServices: ReadonlySet<ObjectKey>,
  defaultCertificate: Problem | null | undefined,
  /** Of the ConfigMap of ingress-nginx. */
  globalProblems: readonly Problem[],
  /** Of the ConfigMaps of TCP and UDP services. */
  streamProblems: readonly Problem[],
  affectedRoutes: ReadonlySet<RouteKey>,
): ShardedMap<readonly Problem[]> {
  const problems = edit(from.problems);
  const put = (owner: string, found: readonly Problem[]): void => {
    const before = problems.get(owner);
    if (!before && found.length === 0) return;
    const next = worst(sortProblems(found));
    // Objects that are looked at again mostly say the same.
    if (isDeepStrictEqual(before, next)) return;
    if (next.length > 0) problems.set(owner, next);
    else problems.delete(owner);
  };
  for (const ingress of affectedIngresses) put(`Ingress ${ingress}`, isolated(ingress, compiled));
  const services = new Set([...affectedServices, ...ownServices(from, compiled)]);
  for (const service of services) put(`Service ${service}`, serviceProblems(service, compiled));
  const { defaultTlsSecret } = compiled.settings;
  if (defaultTlsSecret && defaultCertificate !== undefined) {
    put(`Secret ${defaultTlsSecret}`, defaultCertificate ? [defaultCertificate] : []);
  }
  const { ingressNginxConfigMap } = compiled.settings;
  if (ingressNginxConfigMap) {
    const owner = `ConfigMap ${ingressNginxConfigMap}`;
    if (!isDeepStrictEqual(get(from.problems, owner) ?? [], worst(sortProblems(globalProblems))))
      put(owner, globalProblems);
  }
  const { tcpServicesConfigMap, udpServicesConfigMap } = compiled.settings;
  for (const key of [tcpServicesConfigMap, udpServicesConfigMap]) {
    if (!key) continue;
    const owner = `ConfigMap ${key}`;
    const found = streamProblems.filter(({ object }) => describeObject(object) === owner);
    if (!isDeepStrictEqual(get(from.problems, owner) ?? [], worst(sortProblems(found)))) put(owner, found);
  }
  if (compiled.classes !== from.classes) {
    for (const { object } of from.classes.problems) problems.delete(describeObject(object));
    for (const found of compiled.classes.problems) put(describeObject(found.object), [found]);
  }
  const routes = new Set(affectedRoutes);
  for (const [place] of difference(from.routesLeftOut, compiled.routesLeftOut)) {
    for (const { routesLeftOut } of [from, compiled])
      for (const route of get(routesLeftOut, place)?.keys() ?? []) routes.add(route);
  }
  for (const route of routes) {
    const attachment = get(compiled.gateways.attachments, route);
    put(
      route,
      attachment
        ? [
            ...routeProblems(attachment, leftOutOf(attachment, compiled.routesLeftOut)),
            ...lossProblems(attachment.route, lossesOf(compiled.lossesByPlace, attachment)),
          ]
        : [],
    );
  }
  putGatewayProblems(from.gateways, compiled.gateways, put);
  return problems.done();
}

/** Why parts of a route are not served at some hostnames. */
function leftOutOf(attachment: Attachment, leftOut: Compilation['routesLeftOut']): readonly Fault[] {
  if (leftOut.size === 0) return [];
  const faults = placesOf(attachment).flatMap(
    (place) => get(leftOut, place)?.get(attachment.route.key) ?? [],
  );
  // Several ports may have the same hostname.
  return [...new Map(faults.map((fault) => [fault.message, fault])).values()];
}

/** Those of the classes, Gateways and ListenerSets that changed, or beside which others did. */
function putGatewayProblems(
  before: CompiledGateways,
  after: CompiledGateways,
  put: (owner: string, found: readonly Problem[]) => void,
): void {
  if (before === after) return;
  for (const name of before.classes.keys()) put(`GatewayClass ${name}`, []);
  for (const [name, each] of after.classes) put(`GatewayClass ${name}`, classProblems(each));
  for (const key of affectedTlsPolicies(before, after)) {
    const policy = get(after.tlsPolicies, key);
    put(`BackendTLSPolicy ${key}`, policy ? tlsPolicyProblems(policy, after) : []);
  }
  if (before.plan === after.plan && before.gateways === after.gateways && before.sets === after.sets) return;
  for (const [key] of difference(before.gateways, after.gateways)) put(`Gateway ${key}`, []);
  for (const [key, each] of entries(after.gateways)) put(`Gateway ${key}`, gatewayProblems(each, after));
  for (const [key] of difference(before.sets, after.sets)) put(`ListenerSet ${key}`, []);
  for (const [key, each] of entries(after.sets)) {
    const isSame =
      get(before.sets, key) === each && isSameParent(before.plan, after.plan, `ListenerSet ${key}`);
    if (!isSame) put(`ListenerSet ${key}`, listenerSetProblems(each, after));
  }
}

/** Those that changed, and those of Services that other routes name, or other policies are for. */
function affectedTlsPolicies(before: CompiledGateways, after: CompiledGateways): ReadonlySet<ObjectKey> {
  const affected = new Set<ObjectKey>();
  for (const [key] of difference(before.tlsPolicies, after.tlsPolicies)) affected.add(key);
  const services = [
    ...difference(before.routesByService, after.routesByService),
    ...difference(before.tlsPoliciesByService, after.tlsPoliciesByService),
  ];
  for (const [service] of services) {
    for (const key of get(after.tlsPoliciesByService, service) ?? []) affected.add(key);
  }
  return affected;
}

/** The Services of Gateways that may be left, or not any more: all of them when Gateways or classes changed. */
function ownServices(before: Compilation, after: Compiled): readonly ObjectKey[] {
  const isSame =
    before.gatewayServices === after.gatewayServices &&
    before.snapshot.gateways === after.snapshot.gateways &&
    before.gateways.classes === after.gateways.classes;
  if (!isSame)
    return [before, after].flatMap(({ gatewayServices }) =>
      [...entries(gatewayServices)].map(([key]) => key),
    );
  if (after.gatewayServices.size === 0) return [];
  return [...difference(before.snapshot.services, after.snapshot.services)]
    .map(([key]) => key)
    .filter((key) => get(after.gatewayServices, key) !== undefined);
}

/** One object must not fill the log, the metrics and the memory of all. */
function worst(found: readonly Problem[]): readonly Problem[] {
  const [first] = found;
  if (!first || found.length <= MAX_PROBLEMS) return found;
  const message = `Only ${MAX_PROBLEMS} problems with this object are listed; the others are listed when these are fixed.`;
  return [
    ...firstOfEachCode(found, MAX_PROBLEMS),
    problem('info', 'TooManyProblems', first.object, '', message),
  ];
}

function isolated(ingress: ObjectKey, compiled: Compiled): readonly Problem[] {
  try {
    return ingressProblems(ingress, compiled);
  } catch (error) {
    const object = get(compiled.claims, ingress)?.object;
    return object ? [faultProblem(object, error, compiled.faults)] : [];
  }
}

function ingressProblems(ingress: ObjectKey, compiled: Compiled): readonly Problem[] {
  const claims = get(compiled.claims, ingress);
  if (!claims) return [];
  const lost = [...(claims.canary ?? claims).scopes.keys()].flatMap((scope) => {
    const bucket = scopeKind(scope) === 'glob' ? get(compiled.globBuckets, suffixOf(scope)) : undefined;
    const isRegex = scopeKind(scope) === 'regex';
    return [
      ...(isRegex ? (compiled.hostRegexes.leftOut.get(ingress) ?? []) : []),
      ...(get(compiled.scopes, scope)?.conflicts.get(ingress) ?? []),
      ...(bucket?.leftOut.get(ingress) ?? []),
    ];
  });
  const tls = [...claims.tls.keys()].flatMap(
    (host) => get(compiled.certificates, host)?.problems.get(ingress) ?? [],
  );
  const references = referenceProblems(claims, compiled.table.backends, compiled.snapshot, compiled.settings);
  const shared = sharedHostProblems(claims, compiled.lossesByPlace, compiled.settings);
  return [...claims.problems, ...lost, ...tls, ...references, ...shared];
}

function serviceProblems(service: ObjectKey, compiled: Compiled): readonly Problem[] {
  const keys = dependentsOn(compiled.indexes.dependents, 'Backend', `Service ${service}`);
  const found = keys.flatMap((key) => {
    const { problems = [], backend } = get(compiled.backends, key) ?? {};
    // Tools keep a canary that is not needed without Pods, and the main Ingress gets its share.
    const isIdle = backend?.unavailable === 'no-endpoints' && isOfCanaries(key, compiled);
    return isIdle ? problems.filter(({ code }) => code !== 'NoEndpoints') : problems;
  });
  found.push(...leftServiceProblems(service, compiled));
  const { defaultBackend } = compiled.settings;
  if (!defaultBackend) return found;
  const key = controllerBackend(defaultBackend);
  const reason = get(compiled.table.backends, key)?.unavailable;
  if (!keys.includes(key) || !reason || reason === 'no-endpoints') return found;
  const { namespace, service: name } = defaultBackend;
  const message = `The default backend ${key} cannot be used (${reason}); requests that match no rule get 503: create the Service or change --default-backend.`;
  return [
    ...found,
    problem('error', 'DefaultBackendUnavailable', { kind: 'Service', namespace, name }, '', message),
  ];
}

/** Whether a backend is used by canaries alone. */
function isOfCanaries(key: BackendKey, { indexes, claims, settings }: Compiled): boolean {
  if (settings.defaultBackend && controllerBackend(settings.defaultBackend) === key) return false;
  const ingresses = [...(get(indexes.ingressesByBackend, key) ?? [])];
  return ingresses.length > 0 && ingresses.every((ingress) => get(claims, ingress)?.canary);
}
