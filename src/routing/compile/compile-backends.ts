import { isDeepStrictEqual } from 'node:util';
import { admitEndpoints } from './admit-endpoints.ts';
import { type CompiledBackend, compileBackend, serviceOf, withTooManyEndpoints } from '../backends.ts';
import type { Claims } from '../ingress/claims.ts';
import type { Attachment } from '../gateway/attachment.ts';
import type { AttachmentChange } from './compile-gateways.ts';
import type { Compilation, Indexes } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { type AffectedDependents, dependentUpdate } from '../../model/dependents.ts';
import { ObjectReader } from '../../model/object-reader.ts';
import { type CompileFault, faultProblem } from './fault.ts';
import { type IndexUpdate, updateIndex } from '../../model/reverse-index.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { errorBackendKey } from '../replacing-backend.ts';
import { routesOf } from '../references.ts';
import type { CompileSettings } from '../settings.ts';
import { type ShardedMap, difference, edit, get, values } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Backend, BackendKey, StreamRoute } from '../table.ts';

export interface CompiledBackends {
  readonly endpointsByNamespace: ShardedMap<number>;
  readonly backends: ShardedMap<CompiledBackend>;
  /** The same as the table has them. */
  readonly table: ShardedMap<Backend>;
  readonly indexes: Pick<Indexes, 'ingressesByBackend'>;
  /** Of what backends depend on. */
  readonly dependencyUpdates: readonly IndexUpdate[];
  /** Ingresses whose references became good or bad. */
  readonly affectedIngresses: ReadonlySet<ObjectKey>;
  readonly affectedServices: ReadonlySet<ObjectKey>;
}

/** Works out again the backends whose Service or slices changed, and those that other Ingresses name than before. */
export function compileBackends(
  from: Compilation,
  snapshot: Snapshot,
  settings: CompileSettings,
  changes: readonly ClaimChange[],
  attachmentChanges: readonly AttachmentChange[],
  dependents: AffectedDependents,
  streams: ShardedMap<StreamRoute>,
  faults: CompileFault[],
): CompiledBackends {
  const updates: IndexUpdate[] = changes.map(({ ingress, before, after }) => {
    return { member: ingress, before: backendsOf(before), after: backendsOf(after) };
  });
  for (const { route, before, after } of attachmentChanges) {
    updates.push({ member: route, before: attachedBackends(before), after: attachedBackends(after) });
  }
  const ingressesByBackend = updateIndex(from.indexes.ingressesByBackend, updates);

  const changedServices = new Set<ObjectKey>();
  for (const [service] of difference(from.snapshot.services, snapshot.services)) changedServices.add(service);
  const affected = new Set<BackendKey>(dependents.Backend);
  for (const [key] of difference(from.indexes.ingressesByBackend, ingressesByBackend)) affected.add(key);
  // Less is said of a Service that only canaries name.
  for (const { before, after } of changes) {
    if (isCanary(before) !== isCanary(after)) for (const key of backendsOf(after)) affected.add(key);
  }
  // Those that no Ingress names.
  const others = new Set<BackendKey>();
  if (streams.size > 0) for (const { backend } of values(streams)) others.add(backend);
  if (settings.defaultBackend) others.add(controllerBackend(settings.defaultBackend));
  for (const key of others) if (!get(from.backends, key)) affected.add(key);
  if (from.table.streams !== streams) {
    for (const { backend } of values(from.table.streams)) if (!others.has(backend)) affected.add(backend);
  }

  const { endpointsByNamespace, verdicts } = admitEndpoints(from, snapshot, ingressesByBackend, affected);
  for (const [key, isAdmitted] of verdicts) {
    const wasAdmitted = get(from.backends, key)?.backend.unavailable !== 'too-many-endpoints';
    if (isAdmitted !== wasAdmitted) affected.add(key);
  }

  const backends = edit(from.backends);
  const table = edit(from.table.backends);
  const affectedIngresses = new Set<ObjectKey>();
  const affectedServices = new Set<ObjectKey>();
  const dependencyUpdates: IndexUpdate[] = [];
  for (const key of affected) {
    const before = backends.get(key);
    const ingresses = get(ingressesByBackend, key);
    const service = serviceOf(key);
    if (service !== null) affectedServices.add(service);
    if (!ingresses && !others.has(key)) {
      backends.delete(key);
      table.delete(key);
      dependencyUpdates.push(dependentUpdate('Backend', key, before, undefined));
      continue;
    }
    const isAdmitted = verdicts.get(key) ?? true;
    const after = isolated(key, snapshot, settings, isAdmitted, faults);
    dependencyUpdates.push(dependentUpdate('Backend', key, before, after));
    const isSame = isDeepStrictEqual(before?.backend, after.backend);
    if (!isSame) table.set(key, after.backend);
    if (!isSame || !isDeepStrictEqual(before, after)) backends.set(key, after);
    const { unavailable } = after.backend;
    const faultChanged = before?.backend.unavailable !== unavailable;
    // The message about a bad reference quotes the Service.
    const stillBad = unavailable !== null && service !== null && changedServices.has(service);
    if (before && (faultChanged || stillBad))
      for (const user of ingresses ?? []) if (!user.includes(' ')) affectedIngresses.add(user);
  }
  return {
    endpointsByNamespace,
    backends: backends.done(),
    table: table.done(),
    indexes: { ingressesByBackend },
    dependencyUpdates,
    affectedIngresses,
    affectedServices,
  };
}

/** A backend that we fail on answers 503; the others are served. */
function isolated(
  key: BackendKey,
  snapshot: Snapshot,
  settings: CompileSettings,
  isAdmitted: boolean,
  faults: CompileFault[],
): CompiledBackend {
  const objects = new ObjectReader(snapshot, settings);
  try {
    return isAdmitted ? compileBackend(key, objects, settings) : withTooManyEndpoints(key, objects);
  } catch (error) {
    const [namespace = '', name = ''] = (serviceOf(key) ?? key).split('/', 2);
    const found = faultProblem({ kind: 'Service', namespace, name }, error, faults);
    const nothing = { protocol: 'http', endpoints: [], externalName: null } as const;
    const backend: Backend = { key, ...nothing, unavailable: 'internal-error' };
    return { backend, problems: [found], dependencies: objects.dependencies() };
  }
}

function backendsOf(claims: Claims | undefined): readonly BackendKey[] {
  if (!claims) return [];
  return [
    ...new Set(routesOf(claims).flatMap((route) => [route.backend, errorBackendKey(route) ?? []].flat())),
  ];
}

/** Those of a route that is served somewhere. */
function attachedBackends(attachment: Attachment | undefined): readonly BackendKey[] {
  return attachment && attachment.hosts.length > 0 ? attachment.route.backends : [];
}

function isCanary(claims: Claims | undefined): boolean {
  return claims !== undefined && claims.canary !== null;
}

/** The backend of the controller's own default route. */
export function controllerBackend({
  namespace,
  service,
  port,
}: NonNullable<CompileSettings['defaultBackend']>): BackendKey {
  return `${namespace}/${service}:${port}`;
}
