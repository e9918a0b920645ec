import { clientAuthOf, readAnnotations } from './annotations.ts';
import { byClusterIp } from '../cluster-ip.ts';
import { compactList, compactMap, compactSet } from '../../model/compact.ts';
import { isAbsent, asObject, isObject, isPortNumber, asArray, asString } from '../../model/untyped.ts';
import type { CanaryConfig } from '../../policies/canary.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { HostGlob } from '../glob.ts';
import { PLAIN, patternsOf, readPattern } from './path-patterns.ts';
import { hostFault, isLabel, isPortName, pathFault } from '../../model/names.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { Dependency, ObjectReader } from '../../model/object-reader.ts';
import { policySecrets } from '../../policies/policy-secrets.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import { normalizeRulePath } from '../../http/path.ts';
import {
  MAX_PROBLEMS,
  type ObjectReference,
  type Problem,
  firstOfEachCode,
  problem,
  referenceTo,
  sortProblems,
} from '../../model/problem.ts';
import { CATCH_ALL, HOSTLESS, type Scope, globScope, regexScope } from '../scope.ts';
import type { BackendKey, PathPattern, PathType, Route } from '../table.ts';
import type { CompileSettings } from '../settings.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';
import { patternPathProblem } from './pattern-path.ts';
import { type TlsClaim, readTls } from './tls-claims.ts';
import { withWwwHosts, wwwClaims, wwwHostTaken } from './www-claims.ts';
import { validateObject } from '../../model/validation/validate.ts';

/** One path that an Ingress claims, in one scope or several. */
export interface PathClaim {
  /**
   * The rule's path in the form that requests are matched in. But for Exact it has no slash at the end: `/foo/` and
   * `/foo` are one prefix.
   */
  readonly at: string;
  readonly age: number;
  /** The place among the paths of its Ingress. */
  readonly order: number;
  readonly route: Route;
}

/** The place of a regular expression, where two of the same text meet. No plain path begins so. */
export function patternPlace({ text, ignoreCase }: PathPattern): string {
  return ignoreCase ? `~*${text}` : `~${text}`;
}

/** The claim of a path that is a regular expression. */
export function patternClaim(claim: PathClaim, pattern: PathPattern): PathClaim {
  return { ...claim, at: patternPlace(pattern), route: { ...claim.route, pattern } };
}

/** What counts against the limits of a namespace: see `TENANT_LIMITS`. */
export interface NamespaceUse {
  readonly routes: number;
  readonly globs: number;
}

/** The paths and default backends of others that a canary takes a share of. */
export interface CanaryClaims {
  readonly config: CanaryConfig;
  /** What it says of how its endpoints are chosen. */
  readonly policies: PolicySet;
  readonly scopes: ReadonlyMap<Scope, readonly PathClaim[]>;
  readonly defaultRoute: Route | null;
}

/** Everything one Ingress asks for, read once. What could not be read is a problem and is missing here. */
export interface Claims {
  readonly ingress: ObjectKey;
  readonly object: ObjectReference;
  /** Milliseconds since the epoch at creation; the highest number when unknown, which is younger than all. */
  readonly age: number;
  /**
   * The paths claimed in each scope; a host without paths is claimed too. Scopes that claim the same share one list.
   * Empty for a canary, which claims nothing of its own.
   */
  readonly scopes: ReadonlyMap<Scope, readonly PathClaim[]>;
  /** Those of `scopes` that it has only while no Ingress has rules for them: see `wwwClaims`. */
  readonly yields: ReadonlySet<Scope>;
  /** What a canary takes a share of; null for an ordinary Ingress. */
  readonly canary: CanaryClaims | null;
  /** Whether it makes all paths of its namespace on its hosts regular expressions. */
  readonly makesPatterns: boolean;
  readonly use: NamespaceUse;
  /** Takes what misses in the scopes above; null when the Ingress has none. */
  readonly defaultRoute: Route | null;
  /** By host. */
  readonly tls: ReadonlyMap<string, TlsClaim>;
  /** What it asks of the clients of its hosts. */
  readonly clients: ClientAuth | 'unverifiable' | null;
  /** The Secrets whose data its policies use. */
  readonly policySecrets: readonly ObjectKey[];
  /** What else was read for it: when one of these changes, it is read again. */
  readonly dependencies: readonly Dependency[];
  readonly problems: readonly Problem[];
}

