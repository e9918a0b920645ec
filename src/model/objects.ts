import type {
  V1ConfigMap,
  V1EndpointSlice,
  V1Ingress,
  V1IngressClass,
  V1Namespace,
  V1ObjectMeta,
  V1Secret,
  V1Service,
} from '@kubernetes/client-node';
import { asObject, asString } from './untyped.ts';

/**
 * An API type as it is on the wire: dates are RFC 3339 strings, null may stand for a missing value, and nothing
 * may be changed. The generated types speak of `Date` objects, which would be built for every object and used
 * for none.
 */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Wire<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Wire<T[Key]> | (undefined extends T[Key] ? null : never) }
      : T;

export type ObjectMeta = Wire<V1ObjectMeta>;
export type Ingress = Wire<V1Ingress>;
export type IngressClass = Wire<V1IngressClass>;
export type Service = Wire<V1Service>;
export type EndpointSlice = Wire<V1EndpointSlice>;
export type Secret = Wire<V1Secret>;
export type ConfigMap = Wire<V1ConfigMap>;
export type Namespace = Wire<V1Namespace>;

/** An object of Gateway API. Its fields are read one by one through `untyped.ts`: nobody has checked any of them. */
export interface GatewayResource {
  readonly metadata?: ObjectMeta | null;
  readonly spec?: unknown;
  readonly status?: unknown;
}

/** The kinds Portico reads, each with its type. */
export interface Kinds {
  Ingress: Ingress;
  IngressClass: IngressClass;
  Service: Service;
  EndpointSlice: EndpointSlice;
  Secret: Secret;
  ConfigMap: ConfigMap;
  Namespace: Namespace;
  GatewayClass: GatewayResource;
  Gateway: GatewayResource;
  ListenerSet: GatewayResource;
  HTTPRoute: GatewayResource;
  GRPCRoute: GatewayResource;
  TLSRoute: GatewayResource;
  TCPRoute: GatewayResource;
  UDPRoute: GatewayResource;
  ReferenceGrant: GatewayResource;
  BackendTLSPolicy: GatewayResource;
}
export type Kind = keyof Kinds;

/** The kinds of the group `gateway.networking.k8s.io`. */
export const GATEWAY_KINDS = [
  'GatewayClass',
  'Gateway',
  'ListenerSet',
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'UDPRoute',
  'ReferenceGrant',
  'BackendTLSPolicy',
] as const satisfies readonly Kind[];
export type GatewayKind = (typeof GATEWAY_KINDS)[number];

export function isGatewayKind(kind: Kind): kind is GatewayKind {
  return (GATEWAY_KINDS as readonly Kind[]).includes(kind);
}

const CLUSTER_SCOPED: ReadonlySet<Kind> = new Set(['IngressClass', 'GatewayClass', 'Namespace']);

/** Whether objects of the kind lie in namespaces. */
export function isNamespaced(kind: Kind): boolean {
  return !CLUSTER_SCOPED.has(kind);
}

/** `namespace/name`, or just the name for a kind without namespaces. */
export type ObjectKey = string;

/** A kind of object that an annotation may name, and one such object. */
export type ReferredKind = 'Secret' | 'ConfigMap';
export type Reference = `${ReferredKind} ${ObjectKey}`;

export function objectKey(object: { readonly metadata?: ObjectMeta | null }): ObjectKey {
  const { namespace, name } = asObject(object.metadata);
  return typeof namespace === 'string' && namespace !== ''
    ? `${namespace}/${asString(name)}`
    : `${asString(name)}`;
}

/** The namespace in `namespace/name`; empty when there is none. */
export function namespaceOf(key: ObjectKey): string {
  return key.slice(0, Math.max(0, key.indexOf('/')));
}

export function referenceParts(reference: Reference): { kind: ReferredKind; key: ObjectKey } {
  const at = reference.indexOf(' ');
  // What stands before the blank is of the type that the reference says.
  return { kind: reference.slice(0, at) as ReferredKind, key: reference.slice(at + 1) };
}
