import type { PortRange } from './gateway/service-ports.ts';
import type { ReadableObjects } from '../model/object-reader.ts';
import type { GlobalOptions } from './global-options.ts';
import type { UntypedObject } from '../model/untyped.ts';
import type { Problem } from '../model/problem.ts';
import type { GlobalDefaults } from '../policies/global-defaults.ts';

/** Where a Portico runs; null where that is not known. */
export interface Location {
  readonly node: string | null;
  readonly zone: string | null;
}

export const NOWHERE: Location = { node: null, zone: null };

export const HOST_OWNERSHIPS = ['none', 'namespace'] as const;
export type HostOwnership = (typeof HOST_OWNERSHIPS)[number];

/** `CompileSettings.forbiddenSecrets`, from what a source says is wrong with its watches. */
export function forbiddenSecrets(problems: readonly Problem[]): readonly string[] {
  const forbidden = problems.filter(
    ({ code, object }) => code === 'ListForbidden' && object.kind === 'Secret',
  );
  return forbidden.map(({ object }) => object.namespace ?? '*').toSorted();
}

/** What compiling depends on besides the cluster. */
export interface CompileSettings extends ReadableObjects {
  /** The name of our IngressClass. */
  readonly ingressClass: string;
  /** An IngressClass is ours when its `spec.controller` is this. */
  readonly controllerName: string;
  /** Take Ingresses that name no class at all. */
  readonly watchIngressWithoutClass: boolean;
  /** Whether the namespace that had a host first has all of it; `none` when absent. */
  readonly hostOwnership?: HostOwnership;
  /** Takes what no Ingress takes; null answers 404. */
  readonly defaultBackend: {
    readonly namespace: string;
    readonly service: string;
    /** A number or a name, as a Service port has them. */
    readonly port: string;
  } | null;
  /** The Secret (`namespace/name`) that serves the TLS hosts that have no certificate of their own; none when absent. */
  readonly defaultTlsSecret?: string | null;
  /** Let ExternalNames and EndpointSlices point at the loopback, as examples on one machine do. */
  readonly allowLoopback: boolean;
  /** Let ExternalNames be names of Services and Pods in other namespaces; no when absent. */
  readonly allowCrossNamespaceExternalNames?: boolean;
  /** A metav1.LabelSelector: Ingresses of other namespaces are nobody's; all are looked at when absent. */
  readonly namespaceSelector?: UntypedObject | null;
  /** Whether ExternalName Services are followed at all; yes when absent. */
  readonly externalNames?: boolean;
  /** Whether Ingresses with a `spec.defaultBackend` are served; yes when absent. */
  readonly catchAll?: boolean;
  /** For Services that prefer endpoints nearby; nowhere when absent. */
  readonly location?: Location;
  /** What holds where an Ingress says nothing; Portico's own defaults when absent. */
  readonly defaults?: GlobalDefaults;
  /** `namespace/name` of the ConfigMap of ingress-nginx whose options hold for all hosts; none when absent. */
  readonly ingressNginxConfigMap?: string | null;
  /** The ConfigMaps (`namespace/name`) that list TCP and UDP services; none when absent. */
  readonly tcpServicesConfigMap?: string | null;
  readonly udpServicesConfigMap?: string | null;
  /** Of the admin API on the loopback, where no request is sent; none when absent. */
  readonly adminPort?: number | null;
  /** The TCP ports that Portico itself listens on. */
  readonly ownPorts?: readonly number[];
  /** Those of them that Ingresses are served on. */
  readonly ingressPorts?: { readonly http: number; readonly https: number | null };
  /** A GatewayClass is ours when its `spec.controllerName` is this; null serves no Gateways. */
  readonly gatewayController?: string | null;
  /** Addresses of this node of which each Gateway has one for itself; they share all of the node's when absent. */
  readonly gatewayAddresses?: readonly string[];
  /** Each Gateway has a Service, and for each of its ports one of these of the nodes; no Services when absent. */
  readonly gatewayServicePorts?: PortRange | null;
  /** The addresses of this node that Portico listens on. */
  readonly ownAddresses?: readonly string[];
  /** Addresses and ranges that Gateways may ask for: those of this node. */
  readonly localAddresses?: readonly string[];
  /** What that says: set when it is read. */
  readonly globalOptions?: GlobalOptions;
  /** Milliseconds since the epoch: whether certificates are valid. */
  readonly now: number;
}
