import type { HandshakeTotals } from '../tls/handshake-counters.ts';
import type { StreamTotals } from '../stream/stream-counters.ts';
import type { MessagePort } from 'node:worker_threads';
import type { AccessLogSettings } from '../access-log/access-log-lines.ts';
import type { EngineGauges, ListenAddress } from '../engine.ts';
import type { Answer, Question } from '../inspector.ts';
import type { CountedSource, CounterTable } from '../request-metrics.ts';
import type { NameAnswer, WantedName } from '../balance/external-names.ts';
import type { Limits } from '../limits.ts';
import type { LimitStoreAddress } from '../limit-store/limit-store.ts';
import type { SecretData } from '../../model/secret-data.ts';
import type { NameRules } from '../../model/refused-addresses.ts';
import type { KeyPair } from '../../model/secrets.ts';
import type { MapUpdate, TableUpdate } from '../../routing/table-update.ts';
import type { SharedLimitsMemory } from '../../policies/limits/shared-limits.ts';
import type { HealthCheck, HttpsRedirect } from '../../routing/decide.ts';
import type { PortState } from '../listener/port-state.ts';
import type { StreamsMemory } from '../stream/streams-memory.ts';
import type { StreamPlace } from '../stream/tcp-services.ts';
import type { SocketChoice } from '../sockets/sockets.ts';
import type { DebugLine, DebugSession } from '../debug/debug-session.ts';
import type { SentSpans } from '../tracing/span-batch.ts';
import type { TracingVariables } from '../tracing/tracing-settings.ts';
import type { TlsSettings } from '../tls/certificate-store.ts';

/** What a data-plane thread is born with. Plain data: it is copied into the thread. */
export interface ThreadSettings {
  readonly engine: EngineName;
  /** What connections are made of; `auto` unless said. */
  readonly sockets?: SocketChoice;
  readonly limits: Limits;
  readonly trustedProxies: readonly string[];
  /** Which servers policies may ask. */
  readonly nameRules: NameRules;
  /** HTTP/2 without TLS, by prior knowledge; no unless said. */
  readonly h2c?: boolean;
  readonly underscoresInHeaders?: boolean;
  readonly bareLfInResponses?: boolean;
  readonly ingressNginxFields?: boolean;
  readonly proxyProtocolFrom: readonly string[];
  readonly proxyProtocolHttpsPorts: readonly number[];
  /** Where TCP and UDP services listen. */
  readonly streams: StreamPlace;
  /** Null without a TLS port. */
  readonly tls: TlsSettings | null;
  /** Null serves hosts with TLS over plain HTTP too. */
  readonly httpsRedirect: HttpsRedirect | null;
  /** Null answers no health checks. */
  readonly healthCheck: HealthCheck | null;
  /** Null for none. */
  readonly strictTransportSecurity: string | null;
  /** Whether clients get the X-Request-ID of their request. */
  readonly returnRequestId?: boolean;
  readonly accessLog: AccessLogSettings;
  /** Whether a collector takes log records of requests; no unless said. */
  readonly logRecords?: boolean;
  /** How many requests each thread keeps to be shown; none when absent. */
  readonly recentRequests?: number;
  /** Null where nothing is traced, whatever the table says. */
  readonly tracing?: TracingVariables | null;
  /** Null where every replica counts by itself. */
  readonly limitStore?: LimitStoreAddress | null;
}

/** Everything that a data-plane thread is born with. */
export interface ThreadData {
  readonly settings: ThreadSettings;
  /** In which the threads count their clients together. */
  readonly limits: SharedLimitsMemory;
  readonly streams: StreamsMemory;
}

/** What the thread that hashes passwords is born with, in the place of `ThreadSettings`. */
export const PASSWORD_WORKER = 'password-worker';

export const ENGINES = ['relay', 'http-proxy'] as const;
export type EngineName = (typeof ENGINES)[number];