/** The claims of an Ingress of ours. */
export function readClaims(
  key: ObjectKey,
  ingress: unknown,
  classProblems: readonly Problem[],
  objects: ObjectReader,
  { defaults, globalOptions }: Pick<CompileSettings, 'defaults' | 'globalOptions'> = {},
): Claims {
  const object = referenceTo('Ingress', key, ingress);
  const namespace = object.namespace ?? '';
  const spec = asObject(asObject(ingress)['spec']);
  const annotations = readAnnotations(ingress, object, objects, defaults, globalOptions?.refused);
  const problems = [...classProblems, ...validateObject('Ingress', ingress), ...annotations.problems];
  const age = readAge(ingress);
  const { policies } = annotations;
  const patterns = patternsOf(policies, spec['rules']);
  const allowsAnyType = globalOptions?.allowsAnyPathType ?? false;
  const backendOf = (backend: unknown): BackendKey => {
    const named = backendKey(namespace, backend);
    return policies?.configs['service-upstream'] ? byClusterIp(named) : named;
  };

  const readClaim = (path: unknown, field: string, order: number): PathClaim | null => {
    const written = readPath(path);
    if (written === null) return null;
    const backend = backendOf(asObject(path)['backend']);
    const route = { ...written, ingress: key, field, backend, policies };
    const reading =
      patterns === null ? PLAIN : readPattern(written.path, written.pathType, patterns, allowsAnyType);
    switch (reading.kind) {
      case 'plain': {
        const at = plainPlace(written.path, written.pathType, object, field, problems);
        return at === null ? null : { at, age, order, route };
      }
      case 'pattern':
        return patternClaim({ at: '', age, order, route }, reading.pattern);
      case 'fault':
        problems.push(problem('error', reading.code, object, `${field}.path`, reading.message));
        return null;
      default:
        return reading satisfies never;
    }
  };
  const { hosts: aliases = [], regexes = [] } = policies?.configs['host-aliases'] ?? {};
  const others = [...aliases, ...annotations.globs.map(globScope), ...regexes.map(regexScope)];
  const scopes = readScopes(spec['rules'], others, object, problems, readClaim);
  const yields = new Set<Scope>();
  for (const [host, paths] of wwwClaims(scopes, others, policies)) {
    if (scopes.has(host)) problems.push(wwwHostTaken(host, key, object));
    else yields.add(host);
    scopes.set(host, scopes.get(host) ?? paths);
  }
  // Rules that are there and cannot be read do not make an Ingress the one that takes everything.
  const hasRules = !isAbsent(spec['rules']) && !(Array.isArray(spec['rules']) && spec['rules'].length === 0);
  if (!hasRules && isObject(spec['defaultBackend'])) scopes.set(CATCH_ALL, []);
  const defaultRoute = readDefault(key, spec['defaultBackend'], backendOf, policies);
  const config = policies?.configs.canary;
  const tls = config
    ? new Map<string, TlsClaim>()
    : withWwwHosts(readTls(spec['tls'], object, [...scopes.keys()], annotations.globs, problems), yields);
  const common = {
    ingress: key,
    object,
    age,
    makesPatterns: patterns === 'host',
    use: useOf(scopes, annotations.globs, tls),
    policySecrets: compactList(policySecrets(policies)),
    tls: compactMap(tls),
    dependencies: objects.dependencies(),
    // One more than are listed, so that it is said that there are more.
    problems:
      problems.length > MAX_PROBLEMS
        ? firstOfEachCode(sortProblems(problems), MAX_PROBLEMS + 1)
        : compactList(problems),
    yields: compactSet(yields),
  };
  if (!config) return { ...common, scopes, canary: null, defaultRoute, clients: clientAuthOf(policies) };
  const canary = { config, policies, scopes, defaultRoute };
  return { ...common, scopes: new Map(), canary, defaultRoute: null, clients: null };
}

