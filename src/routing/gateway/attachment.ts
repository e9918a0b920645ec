import type { ObjectReader } from '../../model/object-reader.ts';
import { namespaceOf } from '../../model/objects.ts';
import { commonHostname } from './hostnames.ts';
import type { Fault } from './kinds.ts';
import type { ListenerPlan, PlannedListener } from './listener-plan.ts';
import { allowsNamespace } from './namespace-rule.ts';
import type { ParentRef } from './parent-refs.ts';
import { FAILED, type RouteRead } from './read-route.ts';

/** What became of a route at the parents of ours that it names. */
export interface Attachment {
  readonly route: RouteRead;
  readonly parents: readonly AttachedParent[];
  /** Where it is served. */
  readonly hosts: readonly AttachedHost[];
  /** The same, as `attachedPlace` writes it. */
  readonly places: ReadonlySet<string>;
  /** What it counts for its namespace, whether it is served or not: its matches at each host. */
  readonly use: number;
}

export interface AttachedParent {
  readonly ref: ParentRef;
  /** Why no listener of the parent takes the route; null when one does. */
  readonly rejected: Fault | null;
  /** The listeners (by their ids) that take it. */
  readonly listeners: readonly string[];
}

/** A hostname that a listener and the route have in common. */
export interface AttachedHost {
  readonly planned: PlannedListener;
  readonly hostname: string;
}

/** A hostname at a listener, as `Attachment.places` has it. */
export function attachedPlace(listener: string, hostname: string): string {
  return `${listener} ${hostname}`;
}

/** An attachment that no parent takes, for a reason of ours. */
export function rejectAttachment(attachment: Attachment, fault: Fault): Attachment {
  const parents = attachment.parents.map(({ ref, rejected }) => ({
    ref,
    rejected: rejected ?? fault,
    listeners: [],
  }));
  return { ...attachment, parents, hosts: [], places: new Set() };
}

/** The attachment of a route that we fail on. */
export function unattached(route: RouteRead, { byParent }: ListenerPlan): Attachment {
  const parents = route.parents
    .filter(({ parent }) => parent !== null && byParent.has(parent))
    .map((ref) => ({ ref, rejected: FAILED, listeners: [] }));
  return { route, parents, hosts: [], places: new Set(), use: 0 };
}

/** Hostnames of a route that are compared with those of listeners: 16 hostnames, 32 parents, 64 listeners each. */
const MAX_COMPARISONS = 32_768;

/** Attaches a route to the listeners that it names and that let it. Parents of others, and those that are not there, are left out. */
export function attach(
  route: RouteRead,
  plan: ListenerPlan,
  labelsOf: ObjectReader['namespaceLabels'],
): Attachment {
  const parents: AttachedParent[] = [];
  const hosts = new Map<string, AttachedHost>();
  let comparisons = 0;
  for (const ref of route.parents) {
    const listeners = ref.parent === null ? undefined : plan.byParent.get(ref.parent);
    if (!listeners || ref.parent === null) continue;
    comparisons += listeners.length * route.hostnames.length;
    const found =
      comparisons > MAX_COMPARISONS ? TOO_MANY_HOSTS : listenersFor(route, ref, listeners, labelsOf);
    if (found.kind === 'rejected') {
      parents.push({ ref, rejected: found.fault, listeners: [] });
      continue;
    }
    const unserved = setIsLeftOut(ref, plan) ?? route.rejected;
    const rejected = unserved ?? route.failing;
    parents.push({
      ref,
      rejected,
      listeners: rejected === null ? found.hosts.map(({ planned }) => planned.listener.id) : [],
    });
    if (unserved !== null) continue;
    for (const each of found.hosts) hosts.set(attachedPlace(each.planned.listener.id, each.hostname), each);
  }
  const use = hosts.size * Math.max(1, route.claims.length);
  return { route, parents, hosts: [...hosts.values()], places: new Set(hosts.keys()), use };
}

function setIsLeftOut({ parent }: ParentRef, plan: ListenerPlan): Fault | null {
  if (!parent?.startsWith('ListenerSet ')) return null;
  const fault = plan.sets.get(parent.slice('ListenerSet '.length));
  if (!fault) return null;
  return {
    reason: 'NoMatchingParent',
    message: `${parent} is not accepted by its Gateway: ${fault.message}`,
  };
}

type Found =
  | { readonly kind: 'found'; readonly hosts: readonly AttachedHost[] }
  | { readonly kind: 'rejected'; readonly fault: Fault };

const TOO_MANY_HOSTS: Found = rejected(
  'TooManyHostnames',
  `The hostnames of a route, counted for each listener of each of its parents, may be ${MAX_COMPARISONS}, and with this parent they are more: split the route.`,
);

/** In this order: the section and port that the route names, what the listener allows, the hostnames. */
function listenersFor(
  { kind, name, hostnames }: RouteRead,
  { parent, sectionName, port }: ParentRef,
  listeners: readonly PlannedListener[],
  labelsOf: ObjectReader['namespaceLabels'],
): Found {
  const named = listeners.filter(
    ({ listener }) =>
      (sectionName === null || listener.name === sectionName) && (port === null || listener.port === port),
  );
  if (named.length === 0) {
    const section = sectionName === null ? '' : ` with the name "${sectionName}"`;
    const at = port === null ? '' : ` on port ${port}`;
    const message = `${parent} has no listener${section}${at}: correct the parentRef.`;
    return rejected('NoMatchingParent', message);
  }
  const namespace = namespaceOf(name);
  const allowing = named.filter(
    ({ listener }) =>
      listener.kinds.includes(kind) &&
      allowsNamespace(listener.namespaces, listener.namespace, namespace, labelsOf),
  );
  if (allowing.length === 0) {
    const message = `No listener of ${parent} that this route names takes ${kind}s of namespace "${namespace}": its allowedRoutes and its protocol decide.`;
    return rejected('NotAllowedByListeners', message);
  }
  const hosts = allowing.flatMap((planned) => {
    const common = new Set(
      hostnames.flatMap((hostname) => commonHostname(planned.listener.hostname, hostname) ?? []),
    );
    return [...common].map((hostname) => ({ planned, hostname }));
  });
  if (hosts.length > 0) return { kind: 'found', hosts };
  const message = `No listener of ${parent} that this route names has one of its hostnames: correct spec.hostnames.`;
  return rejected('NoMatchingListenerHostname', message);
}

function rejected(reason: string, message: string): Found {
  return { kind: 'rejected', fault: { reason, message } };
}
