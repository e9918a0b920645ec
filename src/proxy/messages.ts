import type { AccessLogFormat } from './access-log.ts';
import type { EngineGauges, ListenAddress } from './engine.ts';
import type { IngressCounters } from './accounting.ts';
import type { Limits } from './limits.ts';
import type { TableUpdate } from '../routing/table-update.ts';

/** What a data-plane thread is born with. Plain data: it is copied into the thread. */
export interface ThreadSettings {
  readonly engine: EngineName;
  readonly limits: Limits;
  readonly trustedProxies: readonly string[];
  /** HTTP/2 without TLS, by prior knowledge; no unless said. */
  readonly h2c?: boolean;
  readonly accessLog: AccessLogFormat;
  /** Manifests may name services on this machine; a cluster's objects may not reach into the node. */
  readonly allowLoopback: boolean;
}

export const ENGINES = ['relay', 'http-proxy'] as const;
export type EngineName = (typeof ENGINES)[number];

export type ToThread =
  | { readonly kind: 'table'; readonly update: TableUpdate }
  | { readonly kind: 'listen'; readonly address: ListenAddress }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'drain'; readonly timeoutMs: number };

export type FromThread =
  | { readonly kind: 'adopted'; readonly generation: number }
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'listen-failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'report'; readonly id: number; readonly report: ThreadReport }
  | { readonly kind: 'access-log'; readonly lines: string }
  | { readonly kind: 'drained'; readonly cut: number; readonly report: ThreadReport };

export interface ThreadReport {
  readonly counters: readonly IngressCounters[];
  readonly gauges: EngineGauges;
}
