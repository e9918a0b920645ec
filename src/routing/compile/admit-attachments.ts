import { isDeepStrictEqual } from 'node:util';
import { namespaceOf } from '../../model/objects.ts';
import { type ShardedMap, edit, get, values } from '../../model/sharded-map.ts';
import { type Attachment, rejectAttachment } from '../gateway/attachment.ts';
import { type RouteRead, byAge } from '../gateway/read-route.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';

export interface AttachmentsBefore {
  readonly attachments: ShardedMap<Attachment>;
  readonly usesByNamespace: ShardedMap<number>;
}

export interface AdmittedAttachments {
  /** What is to be looked at again; undefined for a route that is gone. */
  readonly admitted: ReadonlyMap<string, Attachment | undefined>;
  readonly usesByNamespace: ShardedMap<number>;
}

/**
 * Attaches the affected routes, and holds namespaces to their limit. Only one that is beyond it, or was, has all its routes
 * looked at.
 */
export function admitAttachments(
  from: AttachmentsBefore,
  routes: ShardedMap<RouteRead>,
  affected: ReadonlySet<string>,
  attachTo: (route: RouteRead) => Attachment,
): AdmittedAttachments {
  const admitted = new Map<string, Attachment | undefined>();
  const uses = edit(from.usesByNamespace);
  const namespaces = new Set<string>();
  for (const key of affected) {
    const route = get(routes, key);
    const last = get(from.attachments, key);
    const next = route && attachTo(route);
    admitted.set(key, next);
    const namespace = namespaceOf((route ?? last?.route)?.name ?? '');
    namespaces.add(namespace);
    const sum = (uses.get(namespace) ?? 0) - (last?.use ?? 0) + (next?.use ?? 0);
    if (sum === 0) uses.delete(namespace);
    else uses.set(namespace, sum);
  }
  for (const namespace of namespaces) {
    if (!isBeyond(get(from.usesByNamespace, namespace)) && !isBeyond(uses.get(namespace))) continue;
    const own = [...values(routes)].filter(({ name }) => namespaceOf(name) === namespace).sort(byAge);
    for (const each of withinLimit(own.map((route) => admitted.get(route.key) ?? attachTo(route)))) {
      const { key } = each.route;
      if (admitted.has(key) || !isDeepStrictEqual(get(from.attachments, key), each)) admitted.set(key, each);
    }
  }
  return { admitted, usesByNamespace: uses.done() };
}

function isBeyond(use = 0): boolean {
  return use > TENANT_LIMITS.routesPerNamespace;
}

/** The oldest come first, and what does not fit any more is not served. */
function withinLimit(oldestFirst: readonly Attachment[]): readonly Attachment[] {
  let used = 0;
  return oldestFirst.map((attachment) => {
    if (isBeyond(used + attachment.use)) return rejectAttachment(attachment, TOO_MANY);
    used += attachment.use;
    return attachment;
  });
}

const TOO_MANY = {
  reason: 'NamespaceTooManyRoutes',
  message: `The routes of a namespace may have ${TENANT_LIMITS.routesPerNamespace} matches, counted for each hostname at each listener; with this one they are more, so it is not served: remove some, or use another namespace.`,
} as const;