/** An Ingress that claims nothing, and the problems that say why. */
export function emptyClaims(key: ObjectKey, ingress: unknown, problems: readonly Problem[]): Claims {
  const object = referenceTo('Ingress', key, ingress);
  return { ...claimNothing({ ingress: key, object, age: readAge(ingress) }), problems };
}

/** An Ingress that claims nothing. */
export function claimNothing({ ingress, object, age }: Pick<Claims, 'ingress' | 'object' | 'age'>): Claims {
  const nothing = {
    scopes: new Map(),
    yields: new Set<Scope>(),
    canary: null,
    defaultRoute: null,
    tls: new Map(),
    clients: null,
  };
  const unread = { makesPatterns: false, policySecrets: [], dependencies: [], problems: [] };
  return { ingress, object, age, ...nothing, ...unread, use: { routes: 0, globs: 0 } };
}

function useOf(
  scopes: ReadonlyMap<Scope, readonly PathClaim[]>,
  globs: readonly HostGlob[],
  tls: ReadonlyMap<string, TlsClaim>,
): NamespaceUse {
  let routes = 0;
  for (const paths of scopes.values()) routes += 1 + paths.length;
  // A TLS host under a wildcard, a glob or a rule without a host is one more in the table.
  for (const [host, { scope }] of tls) if (scope !== host) routes++;
  return { routes, globs: globs.reduce((sum, { patterns }) => sum + patterns.length, 0) };
}

function readAge(ingress: unknown): number {
  const created = Date.parse(asString(asObject(asObject(ingress)['metadata'])['creationTimestamp']) ?? '');
  return Number.isNaN(created) ? Number.MAX_SAFE_INTEGER : created;
}

/**
 * The paths of each host, in order. An alias or a glob, of `others`, has those of all hosts; what claims the same shares one
 * list.
 */
function readScopes(
  rules: unknown,
  others: readonly Scope[],
  object: ObjectReference,
  problems: Problem[],
  readClaim: (path: unknown, field: string, order: number) => PathClaim | null,
): Map<Scope, readonly PathClaim[]> {
  const scopes = new Map<Scope, PathClaim[]>();
  const all: PathClaim[] = [];
  let order = 0;
  for (const rule of readRules(rules, object, problems)) {
    const ofHost = scopes.get(rule.scope) ?? [];
    scopes.set(rule.scope, ofHost);
    for (const [index, path] of rule.paths.entries()) {
      const field = pathField(rule.index, index);
      if (order === TENANT_LIMITS.pathsPerIngress) {
        const message = `An Ingress may have ${TENANT_LIMITS.pathsPerIngress} paths; this one and all after it are not served: move them to another Ingress.`;
        problems.push(problem('error', 'TooManyPaths', object, field, message));
      }
      if (order++ >= TENANT_LIMITS.pathsPerIngress) break;
      const claim = readClaim(path, field, order);
      if (claim === null) continue;
      ofHost.push(claim);
      all.push(claim);
    }
  }
  const [first, ...more] = scopes.values();
  const ofAll = more.length === 0 ? first : all;
  if (ofAll) for (const scope of others) if (!scopes.has(scope)) scopes.set(scope, ofAll);
  return scopes;
}

/** So many rules, and paths of a rule, share the texts that say where they are. */
const SHARED_FIELDS = 64;
const pathFields: string[][] = [];

/** The same text for all Ingresses: a cluster has ten thousands of paths, and nearly all of them are among the first. */
function pathField(rule: number, path: number): string {
  if (rule >= SHARED_FIELDS || path >= SHARED_FIELDS) return `spec.rules[${rule}].http.paths[${path}]`;
  const ofRule = (pathFields[rule] ??= []);
  return (ofRule[path] ??= `spec.rules[${rule}].http.paths[${path}]`);
}

interface Rule {
  readonly index: number;
  readonly scope: Scope;
  readonly paths: readonly unknown[];
}

