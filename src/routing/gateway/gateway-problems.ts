import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import type { CompiledGateways } from '../compile/compile-gateways.ts';
import { get } from '../../model/sharded-map.ts';
import type { BackendTlsPolicyRead } from './backend-tls-policies.ts';
import { tlsPolicyStatus } from './conditions.ts';
import type { Attachment } from './attachment.ts';
import type { GatewayClassRead } from './gateway-classes.ts';
import type { GatewayService } from './gateway-services.ts';
import type { GatewayRead, ListenerSetRead } from './gateways.ts';
import type { Fault } from './kinds.ts';
import type { PlannedListener } from './listener-plan.ts';

/** The conditions of objects that are False, as problems: for the log, Events and `check`. The reason is the code. */

export function classProblems({ object, rejected }: GatewayClassRead): readonly Problem[] {
  return rejected === null ? [] : [told(object, 'spec.parametersRef', rejected)];
}

export function gatewayProblems(
  { key, object, rejected, unresolved, service }: GatewayRead,
  { plan }: CompiledGateways,
): readonly Problem[] {
  const address = plan.gateways.get(key)?.fault ?? null;
  return [
    ...(rejected === null ? [] : [told(object, 'spec', rejected)]),
    ...(address === null ? [] : [addressProblem(object, address, service)]),
    ...(unresolved === null ? [] : [told(object, 'spec.tls.backend', unresolved)]),
    ...(plan.byParent.get(`Gateway ${key}`) ?? []).flatMap((each) => listenerProblems(object, each)),
  ];
}

/** That a load balancer takes its time is no problem of anybody. */
function addressProblem(object: ObjectReference, fault: Fault, service: GatewayService | null): Problem {
  const { reason, message } = fault;
  const isAwaited = reason === 'AddressNotAssigned' && service !== null && service.presence !== 'foreign';
  return problem(isAwaited ? 'info' : 'error', reason, object, 'spec.addresses', message);
}

export function listenerSetProblems(
  { key, object }: ListenerSetRead,
  { plan }: CompiledGateways,
): readonly Problem[] {
  const fault = plan.sets.get(key);
  if (fault) return [told(object, 'spec.parentRef', fault)];
  return (plan.byParent.get(`ListenerSet ${key}`) ?? []).flatMap((each) => listenerProblems(object, each));
}

function listenerProblems(
  object: ObjectReference,
  { listener, conflict }: PlannedListener,
): readonly Problem[] {
  return [listener.rejected, conflict, listener.unresolved].flatMap((fault) =>
    fault === null ? [] : [told(object, listener.field, fault)],
  );
}

/** Of a route that names a parent of ours; `leftOut` is why parts of it are not served at some hostnames. */
export function routeProblems({ route, parents }: Attachment, leftOut: readonly Fault[]): readonly Problem[] {
  const { object, allDropped, allUnresolved } = route;
  const rejected = parents.flatMap(({ ref, rejected: fault }) =>
    fault === null ? [] : [told(object, `spec.parentRefs[${route.parents.indexOf(ref)}]`, fault)],
  );
  const isServed = rejected.length < parents.length;
  return [
    ...route.problems,
    ...rejected,
    ...(isServed ? allDropped : []).map((fault) => told(object, 'spec.rules', fault)),
    ...allUnresolved.map((fault) => told(object, 'spec.rules', fault)),
    ...leftOut.map((fault) => told(object, 'spec.rules', fault)),
  ];
}

/** Of a BackendTLSPolicy that counts for a Service of a route of ours: others are the business of other controllers. */
export function tlsPolicyProblems(
  policy: BackendTlsPolicyRead,
  gateways: CompiledGateways,
): readonly Problem[] {
  const isOurs = policy.targets.some(({ service }) => get(gateways.routesByService, service) !== undefined);
  if (!isOurs) return [];
  return tlsPolicyStatus(policy, gateways).conditions.flatMap(({ status, reason, message }) =>
    status === 'True' ? [] : [told(policy.object, 'spec', { reason, message })],
  );
}

function told(object: ObjectReference, field: string, { reason, message }: Fault): Problem {
  return problem('error', reason, object, field, message);
}
