import type { ShardedMap } from '../model/sharded-map.ts';
import type { CanaryConfig } from '../policies/canary.ts';
import type { ClientAuth } from '../policies/client-certificate.ts';
import type { PolicySet } from '../policies/policy-set.ts';
import type { GlobalSettings } from './global-options.ts';
import type { GlobPattern } from './glob-pattern.ts';

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
  /** Hosts that are regular expressions, by namespace; asked for hosts that nothing above has. */
  readonly hostRegexes: readonly HostRegexList[];
  /** Rules without a host; null when there are none. They also take a request that has no host at all. */
  readonly hostless: HostRoutes | null;
  /** Takes what no host and no host's own default takes; null answers 404. */
  readonly defaultRoute: Route | null;
  readonly backends: ShardedMap<Backend>;
  /** TLS hosts (precise names, or `*.suffix`) and the Secret that serves each; the empty host stands for the default. */
  readonly certificates: ShardedMap<CertificateReference>;
  /** What hosts ask of their clients' certificates, by its id. */
  readonly clientPolicies: ShardedMap<ClientAuth>;
  /** The scopes whose TLS is passed through, each with the backend: `HostRoutes.passthrough` again, to see whether there is any. */
  readonly passthroughs: ShardedMap<BackendKey>;
  /** Ports that are relayed as they are, by `tcp/9000`. */
  readonly streams: ShardedMap<StreamRoute>;
  /** What Gateways listen on with HTTP and TLS, by `portKey`. */
  readonly ports: ShardedMap<GatewayPort>;
  /** What holds for all hosts; the flags where absent. */
  readonly globals?: GlobalSettings;
}

/** Where listeners of Gateways meet: an address of this node (empty for all of them) and a port. */
export type PortKey = `${string}:${number}`;

export function portKey(address: string, port: number): PortKey {
  return `${address}:${port}`;
}

/** The key of a stream that is listened for at a place: `tcp/9000`, or `tcp/192.0.2.1:9000`. */
export function streamKey(protocol: 'tcp' | 'udp', place: PortKey): string {
  return `${protocol}/${place.startsWith(':') ? place.slice(1) : place}`;
}

/** The listeners of Gateways at one address and port. */
export interface GatewayPort {
  /** Empty for all addresses of the node: then Ingresses are served on it too if it is a port of theirs. */
  readonly address: string;
  readonly port: number;
  /** The port that clients connect to, where that is another one: a Service leads them here. */
  readonly clientPort?: number;
  /** Whether clients speak TLS on it. */
  readonly isTls: boolean;
  /**
   * By `hostKey`: the hostnames of the listeners, and within them those of routes. The one that is found first by
   * `gatewayRoutes` belongs to the listener that has the host.
   */
  readonly hosts: ShardedMap<HostRoutes>;
  /** The Secrets (`namespace/name`) that serve the names that clients ask for, by `hostKey`. */
  readonly certificates: ShardedMap<string>;
}

/** The key of a hostname of a listener or route, as `gatewayRoutes` looks for it: `*.example.com` is `.example.com`. */
export function hostKey(hostname: string): string {
  return hostname.startsWith('*.') ? hostname.slice(1) : hostname;
}

/** A port whose connections, or datagrams, go to one backend, whatever they carry. */
export interface StreamRoute {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly backend: BackendKey;
  /** `namespace/name` of the ConfigMap that says so; empty where a Gateway does. */
  readonly configMap: string;
  /** The route of a Gateway that says so: where it listens, and among what its connections are split. */
  readonly gateway?: GatewayStream;
  /** Connections begin with a PROXY header of a load balancer, or may. */
  readonly acceptsProxyProtocol: boolean;
  /** Endpoints are sent one. */
  readonly sendsProxyProtocol: boolean;
}

export interface GatewayStream {
  /** Of the node; empty for all of them. */
  readonly address: string;
  /** `TCPRoute` or `UDPRoute`; null while no route is attached, and connections are reset. */
  readonly route: Route | null;
}

