import type { RouteKind } from '../table.ts';

/** The API group of Gateway API. */
export const GROUP = 'gateway.networking.k8s.io';

export const ROUTE_KINDS: readonly RouteKind[] = [
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'UDPRoute',
];

export function isRouteKind(kind: unknown): kind is RouteKind {
  return (ROUTE_KINDS as readonly unknown[]).includes(kind);
}

/** What listeners belong to, and what routes name as their parents. */
export type ParentKind = 'Gateway' | 'ListenerSet';
export type ParentKey = `${ParentKind} ${string}`;

/** `HTTPRoute namespace/name` */
export type RouteKey = `${RouteKind} ${string}`;

export type Protocol = 'HTTP' | 'HTTPS' | 'TLS' | 'TCP' | 'UDP';

/** Which kinds of routes a protocol can carry. */
export const KINDS_OF_PROTOCOL: Readonly<Record<Protocol, readonly RouteKind[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
  UDP: ['UDPRoute'],
};

export function isProtocol(protocol: string): protocol is Protocol {
  return Object.hasOwn(KINDS_OF_PROTOCOL, protocol);
}

/** Why a condition is False: its CamelCase reason, and a sentence for the author of the object. */
export interface Fault {
  readonly reason: string;
  readonly message: string;
}
