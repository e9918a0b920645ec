import { serviceOf } from '../backends.ts';
import { addressesOfSlice } from '../port-index.ts';
import type { Compilation } from './compilation.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import type { ReverseIndex } from '../../model/reverse-index.ts';
import { compareText } from '../precedence.ts';
import { type ShardedMap, edit, entries, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { BackendKey } from '../table.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';
import { asObject, asString } from '../../model/untyped.ts';

export interface AdmittedEndpoints {
  readonly endpointsByNamespace: ShardedMap<number>;
  /** Backends of the namespaces that are beyond the limit, or were: whether their endpoints are used. */
  readonly verdicts: ReadonlyMap<BackendKey, boolean>;
}

/**
 * Holds namespaces to their number of endpoints: what a Service port costs every thread is paid for each port of it
 * that an Ingress names. Only a namespace that is beyond the limit, or was, has all its backends looked at.
 */
export function admitEndpoints(
  from: Compilation,
  snapshot: Snapshot,
  ingressesByBackend: ReverseIndex,
  affected: ReadonlySet<BackendKey>,
): AdmittedEndpoints {
  const sums = edit(from.endpointsByNamespace);
  const namespaces = new Set<string>();
  for (const key of affected) {
    const service = serviceOf(key);
    if (service === null) continue;
    const namespace = namespaceOf(service);
    namespaces.add(namespace);
    const before = get(from.indexes.ingressesByBackend, key) ? listedEndpoints(service, from.snapshot) : 0;
    const after = get(ingressesByBackend, key) ? listedEndpoints(service, snapshot) : 0;
    const sum = (sums.get(namespace) ?? 0) - before + after;
    if (sum > 0) sums.set(namespace, sum);
    else sums.delete(namespace);
  }
  const beyond = new Set(
    [...namespaces].filter((namespace) => {
      return isBeyond(get(from.endpointsByNamespace, namespace)) || isBeyond(sums.get(namespace));
    }),
  );
  const verdicts =
    beyond.size > 0 ? judge(beyond, snapshot, ingressesByBackend) : new Map<BackendKey, boolean>();
  return { endpointsByNamespace: sums.done(), verdicts };
}

function isBeyond(endpoints = 0): boolean {
  return endpoints > TENANT_LIMITS.endpointsPerNamespace;
}

/** The ports of the oldest Services come first; what does not fit any more is left out. */
function judge(
  namespaces: ReadonlySet<string>,
  snapshot: Snapshot,
  ingressesByBackend: ReverseIndex,
): Map<BackendKey, boolean> {
  const found: { key: BackendKey; namespace: string; created: string; count: number }[] = [];
  for (const [key] of entries(ingressesByBackend)) {
    const service = serviceOf(key);
    if (service === null || !namespaces.has(namespaceOf(service))) continue;
    const metadata = asObject(asObject(get(snapshot.services, service))['metadata']);
    // As text, RFC 3339 times of one API server are in order of time.
    const created = asString(metadata['creationTimestamp']) ?? '9999';
    found.push({
      key,
      namespace: namespaceOf(service),
      created,
      count: listedEndpoints(service, snapshot),
    });
  }
  found.sort((a, b) => compareText(a.created, b.created) || compareText(a.key, b.key));
  const used = new Map<string, number>();
  return new Map(
    found.map(({ key, namespace, count }) => {
      const sum = (used.get(namespace) ?? 0) + count;
      if (sum > TENANT_LIMITS.endpointsPerNamespace) return [key, false];
      used.set(namespace, sum);
      return [key, true];
    }),
  );
}

/** How many addresses the EndpointSlices of a Service list, ready or not. */
function listedEndpoints(service: ObjectKey, { slicesByService }: Snapshot): number {
  let count = 0;
  for (const slice of get(slicesByService, service) ?? []) count += addressesOfSlice(slice);
  return count;
}