export interface GlobHost {
  readonly glob: string;
  /** What it stands for: one of them must take the labels before the suffix. */
  readonly patterns: readonly GlobPattern[];
  readonly routes: HostRoutes;
}

/** The regular expressions for hosts of one namespace, those of the oldest Ingress first. */
export interface HostRegexList {
  readonly namespace: string;
  readonly entries: readonly {
    readonly pattern: PathPattern;
    /** Of all expressions the lowest takes a host. */
    readonly rank: number;
    readonly routes: HostRoutes;
  }[];
}

export interface HostRoutes {
  /** As written in the rule, lower case; empty for the hostless rules. */
  readonly host: string;
  /** Of the Ingress that had the host first: it alone decides about TLS and certificates of clients. */
  readonly namespace: string;
  /** Hosts with the same paths share one tree. */
  readonly paths: PathTree;
  /** Absent where no path is a regular expression. */
  readonly patterns?: HostPatterns;
  /** Where a path goes that no rule of this host has; null falls to the table's default route. */
  readonly defaultRoute: Route | null;
  /** Absent where clients need no certificate. */
  readonly clients?: HostClients;
  /** TLS connections for the host go on to this backend without being decrypted; absent where TLS ends here. */
  readonly passthrough?: BackendKey;
  /** Present on the ports of Gateways. */
  readonly gateway?: GatewayHost;
  /** The routes that others fall back to: a list, so that however many there are, copying them takes no recursion. */
  readonly linked?: readonly Route[];
}

/** What a host on the port of a Gateway belongs to. */
export interface GatewayHost {
  /** `Gateway namespace/name/listener`, or `ListenerSet` instead. A connection is for one listener, and so are its requests. */
  readonly listener: string;
  /** Present where the listener takes TLS that carries no HTTP. */
  readonly tls?: {
    readonly mode: 'passthrough' | 'terminate';
    /** The TLSRoute; null where none is attached, and connections are reset. */
    readonly route: Route | null;
  };
}

/** The `policyId` of clients that cannot be verified: no policy and no connection has it. */
export const UNVERIFIABLE = '';

/** The paths of a host that are regular expressions. */
export interface HostPatterns {
  /** One for each namespace that has some. */
  readonly lists: readonly PatternList[];
  /** The Ingresses of the host by age, the oldest first: which of two namespaces comes first. */
  readonly ages: ReadonlyMap<string, number>;
}

/** The regular expressions of one namespace on a host: the first that matches the beginning of a path takes it. */
export interface PatternList {
  readonly namespace: string;
  readonly entries: readonly PatternEntry[];
}

export interface PatternEntry {
  readonly pattern: PathPattern;
  readonly route: Route;
}

export interface PathPattern {
  /** In the syntax of RE2, over paths as `normalizePath` gives them. */
  readonly text: string;
  readonly ignoreCase: boolean;
  /** What every path begins with that it matches, in lower case. */
  readonly literal: string;
  /** Instructions of the compiled expression. */
  readonly size: number;
}

/** What a host asks of its clients. TLS is negotiated before a path is known: all Ingresses of a host share it. */
export interface HostClients {
  /** Of the policy in `RouteTable.clientPolicies`; `UNVERIFIABLE` when there is nothing to verify clients by. */
  readonly policyId: string;
  /** `namespace/name` of the Ingress that says so. */
  readonly ingress: string;
}

/**
 * A radix tree over normalized paths as a flat list, the root first and parents before their children: however
 * deep paths are nested, copying it to a thread takes no recursion.
 */
export type PathTree = readonly PathNode[];

/**
 * The characters on the way here, then what ends here. `whole` takes a request whose path ends at this node;
 * `prefix` takes one that ends here or goes on with `/`.
 */
export interface PathNode {
  readonly label: string;
  readonly whole: Route | null;
  readonly prefix: Route | null;
  /** Places in the list, by the first UTF-16 code unit of the child's label. */
  readonly children: ReadonlyMap<number, number> | null;
}

