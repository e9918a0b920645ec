/**
 * What the admin API answers, version 1: plain JSON. Fields may be added; none changes its meaning or goes away within a
 * version. Times are RFC 3339 in UTC. Nothing here is a byte of a Secret or the value of a header field.
 */

/** A page of a list. */
export interface Page<T> {
  /** Of the table, or of what is listed. The same for as long as the list is. */
  readonly generation: number;
  /** In the whole list, after the filter. */
  readonly total: number;
  /** The place of the first item. */
  readonly offset: number;
  readonly items: readonly T[];
}

export interface Overview {
  readonly version: string;
  /** The Pod that answers; empty outside of a cluster. */
  readonly pod: string;
  readonly startedAt: string;
  readonly ready: boolean;
  readonly checks: readonly Check[];
  readonly generation: number;
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  readonly lastResort: number;
  readonly problems: SeverityCounts;
  /** How many of them say that an object lost something to another one. */
  readonly conflicts: number;
  readonly certificates: number;
  /** The certificate that expires first; null when there is none. */
  readonly firstExpiry: { readonly host: string; readonly secret: string; readonly notAfter: string } | null;
  /** Whether recent requests are kept. */
  readonly keepsRequests: boolean;
  /** Of all requests in the last seconds; null until there are figures. */
  readonly traffic: Rates | null;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface SeverityCounts {
  readonly error: number;
  readonly warning: number;
  readonly info: number;
}

/** The object that a route comes from. */
export interface SourceReference {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `spec.rules[0].http.paths[1]` */
  readonly field: string;
}

/** One rule of one host. */
export interface RouteRow {
  /** `Ingress/shop/web/spec.rules[0].http.paths[1]`: a rule of several hosts has one for all of them. */
  readonly id: string;
  /** Empty for rules without a host. */
  readonly host: string;
  /** `Gateway namespace/name/listener`; absent for an Ingress. */
  readonly listener?: string;
  readonly path: string;
  readonly pathType: string;
  readonly source: SourceReference;
  readonly backends: readonly BackendShare[];
  /** The names of the policies that act on its requests. */
  readonly policies: readonly string[];
  /** Policies that cannot be read or enforced: every request gets 503. */
  readonly closed: readonly string[];
  /** What a request must say beside its path: `method GET`, `header x-version`. */
  readonly matches: readonly string[];
  /** Null when nothing was counted in the last seconds; absent when it was not asked for. */
  readonly traffic?: Rates | null;
}

export interface BackendShare {
  /** `namespace/service:port` */
  readonly key: string;
  /** Its part of all requests, from 0 to 1. */
  readonly share: number;
  /** `namespace/name` of the Ingress that makes it a canary. */
  readonly canary?: string;
  readonly endpoints: number;
  /** Why requests get 503. */
  readonly unavailable?: string;
}

/** Everything about one object and what is served of it. */
export interface RouteDetail {
  readonly generation: number;
  readonly source: Omit<SourceReference, 'field'>;
  readonly total: number;
  readonly routes: readonly (RouteRow & { readonly describedPolicies: readonly string[] })[];
  readonly backends: readonly BackendRow[];
  readonly problems: readonly ProblemRow[];
}

/** What happened in each of the last seconds, on average. */
export interface Rates {
  readonly requestsPerSecond: number;
  /** 5xx */
  readonly serverErrorsPerSecond: number;
  /** 4xx */
  readonly clientErrorsPerSecond: number;
  readonly bytesPerSecond: number;
  /** From the first byte of a request to the last byte of its response. Null without requests. */
  readonly meanMs: number | null;
  /** Estimated from buckets, as Prometheus does it. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export interface BackendRow {
  readonly key: string;
  readonly protocol: string;
  /** Those that are used first. */
  readonly endpointCount: number;
  /** Farther ones, for when these cannot be reached. */
  readonly failoverCount: number;
  readonly lastResort: boolean;
  readonly externalName: string | null;
  readonly unavailable: string | null;
  /** The first of them. */
  readonly endpoints: readonly EndpointRow[];
  readonly traffic: Rates | null;
}

export interface EndpointRow {
  /** `address:port`, or the name of an ExternalName. */
  readonly address: string;
  readonly pod: string | null;
  readonly node: string | null;
  readonly zone: string | null;
  readonly terminating: boolean;
  readonly failover: boolean;
  /** Null when no thread has told yet. */
  readonly health: {
    /** Requests under way, of all threads. */
    readonly inFlight: number;
    /** Time to the first byte, as threads average it; null until one measured it. */
    readonly latencyMs: number | null;
    /** Threads that set it aside, because connections failed. */
    readonly ejectedBy: number;
    readonly threads: number;
  } | null;
}

export interface ProblemRow {
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: string;
  readonly object: { readonly kind: string; readonly namespace: string; readonly name: string };
  readonly field: string;
  readonly message: string;
  /** `file:line:column` of a manifest; null in a cluster. */
  readonly place: string | null;
  /** Whether it says that the object lost something to another one. */
  readonly conflict: boolean;
}

export interface ProblemPage extends Page<ProblemRow> {
  /** Of the whole list; the first namespaces, those with most errors first. Empty for objects without a namespace. */
  readonly namespaces: readonly (SeverityCounts & { readonly namespace: string })[];
}

export interface CertificateRow {
  /** The TLS host; empty for the default certificate. */
  readonly host: string;
  /** `namespace/name`; null where the self-signed default is served. */
  readonly secret: string | null;
  readonly ingress: string;
  /** Null where no certificate can be read. */
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly subject: string | null;
  readonly issuer: string | null;
  readonly names: readonly string[];
  /** SHA-256, of the certificate. */
  readonly fingerprint: string | null;
}

export interface WatchRow {
  readonly kind: string;
  readonly synced: boolean;
  readonly connected: boolean;
  readonly objects: number;
  readonly lastEventAt: string | null;
  readonly relists: number;
  readonly errors: number;
  readonly lastError: string | null;
}

export interface ThreadRow {
  readonly thread: number;
  readonly generation: number;
  readonly listening: boolean;
  /** Whether it answered within a second; the rest is null otherwise. */
  readonly answered: boolean;
  /** From 0 to 1, since it was last asked. */
  readonly utilization: number | null;
  readonly memoryBytes: number | null;
  readonly inFlight: number | null;
  readonly clientConnections: number | null;
  readonly upstreamConnections: number | null;
}

/** A request that is over. What looked like a credential in its query is `REDACTED`. */
export interface RequestRow {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly client: string;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly status: number;
  /** The id of a route; empty where no route took it. */
  readonly route: string;
  readonly backend: string;
  readonly endpoint: string;
  readonly attempts: number;
  readonly requestId: string;
  /** Why Portico itself answered, or ended it. */
  readonly detail: string;
}

/** The busiest routes and backends of the last seconds. */
export interface Traffic {
  /** How many seconds the figures are of; 0 while the first ones are gathered. */
  readonly seconds: number;
  readonly total: Rates | null;
  /** Those with most requests first. The id is empty for requests that no route took, and `_other` for those beyond a limit. */
  readonly routes: readonly (Rates & { readonly id: string; readonly path: string })[];
  readonly backends: readonly (Rates & { readonly key: string })[];
}

/** A rule, as an explanation names it. */
export interface ExplainedRule {
  readonly path: string;
  readonly pathType: string;
  /** `Ingress` when absent. */
  readonly kind?: string;
  /** `namespace/name` of the object; empty for the controller's own default backend. */
  readonly ingress: string;
  readonly field: string;
  readonly backend: string;
}

/** What a request gets, and why. */
export interface Explained {
  readonly host: string | null;
  readonly path: string | null;
  readonly outcome:
    | { readonly kind: 'forward'; readonly route: ExplainedRule; readonly backend: ExplainedBackend }
    | {
        readonly kind: 'redirect';
        readonly status: number;
        readonly location: string;
        readonly route: ExplainedRule | null;
      }
    | {
        readonly kind: 'refuse';
        readonly status: number;
        readonly reason: string;
        readonly message: string;
        readonly route: ExplainedRule | null;
        readonly unavailable: string | null;
      };
  /** How it came about, one sentence a step. */
  readonly steps: readonly string[];
  /** What the policies of the route do. */
  readonly policies: readonly string[];
  /** What the Pods of the backend are spoken to. */
  readonly protocol: string | null;
  readonly certificate: {
    readonly secret: string | null;
    readonly host: string | null;
    readonly ingress: string | null;
    readonly validUntil: string | null;
  } | null;
  /** Rules that could take the request too, the first of them. */
  readonly otherRules: readonly { readonly route: ExplainedRule; readonly because: string }[];
  readonly otherRuleCount: number;
  readonly notServed: readonly { readonly ingress: string; readonly because: string }[];
  readonly problems: readonly string[];
}

export interface ExplainedBackend {
  readonly key: string;
  /** The first of them. */
  readonly endpoints: readonly { readonly address: string; readonly port: number; readonly pod?: string }[];
  readonly endpointCount: number;
  readonly externalName: { readonly host: string; readonly port: number } | null;
}

/** What happens to requests is told in the log, for a while. */
export interface DebugRow {
  readonly id: number;
  readonly topics: readonly string[];
  /** Null for requests of every host. */
  readonly host: string | null;
  readonly until: string;
  /** Of each data-plane thread. */
  readonly requests: number;
}
