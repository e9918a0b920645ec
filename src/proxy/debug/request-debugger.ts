import { CREDENTIALS, type Redaction } from '../../http/redact-target.ts';
import type { Decision } from '../../routing/decide.ts';
import { routeSource } from '../../routing/route-source.ts';
import { printable } from '../../http/log-text.ts';
import type { NextStep } from '../attempt.ts';
import type { ExchangeEvent, ExchangeObserver } from '../exchange-event.ts';
import type { ExchangeRecord } from '../exchange-record.ts';
import type { DebugLine, DebugSession, DebugTopic } from './debug-session.ts';

type BegunExchange = Pick<
  ExchangeRecord,
  'method' | 'host' | 'target' | 'httpVersion' | 'scheme' | 'clientAddress' | 'connectionInfo' | 'requestId'
>;

/** Tells what happens to requests of one data-plane thread, while somebody has asked for it. */
export class RequestDebugger {
  readonly #send: (line: DebugLine) => void;
  readonly #now: () => number;
  readonly #redaction: Redaction;
  /** With how many requests each may still tell of. */
  #sessions: readonly { readonly session: DebugSession; left: number }[] = [];

  /** `now` is in milliseconds since the epoch; `redaction` says what of targets is left out. */
  constructor(send: (line: DebugLine) => void, now: () => number, redaction: Redaction = CREDENTIALS) {
    this.#send = send;
    this.#now = now;
    this.#redaction = redaction;
  }

  get isActive(): boolean {
    return this.#sessions.length > 0;
  }

  /** These and no others; those that are there already go on counting. */
  use(sessions: readonly DebugSession[]): void {
    this.#sessions = sessions.map(
      (session) =>
        this.#sessions.find((each) => each.session.id === session.id) ?? { session, left: session.requests },
    );
  }

  /** What looks on; null where nobody wants to be told of this one. */
  begin(exchange: BegunExchange): ExchangeObserver | null {
    const host = withoutPort(exchange.host).toLowerCase();
    const now = this.#now();
    const found = this.#sessions.find(
      ({ session, left }) => left > 0 && now < session.until && (session.host ?? host) === host,
    );
    if (!found) return null;
    found.left--;
    return new RequestStory(found.session, exchange, this.#send, this.#redaction);
  }
}

/** Of one request: it may be tried often, or carry a WebSocket for days. */
const MAX_LINES = 64;
const LONGEST_TEXT = 1024;

/** One request, told from its head to the last byte of its response. */
class RequestStory implements ExchangeObserver {
  readonly #session: DebugSession;
  readonly #requestId: string;
  readonly #send: (line: DebugLine) => void;
  readonly #redaction: Redaction;
  #lines = 0;
  #attempts = 0;
  #attemptedAt = 0;
  #hasRoute = false;

  constructor(
    session: DebugSession,
    exchange: BegunExchange,
    send: (line: DebugLine) => void,
    redaction: Redaction,
  ) {
    this.#session = session;
    this.#redaction = redaction;
    this.#requestId = exchange.requestId;
    this.#send = send;
    const { method, scheme, host, target, httpVersion, clientAddress, connectionInfo } = exchange;
    const { peer } = connectionInfo;
    const through = peer === clientAddress ? '' : ` through ${peer}`;
    const line = `${method} ${redaction.target(target)} HTTP/${httpVersion}`;
    this.#tell('head', `${line} for ${host || 'no host'} by ${scheme} from ${clientAddress}${through}`);
  }

