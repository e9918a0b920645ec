import type { ObjectKey } from '../../model/objects.ts';
import { get } from '../../model/sharded-map.ts';
import type { CompiledGateways } from '../compile/compile-gateways.ts';
import { type PortKey, type RouteKind, streamKey } from '../table.ts';
import type { Attachment } from './attachment.ts';
import { type BackendTlsPolicyRead, conflictOf } from './backend-tls-policies.ts';
import type { GatewayClassRead } from './gateway-classes.ts';
import type { GatewayRead, ListenerSetRead } from './gateways.ts';
import { type Fault, GROUP, type ParentKey } from './kinds.ts';
import type { PlannedListener } from './listener-plan.ts';
import { carrierOf } from './port-claims.ts';
import { PORTS_CONDITION, type ServicePorts, describeServicePorts } from './service-ports.ts';
import type { GatewayAddress, ServingFacts } from './serving-facts.ts';
import { type Loss, lossMessage, lossReason } from './route-losses.ts';

/** A condition as it should be; who writes it adds the generation and the time. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly supportedKinds: readonly { readonly group: string; readonly kind: RouteKind }[];
  readonly attachedRoutes: number;
  readonly conditions: readonly Condition[];
}

export interface GatewayStatus {
  readonly addresses: readonly GatewayAddress[];
  readonly listeners: readonly ListenerStatus[];
  readonly attachedListenerSets: number;
  readonly conditions: readonly Condition[];
}

export interface ListenerSetStatus {
  readonly listeners: readonly ListenerStatus[];
  readonly conditions: readonly Condition[];
}

export interface RouteParentStatus {
  /** As the route has it. */
  readonly parentRef: unknown;
  readonly conditions: readonly Condition[];
}

/** The types of conditions that Portico writes: one that is no longer wanted is removed, and none of others. */
export const OUR_CONDITIONS: ReadonlySet<string> = new Set([
  'Accepted',
  'Programmed',
  'ResolvedRefs',
  'Conflicted',
  'OverlappingTLSConfig',
  'InsecureFrontendValidationMode',
  'PartiallyInvalid',
  'portico.dev/Conflicted',
  PORTS_CONDITION,
]);

export function classConditions({ rejected }: GatewayClassRead): readonly Condition[] {
  return [accepted(rejected, 'Portico serves the Gateways of this class.')];
}

export function gatewayStatus(
  gateway: GatewayRead,
  gateways: CompiledGateways,
  facts: ServingFacts,
): GatewayStatus {
  const { key, rejected } = gateway;
  const planned = gateways.plan.gateways.get(key);
  const own = gateways.plan.byParent.get(`Gateway ${key}`) ?? [];
  const listeners = own.map((each) => listenerStatus(each, gateways, facts));
  const bad = listeners.filter(({ conditions }) => isFalse(conditions, 'Accepted'));
  const addresses = addressesOf(gateway, planned?.addresses ?? [], facts);
  const sets = planned?.sets ?? [];
  const accepting = acceptance(rejected, bad.length, listeners.length);
  return {
    addresses,
    listeners,
    attachedListenerSets: sets.filter((set) => isSetAccepted(set, gateways, facts)).length,
    conditions: [
      accepting,
      programming(accepting, planned?.fault ?? null, addresses.length, listeners),
      resolution(gateway.unresolved ?? unresolvedListener(listeners)),
      ...(gateway.allowsInsecureFallback ? [INSECURE] : []),
      ...(planned?.servicePorts?.size ? [servicePorts(planned.servicePorts)] : []),
    ],
  };
}

function addressesOf(
  { service, rejected }: GatewayRead,
  planned: readonly string[],
  { nodeAddresses }: ServingFacts,
): readonly GatewayAddress[] {
  if (rejected !== null) return [];
  if (service !== null) return service.addresses ?? nodeAddresses;
  return planned.flatMap((address) =>
    address === '' ? nodeAddresses : [{ type: 'IPAddress' as const, value: address }],
  );
}

/** It is read again by `readServicePorts`. */
function servicePorts(ports: ServicePorts): Condition {
  return { type: PORTS_CONDITION, status: 'True', reason: 'Assigned', message: describeServicePorts(ports) };
}

const INSECURE: Condition = {
  type: 'InsecureFrontendValidationMode',
  status: 'True',
  reason: 'ConfigurationChanged',
  message: 'Some listeners let clients in that show no certificate, or a wrong one (AllowInsecureFallback).',
};

