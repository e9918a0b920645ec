import type { CompiledBackend } from '../backends.ts';
import type { HostCertificate } from '../certificates.ts';
import type { Claims, NamespaceUse } from '../ingress/claims.ts';
import { type CompiledGateways, NO_GATEWAYS } from './compile-gateways.ts';
import type { RoutesLeftOut } from '../gateway/host-table.ts';
import type { CompileFault } from './fault.ts';
import type { GlobBucket } from './glob-bucket.ts';
import { type HostRegexes, NO_HOST_REGEXES } from './host-regexes.ts';
import type { Classes } from '../ingress/classes.ts';
import type { ScopeRoutes } from '../host-routes.ts';
import type { Dependents } from '../../model/dependents.ts';
import type { ReverseIndex } from '../../model/reverse-index.ts';
import { type Problem, sortProblems } from '../../model/problem.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { CompileSettings } from '../settings.ts';
import { type ShardedMap, emptyMap, values } from '../../model/sharded-map.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../model/snapshot.ts';
import type { SecretData } from '../../model/secret-data.ts';
import type { Losses } from '../gateway/route-losses.ts';
import type { KeyPair } from '../../model/secrets.ts';
import type { RouteTable } from '../table.ts';

/**
 * A compiled snapshot: the table, the problems, and what was worked out on the way, so that the next compile
 * need not do again what did not change.
 */
export interface Compilation {
  readonly snapshot: Snapshot;
  readonly settings: CompileSettings;
  readonly table: RouteTable;
  /** By `Kind namespace/name`. Problems of EndpointSlices stand with the Service they belong to. */
  readonly problems: ShardedMap<readonly Problem[]>;
  readonly classes: Classes;
  /** What each Ingress of ours asks for, by its key. */
  readonly asked: ShardedMap<Claims>;
  /** The class that each Ingress names that is not ours; empty where it names none. */
  readonly foreign: ShardedMap<string>;
  /** What it may have of that. */
  readonly claims: ShardedMap<Claims>;
  readonly usesByNamespace: ShardedMap<NamespaceUse>;
  readonly scopes: ShardedMap<ScopeRoutes>;
  /** By suffix. */
  readonly globBuckets: ShardedMap<GlobBucket>;
  readonly hostRegexes: HostRegexes;
  readonly endpointsByNamespace: ShardedMap<number>;
  readonly backends: ShardedMap<CompiledBackend>;
  readonly certificates: ShardedMap<HostCertificate>;
  /** What the threads need of each Secret that the table's certificates name. Never shown to anyone. */
  readonly keys: ShardedMap<KeyPair>;
  /** The data of the Secrets that policies use, by `namespace/name`. Never shown to anyone. */
  readonly policySecrets: ShardedMap<SecretData>;
  /** When time alone makes a certificate problem come or go: milliseconds since the epoch. */
  readonly certificatesValidUntil: number;
  /** Of Gateway API. */
  readonly gateways: CompiledGateways;
  /** By hostname at a port of Gateways (`hostPlace`): the routes of which a part is not served there. */
  readonly routesLeftOut: ShardedMap<RoutesLeftOut>;
  /** The Gateways that own Services which Portico made, by the keys of these. */
  readonly gatewayServices: ShardedMap<ObjectKey>;
  /** By `hostPlace`: what routes lose there to Ingresses and to older routes. */
  readonly lossesByPlace: ShardedMap<Losses>;
  readonly indexes: Indexes;
  /** What failed in this compilation, for the log: see `InternalError` among the problems. */
  readonly faults: readonly CompileFault[];
}

/** Indexes: each saves a scan of everything when one thing changes. */
export interface Indexes {
  /** Ingresses by scope: who settles a host together. */
  readonly ingressesByScope: ReverseIndex;
  /** Canaries by scope: they take shares of what those have. */
  readonly canariesByScope: ReverseIndex;
  /** Ingresses by backend: a backend is compiled as long as there is one. */
  readonly ingressesByBackend: ReverseIndex;
  /** Ingresses by TLS host. */
  readonly ingressesByTlsHost: ReverseIndex;
  /** What was compiled from which object: what is compiled again when that object changes. */
  readonly dependents: Dependents;
  /** TLS hosts by the Secret that serves them: its keys are kept as long as there is one. */
  readonly hostsBySecret: ReverseIndex;
  /** Ingresses by the Secrets that their policies use: its data is kept as long as there is one. */
  readonly ingressesByPolicySecret: ReverseIndex;
  /** Precise hosts by the wildcard above them; empty where hosts have no owner. */
  readonly hostsByWildcard: ReverseIndex;
  /** Glob scopes by suffix. */
  readonly globsBySuffix: ReverseIndex;
  /** Of ports of Gateways, the hostnames that routes are attached to. */
  readonly hostnamesByPort: ReverseIndex;
  /** Scopes by the client certificates that they ask for: a policy is kept as long as there is one. */
  readonly scopesByClientAuth: ReverseIndex;
}

export const EMPTY_TABLE: RouteTable = {
  generation: 0,
  hosts: emptyMap(),
  wildcards: emptyMap(),
  globs: emptyMap(),
  hostRegexes: [],
  hostless: null,
  defaultRoute: null,
  backends: emptyMap(),
  certificates: emptyMap(),
  clientPolicies: emptyMap(),
  passthroughs: emptyMap(),
  streams: emptyMap(),
  ports: emptyMap(),
};

/** What compiling starts from when there is nothing yet. */
export function emptyCompilation(settings: CompileSettings): Compilation {
  return {
    snapshot: EMPTY_SNAPSHOT,
    settings,
    table: EMPTY_TABLE,
    problems: emptyMap(),
    classes: {
      ours: new Set(),
      exists: false,
      takesClassless: settings.watchIngressWithoutClass,
      problems: [],
    },
    asked: emptyMap(),
    foreign: emptyMap(),
    claims: emptyMap(),
    usesByNamespace: emptyMap(),
    scopes: emptyMap(),
    globBuckets: emptyMap(),
    hostRegexes: NO_HOST_REGEXES,
    endpointsByNamespace: emptyMap(),
    backends: emptyMap(),
    certificates: emptyMap(),
    keys: emptyMap(),
    policySecrets: emptyMap(),
    certificatesValidUntil: Infinity,
    gateways: NO_GATEWAYS,
    routesLeftOut: emptyMap(),
    gatewayServices: emptyMap(),
    lossesByPlace: emptyMap(),
    indexes: {
      ingressesByScope: emptyMap(),
      canariesByScope: emptyMap(),
      ingressesByBackend: emptyMap(),
      ingressesByTlsHost: emptyMap(),
      dependents: emptyMap(),
      hostsBySecret: emptyMap(),
      ingressesByPolicySecret: emptyMap(),
      hostsByWildcard: emptyMap(),
      globsBySuffix: emptyMap(),
      scopesByClientAuth: emptyMap(),
      hostnamesByPort: emptyMap(),
    },
    faults: [],
  };
}

/** Every problem, in the order everyone shows them. */
export function listProblems(compilation: Compilation): readonly Problem[] {
  return sortProblems([...values(compilation.problems)].flat());
}
