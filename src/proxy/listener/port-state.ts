/** What has become of a port that the table says to listen on. */
export type PortState =
  | { readonly kind: 'bound' }
  /** It is tried again until it can be had. `code` is of the system (EADDRINUSE, EACCES), or `TOO_MANY_PORTS`. */
  | { readonly kind: 'failed'; readonly code: string }
  /** The table does not have it any more. */
  | { readonly kind: 'closed' };

/** Told of each change, by the key of the port in the table: of `RouteTable.ports` or `RouteTable.streams`. */
export type ReportPort = (key: string, state: PortState) => void;

/** The code of a port beyond `MAX_GATEWAY_PORTS`. */
export const TOO_MANY_PORTS = 'TooManyPorts';

/** How long to wait before a port that could not be had is tried again. */
export const PORT_RETRY_MS = 2_000;
