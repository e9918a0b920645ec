/** What is known of the data plane and the nodes, and not of the cluster. */
export interface ServingFacts {
  /** Where clients reach the nodes; for Gateways that share their addresses. */
  readonly nodeAddresses: readonly GatewayAddress[];
  /** Null where no data plane is asked: every port counts as open. */
  readonly ports: PortFacts | null;
}

/** As `status.addresses` of a Gateway has it. */
export interface GatewayAddress {
  readonly type: 'IPAddress' | 'Hostname';
  readonly value: string;
}

/** What became of the ports of Gateways, by `portKey` or `streamKey`. */
export interface PortFacts {
  /** Those that could not be bound, and the system's error (EADDRINUSE). */
  readonly failures: ReadonlyMap<string, string>;
  /** Those that every thread listens on. */
  readonly bound: ReadonlySet<string>;
}
