import type { AuthOutcome } from '../http/auth-outcome.ts';
import type { LocalReason } from '../http/local-response.ts';

/** What Prometheus calls a native histogram: buckets between powers of 2^(2^-schema). */
export interface NativeBuckets {
  readonly schema: number;
  readonly zeroThreshold: number;
  /** How many were not above the threshold. */
  readonly zeroCount: number;
  /** Those that are not empty, by their numbers, in order: the bucket n ends at 2^(n·2^-schema). */
  readonly numbers: readonly number[];
  readonly counts: readonly number[];
}

export interface Durations {
  /** By `MetricsOptions.latencyBoundsSeconds`, not cumulative; one more than there are bounds. */
  readonly buckets: ArrayLike<number>;
  readonly sumSeconds: number;
  /** The same in finer buckets. */
  readonly native: NativeBuckets;
}

/** The requests of one Ingress or route, as the data plane counts them. */
export interface RequestTotals {
  /**
   * `namespace/name` of an Ingress, `namespace/name kind` of a route of Gateway API; empty for requests that neither took.
   * The name `_other` stands for those of a namespace, and the namespace `_other` for those of the cluster, that are beyond
   * the limits.
   */
  readonly source: string;
  readonly statusClasses: ArrayLike<number>;
  /** Of those that went to a canary. */
  readonly canaryStatusClasses: ArrayLike<number>;
  readonly canaryLatencySumSeconds: number;
  readonly latency: Durations;
  /** Of attempts that a Pod answered: the time until the head of its response. */
  readonly upstream: Durations;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  /** By the reason. */
  readonly connectFailures: Readonly<Record<string, number>>;
  readonly droppedFields: number;
}

/** Something that few sources have. */
export type EventTotals =
  | {
      readonly kind: 'local-response';
      readonly source: string;
      readonly reason: LocalReason;
      readonly count: number;
    }
  | { readonly kind: 'auth'; readonly source: string; readonly outcome: AuthOutcome; readonly count: number };

/** Gone through once for each family. */
export interface RequestFigures {
  readonly counters: Iterable<RequestTotals>;
  readonly events: Iterable<EventTotals>;
  /** When counting of a source began, in milliseconds since the epoch; undefined where it began with the process. */
  readonly since: (source: string) => number | undefined;
}

/** The handshakes of TLS ports. */
export interface HandshakeFigures {
  /** By version and whether a session was resumed: `TLSv1.3 true`. */
  readonly done: Readonly<Record<string, number>>;
  /** By the reason. */
  readonly failed: Readonly<Record<string, number>>;
}

/** The TCP connections, or the datagrams of UDP clients, of one port. */
export interface StreamFigures {
  readonly protocol: string;
  /** 0 where TLS is passed through, -1 for those beyond the limit. */
  readonly port: number;
  readonly open: number;
  /** By the reason. */
  readonly ends: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly receivedDatagrams: number;
  readonly sentDatagrams: number;
}

export interface DataPlaneFigures extends RequestFigures {
  readonly gauges: {
    readonly clientConnections: number;
    readonly upstreamConnections: number;
    readonly inFlight: number;
    readonly tunnels: number;
    readonly heldBytes: number;
    readonly evicted: number;
    readonly refused: number;
    readonly shed: number;
    readonly descriptorFailures: number;
  };
  readonly threads: number;
  readonly deaths: number;
  readonly faults: number;
  readonly droppedMirrors: number;
  readonly droppedSpans: number;
  readonly streams: readonly StreamFigures[];
  readonly handshakes: HandshakeFigures;
  /** Requests for which the limit store could not be asked in time. */
  readonly limitStoreMisses: number;
  /** Of each thread. */
  readonly memoryBytes: readonly number[];
  readonly adoptedGeneration: number;
}

export interface WatchFigures {
  readonly kind: string;
  readonly synced: boolean;
  readonly connected: boolean;
  readonly objects: number;
  readonly lastEventAt: number | null;
  readonly relists: number;
  readonly errors: number;
}

/** What became of what was for a collector. */
export interface CollectorFigures {
  readonly exported: number;
  readonly queueFull: number;
  readonly failed: number;
}

export interface ControlFigures {
  readonly generation: number;
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  readonly lastResort: number;
  readonly problems: { readonly error: number; readonly warning: number; readonly info: number };
  /** The same by severity and reason: `error ServiceNotFound`. */
  readonly problemReasons: ReadonlyMap<string, number>;
  readonly logDroppedBytes: number;
  readonly spans: CollectorFigures;
  /** The access log, where a collector takes it, too. */
  readonly logRecords: CollectorFigures;
  /** The metrics themselves, where a collector takes them, too. */
  readonly metricPoints: CollectorFigures;
  /** Of each TLS host with a certificate of its own; the empty host stands for the default certificate. */
  readonly certificates: readonly {
    readonly host: string;
    /** `namespace/name` */
    readonly secret: string;
    /** Milliseconds since the epoch. */
    readonly notAfter: number;
  }[];
}
