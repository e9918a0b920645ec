import type { TlsStreams } from './tls/tls-streams.ts';
import type { ObjectKey } from '../model/objects.ts';
import type { SecretData } from '../model/secret-data.ts';
import type { HandshakeCounters } from './tls/handshake-counters.ts';
import type { ClientPolicies } from './tls/client-policies.ts';
import type { Decision } from '../routing/decide.ts';
import type { LocalReason } from '../http/local-response.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import type { Backend, GatewayPort, PortKey, Route } from '../routing/table.ts';
import type { Endpoints } from './balance/endpoint-pool.ts';
import type { ExchangeRecord, KeptFields } from './exchange-record.ts';
import type { FieldsView } from '../http/head-edit.ts';
import type { TrustedProxies } from '../http/forwarded.ts';
import type { CertificateStore } from './tls/certificate-store.ts';
import type { BindPolicies } from '../policies/bound-policies.ts';
import type { RequestDebugger } from './debug/request-debugger.ts';
import type { Tracer } from './tracing/tracer.ts';
import type { Limits } from './limits.ts';
import type { Sockets } from './sockets/sockets.ts';

/** What an engine is given by its thread: everything that is not moving bytes. */
export interface EngineContext {
  /** Pure, by the table that is current at the call. Called once per request; the result is kept, retries included. */
  decide(request: RequestFacts): Decision;
  /**
   * What answers in place of a response with this status, of the Pod or of Portico itself for a reason; null where it stays.
   * By the table that is current at the call.
   */
  replacingBackend(route: Route, status: number, reason: LocalReason | null): Backend | null;
  /** Chooses among a backend's endpoints and remembers how each fared. */
  readonly endpoints: Endpoints;
  /** The same object for as long as the engine runs; its values may change, and then `limitsChanged` is called. */
  readonly limits: Limits;
  /** What connections are made of; sockets of Node when absent. */
  readonly sockets?: Sockets;
  readonly trustedProxies: TrustedProxies;
  /** Whether clients may speak HTTP/2 without TLS, by prior knowledge; on the ports of Gateways they always may. */
  readonly h2c?: boolean;
  /** What Gateways listen on at a port, by the table that is current at the call; nothing when absent. */
  gatewayPort?(key: string): GatewayPort | undefined;
  /** Whether request fields with underscores in their names go on to upstreams; no when absent. */
  readonly underscoresInHeaders?: boolean;
  /** Whether Pods are also told what ingress-nginx tells them; no when absent. */
  readonly ingressNginxFields?: boolean;
  /** Whether lines in the heads of responses may end with LF alone; no when absent. */
  readonly bareLfInResponses?: boolean;
  /** Peers that may begin a connection with a PROXY header; nobody when absent. */
  readonly proxyProtocolFrom?: TrustedProxies;
  /** Destination ports that mean https in a PROXY header which does not say whether the client spoke TLS; none when absent. */
  readonly proxyProtocolHttpsPorts?: readonly number[];
  /** What a TLS port is served with. */
  readonly certificates?: CertificateStore;
  /** Where its handshakes are counted; nowhere when absent. */
  readonly handshakes?: HandshakeCounters;
  /** What clients on a TLS port are asked for; nothing when absent. */
  readonly clientPolicies?: ClientPolicies;
  /** Hosts on a TLS port whose connections carry no requests of ours; none when absent. */
  readonly tlsStreams?: TlsStreams;
  /** The data of a Secret that a policy names; nothing when absent. */
  secret?(key: ObjectKey): SecretData | undefined;
  /** The policies of a route at work on this thread. */
  readonly policies: BindPolicies;
  /** What the access log wants to know of the fields of a request; nothing when absent. */
  keepFields?(fields: FieldsView, route: Route | null): KeptFields;
  /** Begins the traces of requests; null where none is traced. Another one when the settings are others. */
  readonly tracer?: Tracer | null;
  /** Tells what happens to requests; null while nobody asks. */
  readonly debug?: RequestDebugger | null;
  /** Told of whatever threw while one exchange or connection was handled, which has been ended for it. Never throws. */
  onFault(fault: unknown): void;
  /** Called exactly once when an exchange is over, however it ended. */
  onComplete(exchange: ExchangeRecord): void;
  /** Called whenever it is found that no file descriptor is left. */
  onOutOfDescriptors?(): void;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Moves bytes between clients and upstreams as the Decision says. Two implementations, one contract suite. */
export interface Engine {
  /** Accepts connections; rejects with the system's error (EADDRINUSE, EACCES). */
  listen(address: ListenAddress): Promise<ListeningPort>;
  /** Closes idle upstream connections to endpoints that left the table; those in flight finish. */
  close(endpointKeys: Iterable<string>): void;
  /** Values of the limits of the context are others now. An engine without it keeps those that it began with. */
  limitsChanged?(): void;
  /**
   * Stops accepting, closes idle client connections, lets exchanges in flight finish with `Connection: close`,
   * and aborts what is left after `timeoutMs`. Resolves with the number of aborted exchanges.
   */
  drain(timeoutMs: number): Promise<number>;
  gauges(): EngineGauges;
}

/** Where an engine accepts connections. */
export interface ListeningPort {
  /** The one that was bound. */
  readonly port: number;
  /**
   * Accepts no more. Connections that were accepted here finish what is under way and are closed then; those of other
   * ports are left alone.
   */
  close(): void;
}

export interface ListenAddress {
  /** An IP address; undefined listens on all, IPv6 and IPv4. */
  readonly host: string | undefined;
  readonly port: number;
  /** Share the port with other threads and processes (SO_REUSEPORT). */
  readonly reusePort: boolean;
  /** Plain HTTP unless said. */
  readonly scheme?: 'http' | 'https';
  /** Present where only Gateways are served: the key of the port in the table. */
  readonly gatewayPort?: PortKey;
  /** The port that clients connect to, where a Service leads them to this one. */
  readonly clientPort?: number;
}

export interface EngineGauges {
  readonly clientConnections: number;
  readonly upstreamConnections: number;
  readonly inFlight: number;
  readonly tunnels: number;
  /** Held for clients, as `Limits.heldBytes` counts. */
  readonly heldBytes: number;
  /** Since the start: idle client connections that gave way to others at the limit. */
  readonly evicted: number;
  /** Since the start: client connections that were turned away at the limit. */
  readonly refused: number;
  /** Since the start: client connections that were closed because they held the most memory. */
  readonly shed: number;
  /** Since the start: how often no file descriptor was left. */
  readonly descriptorFailures: number;
}

export type EngineFactory = (context: EngineContext) => Engine;