  on(event: ExchangeEvent): void {
    const took = (): string => `${(performance.now() - this.#attemptedAt).toFixed(1)} ms`;
    const attempt = `attempt ${this.#attempts}`;
    switch (event.kind) {
      case 'decided':
        this.#hasRoute = event.decision.route !== null;
        return this.#tell('decide', decided(event.decision));
      case 'policies': {
        const { verdict } = event;
        const by = verdict.kind !== 'continue' && verdict.by !== undefined ? `: ${verdict.by}` : '';
        if (verdict.kind === 'continue')
          // Without a route it goes nowhere.
          return this.#hasRoute ? this.#tell('policy', 'the policies let it go on') : undefined;
        if (verdict.kind === 'refuse') return this.#tell('policy', `refused as ${verdict.reason}${by}`);
        const detail = verdict.detail === undefined ? '' : `, ${verdict.detail}`;
        return this.#tell('policy', `answered with ${verdict.response.status}${by}${detail}`);
      }
      case 'attempt': {
        this.#attempts++;
        this.#attemptedAt = performance.now();
        const { http2, tls } = event.transport;
        const protocol = `HTTP/${http2 ? '2' : '1.1'}${tls ? ' over TLS' : ''}`;
        const connection = event.isConnected ? 'on an open connection' : 'connecting';
        return this.#tell(
          'upstream',
          `attempt ${this.#attempts}: ${event.endpoint}, ${protocol}, ${connection}`,
        );
      }
      case 'connected':
        return this.#tell('upstream', `${attempt}: connected after ${took()}`);
      case 'sending': {
        const [line = ''] = event.head.split('\r\n', 1);
        const [method = '', target = ''] = line.split(' ', 2);
        return this.#tell('upstream', `${attempt}: sent ${method} ${this.#redaction.target(target)}`);
      }
      case 'responded':
        return this.#tell('upstream', `${attempt}: answered with ${event.status} after ${took()}`);
      case 'attempt-failed': {
        const { kind } = event.outcome;
        const ended = kind === 'no-endpoint' ? 'no endpoint to try' : `${attempt}: ${kind} after ${took()}`;
        return this.#tell('upstream', `${ended}, ${nextOf(event.next)}`);
      }
      case 'local-response': {
        const { reason, status } = event;
        const by = reason === 'policy' ? 'for a policy' : `for ${reason}`;
        return this.#tell('response', `Portico responds with ${status} ${by}`);
      }
      case 'over': {
        const { status, durationMs, requestBytes, responseBytes, detail } = event.exchange;
        const bytes = `${requestBytes} bytes in, ${responseBytes} bytes out`;
        return this.#tell(
          'response',
          `over with ${status} after ${durationMs.toFixed(1)} ms, ${bytes}${detail === '' ? '' : `: ${detail}`}`,
        );
      }
      default:
        return event satisfies never;
    }
  }

  #tell(topic: DebugTopic, text: string): void {
    const { id, topics } = this.#session;
    if (!topics.includes(topic) || this.#lines++ >= MAX_LINES) return;
    this.#send({
      session: id,
      requestId: this.#requestId,
      topic,
      text: printable(text.slice(0, LONGEST_TEXT)),
    });
  }
}

function decided(decision: Decision): string {
  const { route } = decision;
  const by = route === null ? '' : `${sourceOf(route)}, path ${route.path || '(none)'}: `;
  switch (decision.kind) {
    case 'refuse':
      return `${by}refused as ${decision.reason}`;
    case 'redirect':
      return `${by}redirected with ${decision.status} to https`;
    case 'forward': {
      const canary = decision.canary === null ? '' : ` by the canary ${decision.canary}`;
      return `${by}to ${decision.backend.key}${canary}`;
    }
    default:
      return decision satisfies never;
  }
}

function sourceOf(route: NonNullable<Decision['route']>): string {
  const { kind, namespace, name } = routeSource(route);
  return `${kind} ${namespace}/${name}`;
}

function nextOf(next: NextStep): string {
  switch (next.kind) {
    case 'relay':
      return 'its response is passed on';
    case 'retry-elsewhere':
      return 'another attempt follows';
    case 'retry-same-allowed':
      return 'another attempt follows on a new connection';
    case 'give-up':
      return `given up as ${next.reason}`;
    default:
      return next satisfies never;
  }
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d*$/, '');
}
