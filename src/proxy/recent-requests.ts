import type { ExchangeRecord } from './exchange-record.ts';
import { CREDENTIALS, type Redaction } from '../http/redact-target.ts';
import { routeId } from '../routing/route-source.ts';

/** A request that is over, as it is shown: without fields, bodies, or what looks like a credential. */
export interface RecentRequest {
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly durationMs: number;
  readonly client: string;
  readonly method: string;
  readonly host: string;
  readonly target: string;
  readonly httpVersion: string;
  readonly scheme: string;
  readonly status: number;
  /** By `routeId`; empty where no route took it. */
  readonly route: string;
  readonly backend: string;
  readonly endpoint: string;
  readonly attempts: number;
  readonly requestId: string;
  readonly detail: string;
}

/** Of one text that a client chose. */
const LONGEST_TEXT = 256;

/** The newest requests of a thread, `size` at most; none with 0, at the cost of one comparison. */
export class RecentRequests {
  readonly #size: number;
  readonly #redaction: Redaction;
  readonly #ring: RecentRequest[] = [];
  #next = 0;

  constructor(size: number, redaction: Redaction = CREDENTIALS) {
    this.#size = size;
    this.#redaction = redaction;
  }

  add(exchange: ExchangeRecord): void {
    if (this.#size === 0) return;
    this.#ring[this.#next] = recent(exchange, this.#redaction);
    this.#next = (this.#next + 1) % this.#size;
  }

  /** The newest first, `limit` at most. */
  newest(limit: number): readonly RecentRequest[] {
    const { length } = this.#ring;
    return Array.from({ length: Math.min(limit, length) }, (_, back) => {
      return this.#ring[(this.#next - 1 - back + 2 * length) % length]!;
    });
  }
}

function recent(exchange: ExchangeRecord, redaction: Redaction): RecentRequest {
  const { startedAt, durationMs, scheme, httpVersion, status, route, attempts } = exchange;
  return {
    ...{ startedAt, durationMs, scheme, httpVersion, status, attempts },
    client: exchange.clientAddress,
    method: shortened(exchange.method),
    host: shortened(exchange.host),
    target: shortened(redaction.target(exchange.target)),
    route: route === null ? '' : routeId(route),
    backend: exchange.backend,
    endpoint: exchange.endpoint,
    requestId: shortened(exchange.requestId),
    detail: shortened(exchange.detail),
  };
}

/** A copy, so that a part of a head does not keep the whole of it in memory. */
function shortened(text: string): string {
  return Buffer.from(text.slice(0, LONGEST_TEXT)).toString();
}
