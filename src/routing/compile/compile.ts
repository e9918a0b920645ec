import { isDeepStrictEqual } from 'node:util';
import { admitClaims } from './admit-claims.ts';
import { compileBackends, controllerBackend } from './compile-backends.ts';
import { compileCertificates } from './compile-certificates.ts';
import { compileClaims } from './compile-claims.ts';
import { compileGateways } from './compile-gateways.ts';
import { compilePorts } from './compile-ports.ts';
import { compileLosses } from './compile-losses.ts';
import { compileClients } from './compile-clients.ts';
import { compilePolicySecrets } from './compile-policy-secrets.ts';
import { compileProblems } from './compile-problems.ts';
import { compileScopes } from './compile-scopes.ts';
import { type Compilation, type Indexes, emptyCompilation } from './compilation.ts';
import { affectedDependents } from '../../model/dependents.ts';
import { gatewayServices } from '../gateway/left-services.ts';
import type { CompileFault } from './fault.ts';
import { withGlobalOptions } from './apply-global-options.ts';
import type { CompileSettings } from '../settings.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Route, RouteTable } from '../table.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import { readStreamServices, streamReferenceProblems, streamTable } from '../stream-services.ts';
import { updateIndex } from '../../model/reverse-index.ts';

export { type Compilation, listProblems } from './compilation.ts';
export type { KeyPair } from '../../model/secrets.ts';
export type { CompileSettings } from '../settings.ts';

/**
 * The route table of a snapshot, with everything that is wrong in it. Pure, and total: no object, however
 * misshapen, makes it throw, and what is wrong costs no more than itself. An object that we fail on is left out, with
 * a problem that says so.
 *
 * Given the previous compilation, only what differs between the two snapshots is worked out again and the rest
 * is shared; the result is the same as without it. An unchanged table is the same object.
 */
export function compile(snapshot: Snapshot, given: CompileSettings, previous?: Compilation): Compilation {
  const global = withGlobalOptions(given, snapshot, previous?.settings.globalOptions);
  const { settings } = global;
  const from = previous && sameSettings(previous.settings, settings) ? previous : emptyCompilation(settings);
  const faults: CompileFault[] = [];
  const dependents = affectedDependents(from.indexes.dependents, from.snapshot, snapshot);
  const read = compileClaims(from, snapshot, settings, dependents, faults);
  const { classes, asked, foreign } = read;
  const { claims, changes, usesByNamespace } = admitClaims(from, asked, read.changes);
  const gateways = compileGateways(from.gateways, from.snapshot, snapshot, settings, dependents, faults);
  const ports = compilePorts(
    {
      ports: from.table.ports,
      gateways: from.gateways,
      hostnamesByPort: from.indexes.hostnamesByPort,
      leftOut: from.routesLeftOut,
    },
    gateways.compiled,
    gateways.changes,
    faults,
  );
  const scopes = compileScopes(from, settings, claims, changes, faults);
  const losses = compileLosses(from, settings, gateways.compiled, ports, scopes, claims);
  const clients = compileClients(from, scopes, claims, ports);
  const streamServices = readStreamServices(settings, new ObjectReader(snapshot, settings));
  const streams = streamTable(from.table.streams, new Map([...ports.streams, ...streamServices.routes]));
  const backends = compileBackends(
    from,
    snapshot,
    settings,
    changes,
    gateways.changes,
    dependents,
    streams,
    faults,
  );
  const certificates = compileCertificates(
    from,
    snapshot,
    settings,
    claims,
    changes,
    scopes,
    ports.secretUpdates,
    dependents,
    faults,
  );
  const policySecrets = compilePolicySecrets(from, snapshot, changes, gateways);

  const indexes: Indexes = {
    ...scopes.indexes,
    ...clients.indexes,
    ...backends.indexes,
    ...certificates.indexes,
    hostnamesByPort: ports.hostnamesByPort,
    ingressesByPolicySecret: policySecrets.ingressesByPolicySecret,
    dependents: updateIndex(from.indexes.dependents, [
      ...read.dependencyUpdates,
      ...gateways.dependencyUpdates,
      ...backends.dependencyUpdates,
      ...certificates.dependencyUpdates,
    ]),
  };
  const catchAll = scopes.catchAll ?? controllerDefault(settings);
  const table = reuseTable(from.table, {
    generation: snapshot.generation,
    hosts: scopes.hosts,
    wildcards: scopes.wildcards,
    globs: scopes.globs,
    hostRegexes: scopes.hostRegexes.lists,
    hostless: scopes.hostless,
    defaultRoute: isDeepStrictEqual(catchAll, from.table.defaultRoute) ? from.table.defaultRoute : catchAll,
    backends: backends.table,
    certificates: certificates.table,
    clientPolicies: clients.table,
    passthroughs: scopes.passthroughs,
    streams,
    ports: ports.ports,
    ...(settings.globalOptions && { globals: settings.globalOptions.settings }),
  });
  const compiled = {
    snapshot,
    settings,
    table,
    classes,
    asked,
    foreign,
    claims,
    usesByNamespace,
    scopes: scopes.scopes,
    globBuckets: scopes.globBuckets,
    hostRegexes: scopes.hostRegexes,
    endpointsByNamespace: backends.endpointsByNamespace,
    backends: backends.backends,
    certificates: certificates.certificates,
    keys: certificates.keys,
    policySecrets: policySecrets.data,
    certificatesValidUntil: certificates.validUntil,
    gateways: gateways.compiled,
    routesLeftOut: ports.leftOut,
    gatewayServices: gatewayServices(from.gatewayServices, from.snapshot.services, snapshot.services),
    lossesByPlace: losses.lossesByPlace,
    indexes,
    faults,
  };
  const affectedIngresses = new Set<string>();
  for (const { ingress } of changes) affectedIngresses.add(ingress);
  for (const part of [scopes, backends, certificates, losses]) {
    for (const ingress of part.affectedIngresses) affectedIngresses.add(ingress);
  }
  const problems = compileProblems(
    from,
    compiled,
    affectedIngresses,
    backends.affectedServices,
    certificates.defaultProblem,
    global.problems,
    [...streamServices.problems, ...streamReferenceProblems(streams, backends.table, settings)],
    new Set([...gateways.changes.map(({ route }) => route), ...losses.affectedRoutes]),
  );
  return { ...compiled, problems };
}

function sameSettings(a: CompileSettings, b: CompileSettings): boolean {
  const names = Object.keys({ ...a, ...b }) as (keyof CompileSettings)[];
  return names.every((name) => name === 'now' || isDeepStrictEqual(a[name], b[name]));
}

function controllerDefault({ defaultBackend }: CompileSettings): Route | null {
  if (!defaultBackend) return null;
  const backend = controllerBackend(defaultBackend);
  const nowhere = { host: '', path: '', ingress: '', field: '' };
  return { ...nowhere, pathType: 'DefaultBackend', backend, policies: null };
}

/** The same table when no part of it is another one. */
function reuseTable(before: RouteTable, after: RouteTable): RouteTable {
  const parts = Object.keys(after) as (keyof RouteTable)[];
  return parts.every((part) => part === 'generation' || after[part] === before[part]) ? before : after;
}