export type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific';

export interface Route {
  /** The rule's path as written; empty for a default backend. */
  readonly path: string;
  readonly pathType: PathType | 'DefaultBackend';
  /** `namespace/name` of the Ingress; empty for the controller's own default backend. */
  readonly ingress: string;
  /** Where in the Ingress: `spec.rules[0].http.paths[1]`. */
  readonly field: string;
  /** The kind of the object in `ingress`; absent for an Ingress. */
  readonly kind?: RouteKind;
  /** What a request must say beside its path; absent where that is all. */
  readonly matches?: RequestMatch;
  /** The next best for a request that `matches` does not take: its place in `HostRoutes.linked`; absent where there is none. */
  readonly next?: number;
  /** Present where the path is a regular expression. */
  readonly pattern?: PathPattern;
  /** Of several, the one of the rule itself. */
  readonly backend: BackendKey;
  /** All among which requests are split, `backend` first; absent where it is the only one. */
  readonly backends?: readonly WeightedBackend[];
  /** Null when its annotations ask for nothing. */
  readonly policies: PolicySet | null;
}

/** The kinds of routes of Gateway API. */
export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute' | 'UDPRoute';

/** All of it must be true of a request. */
export interface RequestMatch {
  readonly method?: string;
  /** Of fields by their lower-case names; repeated ones are joined with commas. */
  readonly headers?: readonly ValueMatch[];
  /** Of the first parameter of each name. */
  readonly query?: readonly ValueMatch[];
  /** Its content type is that of gRPC. */
  readonly isGrpc?: true;
}

export interface ValueMatch {
  readonly name: string;
  readonly value: string;
  /** Whether `value` is a regular expression (RE2) that the whole value must match; it is the value itself when absent. */
  readonly isPattern?: true;
}

/** One of the backends of a route, and which of its requests it gets. */
export interface WeightedBackend {
  readonly key: BackendKey;
  /** Its part of the sum of all weights of the route: a whole number. */
  readonly weight: number;
  /** What makes it a canary; null for a backend of the rule itself. */
  readonly canary: CanaryBackend | null;
  /** The same route as this backend serves it: with filters of its own. Absent where it has none. */
  readonly route?: Route;
}

/** A backend that another Ingress, a canary, brings. */
export interface CanaryBackend {
  /** `namespace/name` of it. */
  readonly ingress: string;
  /** They decide before the weights. */
  readonly conditions: Pick<CanaryConfig, 'header' | 'cookie'>;
  /** The same route as this backend serves it: with what the canary says of its endpoints. */
  readonly route: Route;
}

/**
 * `namespace/service:port` as the Ingress wrote the port (nothing for the first one; `@cluster-ip` after it for the ClusterIP), or the reason alone for what can never be a Service
 * (`resource-backend`); opaque to the proxy.
 */
export type BackendKey = string;

/** The key of a backend that a route of a Gateway names and may not use. */
export const INVALID_REFERENCE: BackendKey & Unavailable = 'invalid-reference';

/** One port of one Service, resolved to addresses. */
export interface Backend {
  readonly key: BackendKey;
  /**
   * With the key, what the cookies of sessions are made with: the same for every Portico, and known to nobody who has not
   * read the Service. Empty where the Service has none, and absent where there is no Service.
   */
  readonly serviceUid?: string;
  /** From `appProtocol`; what the upstream speaks. */
  readonly protocol: 'http' | 'https' | 'h2c' | 'grpc';
  readonly endpoints: readonly Endpoint[];
  /** As good, but farther away: used when none of `endpoints` can be reached. */
  readonly failoverEndpoints?: readonly Endpoint[];
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
  /** A route of a Gateway names nothing that it may send requests to: they get 500. */
  | 'invalid-reference'
  /** Beyond what the namespace may have: see `TENANT_LIMITS`. */
  | 'too-many-endpoints'
  /** Portico failed on the Service: a bug of its own. */
  | 'internal-error';

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
