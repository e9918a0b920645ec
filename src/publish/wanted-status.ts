import { COLLECTIONS } from '../model/snapshot.ts';
import { get } from '../model/sharded-map.ts';
import { type UntypedObject, asObject } from '../model/untyped.ts';
import { lossesOf } from '../routing/compile/compile-losses.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import {
  type ListenerStatus,
  classConditions,
  gatewayStatus,
  listenerSetStatus,
  routeStatus,
  tlsPolicyStatus,
} from '../routing/gateway/conditions.ts';
import type { ServingFacts } from '../routing/gateway/serving-facts.ts';
import { supportedFeatures } from '../routing/gateway/features.ts';
import { GROUP, isRouteKind } from '../routing/gateway/kinds.ts';
import { type StatusContext, type WantedEntry, mergeConditions, mergeEntries } from './gateway-status.ts';

/** The kinds of Gateway API whose status Portico writes. */
export const STATUS_KINDS = [
  'GatewayClass',
  'Gateway',
  'ListenerSet',
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'UDPRoute',
  'BackendTLSPolicy',
] as const;
export type StatusKind = (typeof STATUS_KINDS)[number];

/** An object whose status is written: `HTTPRoute namespace/name`. */
export type StatusKey = `${StatusKind} ${string}`;

export function splitStatusKey(key: string): readonly [kind: StatusKind, object: string] {
  const space = key.indexOf(' ');
  return [key.slice(0, space) as StatusKind, key.slice(space + 1)];
}

/**
 * The fields of an object's status as they should be, with what others wrote there left as it is; null where nothing of it is
 * Portico's business.
 */
export function wantedStatus(
  key: StatusKey,
  { snapshot, gateways, lossesByPlace, settings }: Compilation,
  facts: ServingFacts,
  now: string,
): UntypedObject | null {
  const [kind, name] = splitStatusKey(key);
  const object = get(snapshot[COLLECTIONS[kind]], name);
  if (!object) return null;
  const status = asObject(object.status);
  const { generation = 0 } = object.metadata ?? {};
  const context: StatusContext = { generation: generation ?? 0, now };
  switch (kind) {
    case 'GatewayClass': {
      const read = gateways.classes.get(name);
      if (!read) return null;
      const conditions = mergeConditions(status['conditions'], classConditions(read), context);
      const features = supportedFeatures(Boolean(settings.gatewayServicePorts));
      return { conditions, supportedFeatures: features.map((name) => ({ name })) };
    }
    case 'Gateway': {
      const read = get(gateways.gateways, name);
      if (!read) return null;
      const wanted = gatewayStatus(read, gateways, facts);
      return {
        addresses: wanted.addresses,
        listeners: listenersOf(status, wanted.listeners, context),
        ...(wanted.attachedListenerSets > 0 || status['attachedListenerSets'] !== undefined
          ? { attachedListenerSets: wanted.attachedListenerSets }
          : {}),
        conditions: mergeConditions(status['conditions'], wanted.conditions, context),
      };
    }
    case 'ListenerSet': {
      const wanted = listenerSetStatus({ key: name }, gateways, facts);
      if (!wanted) return null;
      return {
        listeners: listenersOf(status, wanted.listeners, context),
        conditions: mergeConditions(status['conditions'], wanted.conditions, context),
      };
    }
    case 'BackendTLSPolicy': {
      const read = get(gateways.tlsPolicies, name);
      if (!read) return null;
      const wanted = tlsPolicyStatus(read, gateways);
      const entries = wanted.gateways.slice(0, MAX_ANCESTORS).map((gateway): WantedEntry => {
        const [namespace = '', plain = ''] = gateway.split('/');
        const ref = { group: GROUP, kind: 'Gateway', name: plain, namespace };
        return { ref, conditions: wanted.conditions };
      });
      const controller = settings.gatewayController ?? '';
      return { ancestors: mergeEntries(status['ancestors'], 'ancestorRef', entries, controller, context) };
    }
    default: {
      if (!isRouteKind(kind)) return kind satisfies never;
      const attachment = get(gateways.attachments, key);
      const wanted = attachment ? routeStatus(attachment, lossesOf(lossesByPlace, attachment)) : [];
      const entries = wanted.map(({ parentRef, conditions }): WantedEntry => ({
        ref: parentRef,
        conditions,
      }));
      const controller = settings.gatewayController ?? '';
      return { parents: mergeEntries(status['parents'], 'parentRef', entries, controller, context) };
    }
  }
}

/** As the API allows. */
const MAX_ANCESTORS = 16;

function listenersOf(
  status: UntypedObject,
  wanted: readonly ListenerStatus[],
  context: StatusContext,
): readonly unknown[] {
  const before = Array.isArray(status['listeners']) ? status['listeners'].map(asObject) : [];
  return wanted.map((listener) => {
    const last = before.find(({ name }) => name === listener.name);
    return { ...listener, conditions: mergeConditions(last?.['conditions'], listener.conditions, context) };
  });
}