function acceptance(rejected: Fault | null, bad: number, all: number): Condition {
  if (rejected !== null) return accepted(rejected, '');
  if (bad === 0) return accepted(null, 'Portico serves this Gateway.');
  const message =
    bad === all
      ? 'None of its listeners can be served: their conditions say why.'
      : `${bad} of its ${all} listeners cannot be served: their conditions say why.`;
  const status = bad === all ? 'False' : 'True';
  return { type: 'Accepted', status, reason: 'ListenersNotValid', message };
}

function programming(
  accepting: Condition,
  address: Fault | null,
  addresses: number,
  listeners: readonly ListenerStatus[],
): Condition {
  const type = 'Programmed';
  if (accepting.status === 'False') {
    return {
      type,
      status: 'False',
      reason: 'Invalid',
      message: 'Nothing of it is served: it is not accepted.',
    };
  }
  if (address !== null) return { type, status: 'False', ...address };
  if (addresses === 0) {
    const message = 'No address of a node is known yet: see --publish-address and --publish-service.';
    return { type, status: 'False', reason: 'AddressNotAssigned', message };
  }
  if (listeners.some(isPending)) return { type, status: 'False', ...OPENING };
  return { type, status: 'True', reason: 'Programmed', message: 'Its listeners are open on every node.' };
}

function unresolvedListener(listeners: readonly ListenerStatus[]): Fault | null {
  const found = listeners.find(({ conditions }) => isFalse(conditions, 'ResolvedRefs'));
  if (!found) return null;
  const message = `Listener "${found.name}" names something that it cannot have: its conditions say what.`;
  return { reason: 'ListenersNotResolved', message };
}

export function listenerSetStatus(
  { key }: Pick<ListenerSetRead, 'key'>,
  gateways: CompiledGateways,
  facts: ServingFacts,
): ListenerSetStatus | null {
  const fault = gateways.plan.sets.get(key);
  if (fault === undefined) return null;
  if (fault !== null) {
    const conditions = ['Accepted', 'Programmed'].map((type): Condition => ({
      type,
      status: 'False',
      reason: fault.reason,
      message: fault.message,
    }));
    return { listeners: [], conditions };
  }
  const planned = gateways.plan.byParent.get(`ListenerSet ${key}`) ?? [];
  const listeners = planned.map((each) => listenerStatus(each, gateways, facts));
  const unserved = listeners.filter(({ conditions }) => isFalse(conditions, 'Programmed'));
  const pending = unserved.filter(isPending);
  const accepting = acceptance(null, unserved.length - pending.length, listeners.length);
  const notProgrammed: Fault | null =
    accepting.status === 'False'
      ? { reason: 'ListenersNotValid', message: accepting.message }
      : pending.length > 0 && unserved.length === listeners.length
        ? OPENING
        : null;
  const programmed = condition(
    'Programmed',
    notProgrammed,
    'Programmed',
    'Its listeners are open on every node.',
  );
  return { listeners, conditions: [accepting, programmed] };
}

function isSetAccepted(key: ObjectKey, gateways: CompiledGateways, facts: ServingFacts): boolean {
  const status = listenerSetStatus({ key }, gateways, facts);
  return status !== null && !isFalse(status.conditions, 'Accepted');
}

/** What the data plane calls the port of a listener. */
function boundAs(listener: PlannedListener['listener'], port: PortKey): string {
  const carrier = carrierOf(listener);
  return carrier === 'tcp' || carrier === 'udp' ? streamKey(carrier, port) : port;
}

function listenerStatus(
  { listener, conflict, ports, overlaps }: PlannedListener,
  { routesByListener }: CompiledGateways,
  facts: ServingFacts,
): ListenerStatus {
  const failure = ports.map((port) => facts.ports?.failures.get(boundAs(listener, port))).find(Boolean);
  const unbound: Fault | null = failure
    ? {
        reason: 'PortUnavailable',
        message: `Port ${listener.port} cannot be opened on a node (${failure}): free it, or use another port.`,
      }
    : null;
  const fault = listener.rejected ?? conflict ?? unbound;
  const isConflict = conflict !== null && conflict.reason !== 'PortUnavailable';
  const notProgrammed: Fault | null =
    fault !== null
      ? { reason: isConflict ? conflict.reason : 'Invalid', message: 'It is not served: it is not accepted.' }
      : ports.length === 0
        ? ((listener.unresolved && { ...listener.unresolved, reason: 'Invalid' }) ?? NOT_OPEN)
        : isOpening(listener, ports, facts)
          ? OPENING
          : null;
  return {
    name: listener.name,
    supportedKinds: listener.kinds.map((kind) => ({ group: GROUP, kind })),
    attachedRoutes: get(routesByListener, listener.id)?.size ?? 0,
    conditions: [
      accepted(fault, 'The listener is served.'),
      condition('Programmed', notProgrammed, 'Programmed', 'The listener is open on every node.'),
      resolution(listener.unresolved),
      ...(isConflict ? [{ type: 'Conflicted', status: 'True' as const, ...conflict }] : []),
      ...(overlaps ? [OVERLAPS] : []),
    ],
  };
}

