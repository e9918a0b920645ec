/** The requests of one Ingress, as the data plane counts them. */
export interface RequestTotals {
  /**
   * `namespace/name`; empty for requests that no Ingress took. The name `_other` stands for those Ingresses of a
   * namespace, and the namespace `_other` for those of the cluster, that are beyond the limits.
   */
  readonly ingress: string;
  readonly statusClasses: ArrayLike<number>;
  /** Of those that went to a canary. */
  readonly canaryStatusClasses: ArrayLike<number>;
  readonly canaryLatencySumSeconds: number;
  readonly latencyBuckets: ArrayLike<number>;
  readonly latencySumSeconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly retries: number;
  /** By the reason. */
  readonly connectFailures: Readonly<Record<string, number>>;
  readonly droppedFields: number;
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

export interface DataPlaneFigures {
  /** Gone through once for each family. */
  readonly counters: Iterable<RequestTotals>;
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
  readonly streams: readonly StreamFigures[];
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

export interface ControlFigures {
  readonly generation: number;
  readonly hosts: number;
  readonly routes: number;
  readonly backends: number;
  readonly lastResort: number;
  readonly problems: { readonly error: number; readonly warning: number; readonly info: number };
  readonly logDroppedBytes: number;
  /** Of each TLS host with a certificate of its own; the empty host stands for the default certificate. */
  readonly certificates: readonly {
    readonly host: string;
    /** `namespace/name` */
    readonly secret: string;
    /** Milliseconds since the epoch. */
    readonly notAfter: number;
  }[];
}