export type ToThread =
  | { readonly kind: 'table'; readonly update: TableUpdate }
  /** Comes before the table that refers to them; null for those that no table refers to any more. */
  | { readonly kind: 'keys'; readonly update: MapUpdate<KeyPair> }
  /** Like keys: the Secrets that policies use. */
  | { readonly kind: 'secrets'; readonly update: MapUpdate<SecretData> }
  /** The same for all threads, so that each can resume the sessions of the others. */
  | { readonly kind: 'ticket-key'; readonly key: Uint8Array }
  | { readonly kind: 'listen'; readonly addresses: readonly ListenAddress[] }
  /** So many characters of the access log were taken. */
  | { readonly kind: 'log-taken'; readonly sink: LogDestination; readonly characters: number }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'inspect'; readonly id: number; readonly question: Question }
  /** What the name servers say of a name that the thread asked for. */
  | { readonly kind: 'name'; readonly answer: NameAnswer }
  /** What is told of requests from now on. */
  | { readonly kind: 'debug'; readonly sessions: readonly DebugSession[] }
  /** So many spans of the thread were received. */
  | { readonly kind: 'spans-taken'; readonly count: number }
  /** Sources that are gone: nothing is counted for them any more. */
  | { readonly kind: 'forget'; readonly sources: readonly CountedSource[] }
  | { readonly kind: 'drain'; readonly timeoutMs: number };

export type FromThread =
  | { readonly kind: 'adopted'; readonly generation: number }
  /** The table was another one than the update builds on, or is no good: the thread serves on by the one before. */
  | { readonly kind: 'adopt-failed'; readonly reason: string }
  /** A request wants a name. */
  | { readonly kind: 'resolve'; readonly name: WantedName }
  /** There are passwords to hash: the questions come over this port. */
  | { readonly kind: 'hash-passwords'; readonly port: MessagePort }
  /** In the order of the addresses. */
  | { readonly kind: 'listening'; readonly ports: readonly number[] }
  | ListenFailure
  | PortChange
  | OutOfDescriptors
  | LimitStoreChange
  | { readonly kind: 'report'; readonly id: number; readonly report: ThreadReport }
  | { readonly kind: 'inspected'; readonly id: number; readonly answer: Answer }
  /** Whole lines, and how many bytes of others the thread dropped before them. */
  | {
      readonly kind: 'access-log';
      readonly sink: LogDestination;
      readonly lines: string;
      readonly droppedBytes: number;
    }
  | ({ readonly kind: 'spans' } & SentSpans)
  | { readonly kind: 'debug-line'; readonly line: DebugLine }
  /** Something threw, and ended no more than the exchange or connection that it was about. Once a minute for each. */
  | ThreadFault
  | { readonly kind: 'drained'; readonly aborted: number; readonly report: ThreadReport };

/** Where lines of the access log go; those for a collector are log records of OpenTelemetry. */
export type LogDestination = 'output' | 'collector';

export interface ListenFailure {
  readonly kind: 'listen-failed';
  readonly address: ListenAddress;
  readonly code: string;
  readonly message: string;
}

/** What has become of a port of Gateways or of a TCP or UDP service on this thread. */
export interface PortChange {
  readonly kind: 'port';
  /** In `RouteTable.ports` or `RouteTable.streams`. */
  readonly key: string;
  readonly state: PortState;
}

export interface ThreadFault {
  readonly kind: 'fault';
  readonly stack: string;
}

/** The store of `--rate-limit-store` cannot be used from now on, for a reason, or can be again. */
export type LimitStoreChange =
  | { readonly kind: 'limit-store-away'; readonly reason: string }
  | { readonly kind: 'limit-store-back' };

/** At most once a second. */
export interface OutOfDescriptors {
  readonly kind: 'out-of-descriptors';
}

export interface ThreadReport {
  readonly counters: CounterTable;
  readonly gauges: EngineGauges;
  readonly streams: readonly StreamTotals[];
  readonly handshakes: HandshakeTotals;
  /** What the heap of the thread takes, and the buffers beside it. */
  readonly memoryBytes: number;
  /** What threw, as `ThreadFault` tells it, and more often than it is told. */
  readonly faults: number;
  /** Copies of requests that were left out because their server is behind. */
  readonly droppedMirrors: number;
  /** Spans that were dropped because the control thread is behind. */
  readonly droppedSpans: number;
  /** Requests for which the limit store could not be asked in time. */
  readonly limitStoreMisses: number;
}
