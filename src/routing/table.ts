import type { ShardedMap } from '../model/sharded-map.ts';

/**
 * Everything a data-plane thread needs to route, and nothing else. Plain, immutable data: it can be printed,
 * compared and posted to a thread; it holds no function, no socket and no key bytes.
 */
export interface RouteTable {
  readonly generation: number;
  /** Precise hosts, lower case, without port and trailing dot. */
  readonly hosts: ShardedMap<HostRoutes>;
  /** Wildcard hosts by what follows `*.`: `*.foo.com` is found under `foo.com`. */
  readonly wildcards: ShardedMap<HostRoutes>;
  /** Host globs from annotations, bucketed by their literal suffix (whole labels), in order of precedence. */
  readonly globs: ShardedMap<readonly GlobHost[]>;
  /** Rules without a host; null when there are none. They also take a request that has no host at all. */
  readonly hostless: HostRoutes | null;
  /** Takes what no host and no host's own default takes; null answers 404. */
  readonly defaultRoute: Route | null;
  readonly backends: ShardedMap<Backend>;
  /** TLS hosts (precise names, or `*.suffix`) and the Secret that serves each; the empty host stands for the default. */
  readonly certificates: ShardedMap<CertificateReference>;
  /** What hosts ask of their clients' certificates, by its terms. */
  readonly clientPolicies: ShardedMap<ClientPolicy>;
}

export interface GlobHost {
  readonly glob: string;
  /** The source of a case-sensitive, anchored RegExp over a lower-case host, made by picomatch when compiled. */
  readonly pattern: string;
  readonly routes: HostRoutes;
}

export interface HostRoutes {
  /** As written in the rule, lower case; empty for the hostless rules. */
  readonly host: string;
  /** Of the Ingress that had the host first: it alone decides about TLS and certificates of clients. */
  readonly namespace: string;
  readonly paths: PathNode;
  /** Where a path goes that no rule of this host has; null falls to the table's default route. */
  readonly defaultRoute: Route | null;
  /** Absent where clients need no certificate. */
  readonly clients?: HostClients;
}

/** What a host asks of its clients. TLS is negotiated before a path is known: all Ingresses of a host share it. */
export interface HostClients {
  /** Of the policy in `RouteTable.clientPolicies`; `UNVERIFIABLE` when there is nothing to verify clients by. */
  readonly terms: string;
  /** `namespace/name` of the Ingress that says so. */
  readonly ingress: string;
}

/** By what clients are verified during the handshake. */
export interface ClientPolicy {
  /** A digest of all the rest: what has the same terms asks the same. */
  readonly terms: string;
  /** Otherwise a client may come without a certificate, but not with one that is not good. */
  readonly required: boolean;
  /** The certificates (PEM) that those of clients must lead to. */
  readonly authority: string;
  /** Pods get the certificate itself too. */
  readonly passCertificate: boolean;
}

/**
 * A node of a radix tree over normalized paths: the characters on the way here, then what ends here.
 * `whole` takes a request whose path ends at this node; `prefix` takes one that ends here or goes on with `/`.
 */
export interface PathNode {
  readonly label: string;
  readonly whole: Route | null;
  readonly prefix: Route | null;
  /** By the first UTF-16 code unit of the child's label. */
  readonly children: ReadonlyMap<number, PathNode> | null;
}

export type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific';

export interface Route {
  /** As the rule wrote it, or the host glob; empty for a hostless rule or a controller-wide default. */
  readonly host: string;
  /** The rule's path as written; empty for a default backend. */
  readonly path: string;
  readonly pathType: PathType | 'DefaultBackend';
  /** `namespace/name` of the Ingress; empty for the controller's own default backend. */
  readonly ingress: string;
  /** Where in the Ingress: `spec.rules[0].http.paths[1]`. */
  readonly field: string;
  readonly backend: BackendKey;
  readonly policy: Policy;
}

/** Parsed annotations of a route. */
export interface Policy {
  readonly balance: Balance;
  /** What a consistent hash is taken of; `header:<lower-case name>` for a header. */
  readonly hashBy: 'client-ip' | 'uri' | `header:${string}`;
  /** An annotation names the balance, so that the Service's session affinity yields to it. */
  readonly overridesAffinity?: true;
  /** What the pods speak, where an annotation says it; otherwise it is `Backend.protocol`. */
  readonly protocol?: 'http' | 'https' | 'grpc' | 'grpcs';
  /** For TLS to pods: the name that is asked for (SNI), and that their certificates must have if they are verified. */
  readonly serverName?: string;
  /** For TLS to pods: the certificates (PEM) that those of pods are verified by; absent verifies nothing. */
  readonly authority?: string;
  /** The Ingress asks for certificates of clients: nobody is served whose host does not ask by the same terms. */
  readonly clientTerms?: string;
}
export type Balance = 'round-robin' | 'least-requests' | 'ewma' | 'consistent-hash';
export const DEFAULT_POLICY: Policy = { balance: 'round-robin', hashBy: 'client-ip' };

/**
 * `namespace/service:port` as the Ingress wrote the port, or the reason alone for what can never be a Service
 * (`resource-backend`); opaque to the proxy.
 */
export type BackendKey = string;

/** One port of one Service, resolved to addresses. */
export interface Backend {
  readonly key: BackendKey;
  /** From `appProtocol`; what the pod speaks. */
  readonly protocol: 'http' | 'https' | 'h2c' | 'grpc';
  readonly endpoints: readonly Endpoint[];
  /** As good, but farther away: used when none of `endpoints` can be reached. */
  readonly spare?: readonly Endpoint[];
  /** No endpoint is ready; these were before, and are better than none (ADR 11). */
  readonly lastResort?: true;
  /** `sessionAffinity: ClientIP` of the Service: a consistent hash, unless the route's policy says otherwise. */
  readonly affinity?: 'client-ip';
  /** An ExternalName to resolve by DNS instead of endpoints. */
  readonly externalName: { readonly host: string; readonly port: number } | null;
  /** Why requests get 503, or null when there is an endpoint. */
  readonly unavailable: Unavailable | null;
}

export type Unavailable =
  | 'service-not-found'
  | 'port-not-found'
  | 'no-endpoints'
  | 'resource-backend'
  | 'external-name-refused'
  /** The Ingress names no usable Service and port. */
  | 'invalid-backend'
  /** The Ingress asks for access control that is not supported; serving it without would open it to everyone. */
  | 'access-policy-unsupported'
  /** The Ingress asks for pods to be verified, and there is nothing to verify them by. */
  | 'backend-unverifiable';

export interface Endpoint {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
  readonly zone?: string;
  readonly node?: string;
  /** The Pod's name, for logs and `explain`. */
  readonly pod?: string;
  /** Used only because no endpoint is ready: serving, but on its way out. */
  readonly terminating?: true;
}

/** The Secret that serves a TLS host. The bytes travel beside the table. */
export interface CertificateReference {
  readonly host: string;
  /** `namespace/name`; null leaves the host to a wildcard or to the default certificate. */
  readonly secret: string | null;
  /** Empty for the default. */
  readonly ingress: string;
  /** Of the Ingress; empty for the default. */
  readonly namespace: string;
}