/** The rules whose host can be served. */
function* readRules(rules: unknown, object: ObjectReference, problems: Problem[]): Generator<Rule> {
  for (const [index, rule] of asArray(rules).entries()) {
    if (index >= TENANT_LIMITS.rulesPerIngress) {
      const message = `An Ingress may have ${TENANT_LIMITS.rulesPerIngress} rules; this one and all after it are not served: move them to another Ingress.`;
      problems.push(problem('error', 'TooManyRules', object, `spec.rules[${index}]`, message));
      return;
    }
    if (!isObject(rule)) continue;
    const host = isAbsent(rule['host']) ? '' : asString(rule['host']);
    if (host === undefined || (host !== '' && hostFault(host) !== null)) continue;
    yield { index, scope: host === '' ? HOSTLESS : host, paths: asArray(asObject(rule['http'])['paths']) };
  }
}

/** A path as it is written, or null where it cannot be served; what the API server has against it is said by `validate`. */
function readPath(claim: unknown): { path: string; pathType: PathType } | null {
  const path = isAbsent(asObject(claim)['path']) ? '' : asString(asObject(claim)['path']);
  const pathType = asObject(claim)['pathType'];
  if (pathType !== 'Exact' && pathType !== 'Prefix' && pathType !== 'ImplementationSpecific') return null;
  if (path === undefined || pathFault(path, pathType) !== null) return null;
  return { path, pathType };
}

/** The place of a plain path (see `PathClaim.at`); null where it cannot be served. */
function plainPlace(
  path: string,
  pathType: PathType,
  object: ObjectReference,
  field: string,
  problems: Problem[],
): string | null {
  const normal = normalizeRulePath(path);
  if (normal === null) {
    const message =
      'No request can have this path: it has a bad percent-encoding or climbs above the root; it is ignored.';
    problems.push(problem('error', 'PathUnreachable', object, `${field}.path`, message));
    return null;
  }
  if (path.includes('?')) {
    const message =
      'Only the path of a request is matched, never its query: the "?" here stands for an encoded "%3F".';
    problems.push(problem('warning', 'PathHasQuery', object, `${field}.path`, message));
  }
  if (normal.length > TENANT_LIMITS.pathLength || segmentsOf(normal) > TENANT_LIMITS.pathSegments) {
    const message = `A path may have ${TENANT_LIMITS.pathLength} characters and ${TENANT_LIMITS.pathSegments} segments; this one is longer and is not served: shorten it.`;
    problems.push(problem('error', 'PathTooLong', object, `${field}.path`, message));
    return null;
  }
  const pattern = patternPathProblem(path, pathType, object, `${field}.path`);
  if (pattern) problems.push(pattern);
  return pathType !== 'Exact' && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

function segmentsOf(path: string): number {
  let segments = 0;
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) segments++;
  return segments;
}

function readDefault(
  ingress: ObjectKey,
  backend: unknown,
  backendOf: (backend: unknown) => BackendKey,
  policies: PolicySet | null,
): Route | null {
  if (!isObject(backend)) return null;
  const field = 'spec.defaultBackend';
  return {
    path: '',
    pathType: 'DefaultBackend',
    ingress,
    field,
    backend: backendOf(backend),
    policies,
  };
}

function backendKey(namespace: string, backend: unknown): BackendKey {
  if (!isAbsent(asObject(backend)['resource'])) return 'resource-backend';
  const service = asObject(asObject(backend)['service']);
  const { name, number } = asObject(service['port']);
  const serviceName = asString(service['name']);
  if (serviceName === undefined || !isLabel(serviceName)) return 'invalid-backend';
  if (!isAbsent(name) && name !== '' && !isAbsent(number) && number !== 0) return 'invalid-backend';
  if (isPortNumber(number)) return `${namespace}/${serviceName}:${number}`;
  const portName = asString(name);
  if (portName === undefined || !isPortName(portName)) return 'invalid-backend';
  return `${namespace}/${serviceName}:${portName}`;
}
