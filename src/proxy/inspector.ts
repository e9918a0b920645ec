import { getHeapStatistics } from 'node:v8';
import type { EngineGauges } from './engine.ts';
import type { EndpointHealth, Endpoints } from './balance/endpoint-pool.ts';
import type { Redaction } from '../http/redact-target.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { LiveTraffic, type TrafficTable } from './live-traffic.ts';
import { type RecentRequest, RecentRequests } from './recent-requests.ts';
import type { BackendKey } from '../routing/table.ts';

/** What the control thread asks of a data-plane thread for somebody who looks at it. Plain data, as the answers are. */
export type Question =
  /** What was counted since the last time; nothing is counted before the first time. */
  | { readonly kind: 'traffic' }
  /** How the first endpoints of each of these backends fare; backends that are not in the table are left out. */
  | { readonly kind: 'endpoints'; readonly backends: readonly BackendKey[]; readonly limit: number }
  | { readonly kind: 'thread' }
  /** The newest requests, if any are kept. */
  | { readonly kind: 'requests'; readonly limit: number };

export interface Answers {
  readonly traffic: TrafficTable;
  readonly endpoints: readonly (readonly [BackendKey, readonly EndpointHealth[]])[];
  readonly thread: ThreadFigures;
  readonly requests: readonly RecentRequest[];
}

export type Answer = {
  readonly [K in keyof Answers]: { readonly kind: K; readonly value: Answers[K] };
}[keyof Answers];

export interface ThreadFigures {
  readonly gauges: EngineGauges;
  /** What the heap of the thread takes, and the buffers beside it. */
  readonly memoryBytes: number;
  /** Of the time since it was last asked, the part in which the thread was busy: from 0 to 1. */
  readonly utilization: number;
}

export interface InspectorOptions {
  readonly endpoints: Endpoints;
  readonly gauges: () => EngineGauges;
  readonly now: () => number;
  /** How many requests are kept to be shown; 0 for none. */
  readonly recentRequests: number;
  /** Which values of theirs are left out. */
  readonly redaction: Redaction;
}

/** Answers questions about one data-plane thread, and counts what they need. */
export class Inspector {
  readonly #options: InspectorOptions;
  readonly #traffic: LiveTraffic;
  readonly #recent: RecentRequests;
  #lastLoop = performance.eventLoopUtilization();

  constructor(options: InspectorOptions) {
    this.#options = options;
    this.#traffic = new LiveTraffic(() => performance.now());
    this.#recent = new RecentRequests(options.recentRequests, options.redaction);
  }

  /** Called for each exchange that is over. */
  count(exchange: ExchangeRecord): void {
    this.#traffic.count(exchange);
    this.#recent.add(exchange);
  }

  answer(question: Question): Answer {
    const { endpoints, gauges, now } = this.#options;
    switch (question.kind) {
      case 'traffic':
        return { kind: 'traffic', value: this.#traffic.take() };
      case 'endpoints': {
        const at = now();
        const value = question.backends.map(
          (key) => [key, endpoints.health(key, question.limit, at)] as const,
        );
        return { kind: 'endpoints', value };
      }
      case 'requests':
        return { kind: 'requests', value: this.#recent.newest(question.limit) };
      case 'thread': {
        const loop = performance.eventLoopUtilization();
        const { utilization } = performance.eventLoopUtilization(loop, this.#lastLoop);
        this.#lastLoop = loop;
        return { kind: 'thread', value: { gauges: gauges(), memoryBytes: memoryBytes(), utilization } };
      }
    }
  }
}

/** What the heap of this thread takes, and the buffers beside it. */
export function memoryBytes(): number {
  const heap = getHeapStatistics();
  return heap.total_physical_size + heap.external_memory;
}