/** Whether threads have not yet said of a port that it is open, or cannot be. */
function isOpening(
  listener: PlannedListener['listener'],
  ports: readonly PortKey[],
  { ports: known }: ServingFacts,
): boolean {
  if (known === null) return false;
  return ports.some((port) => {
    const key = boundAs(listener, port);
    return !known.bound.has(key) && !known.failures.has(key);
  });
}

/** Whether ports of a Gateway or ListenerSet are about to be opened, which takes moments. */
export function opensPorts(parent: ParentKey, { plan }: CompiledGateways, facts: ServingFacts): boolean {
  const planned = plan.byParent.get(parent) ?? [];
  return planned.some(({ listener, ports }) => isOpening(listener, ports, facts));
}

function isPending({ conditions }: ListenerStatus): boolean {
  return conditions.some(({ type, reason }) => type === 'Programmed' && reason === 'Pending');
}

const OPENING: Fault = { reason: 'Pending', message: 'Not every thread of Portico listens on its port yet.' };

const NOT_OPEN: Fault = { reason: 'Pending', message: 'Its Gateway has no address to open it on.' };

const OVERLAPS: Condition = {
  type: 'OverlappingTLSConfig',
  status: 'True',
  reason: 'OverlappingHostnames',
  message:
    'Another listener on this port ends TLS for some of the same hosts: a client that uses one connection for several hosts may be told to open another (421).',
};

/** The parents of a route that are ours, each with its conditions. `losses` are what it does not get. */
export function routeStatus(
  { route, parents }: Attachment,
  [loss, ...others]: readonly Loss[],
): readonly RouteParentStatus[] {
  return parents.map(({ ref, rejected }) => ({
    parentRef: ref.written,
    conditions: [
      accepted(rejected, 'The route is attached.'),
      resolution(route.unresolved),
      ...(rejected === null && route.dropped !== null
        ? [
            {
              type: 'PartiallyInvalid',
              status: 'True' as const,
              reason: route.dropped.reason,
              message: `Dropped Rule: ${route.dropped.message}`,
            },
          ]
        : []),
      ...(rejected === null && loss ? [conflicted(loss, others.length)] : []),
    ],
  }));
}

function conflicted(loss: Loss, others: number): Condition {
  const more = others === 0 ? '' : ` The problems of the route have ${others} more.`;
  const [reason, message] = [lossReason(loss), `${lossMessage(loss)}${more}`];
  return { type: 'portico.dev/Conflicted', status: 'True', reason, message };
}

/** The Gateways that a BackendTLSPolicy counts for, each with the same conditions. */
export interface AncestorStatus {
  readonly gateways: readonly ObjectKey[];
  readonly conditions: readonly Condition[];
}

export function tlsPolicyStatus(
  policy: BackendTlsPolicyRead,
  { tlsPolicies, tlsPoliciesByService, routesByService, attachments }: CompiledGateways,
): AncestorStatus {
  const routes = policy.targets.flatMap(({ service }) => [...(get(routesByService, service) ?? [])]);
  const gateways = routes.flatMap(
    (route) => get(attachments, route)?.hosts.map(({ planned }) => planned.gateway) ?? [],
  );
  const keys = policy.targets.flatMap(({ service }) => [...(get(tlsPoliciesByService, service) ?? [])]);
  const others = [...new Set(keys)].flatMap((key) =>
    key === policy.key ? [] : (get(tlsPolicies, key) ?? []),
  );
  const older = conflictOf(policy, others);
  const conflict = older && {
    reason: 'Conflicted',
    message: `BackendTLSPolicy ${older.key} is older and has the same target: remove one of them.`,
  };
  return {
    gateways: [...new Set(gateways)].toSorted(),
    conditions: [
      accepted(conflict ?? policy.rejected, 'Connections to the Service are made as this policy says.'),
      resolution(policy.unresolved),
    ],
  };
}

function accepted(fault: Fault | null, message: string): Condition {
  return condition('Accepted', fault, 'Accepted', message);
}

function resolution(fault: Fault | null): Condition {
  return condition(
    'ResolvedRefs',
    fault,
    'ResolvedRefs',
    'Everything that it names is there and may be used.',
  );
}

function condition(type: string, fault: Fault | null, reason: string, message: string): Condition {
  return fault === null ? { type, status: 'True', reason, message } : { type, status: 'False', ...fault };
}

function isFalse(conditions: readonly Condition[], type: string): boolean {
  return conditions.some((each) => each.type === type && each.status === 'False');
}
