import type { LocalReason } from '../http/local-response.ts';
import type { Verdict } from '../policies/policy.ts';
import type { RequestHead } from './downstream/http1/request-head.ts';
import type { EngineState } from './engine-state.ts';
import { Exchange } from './exchange.ts';
import type { ConnectionMemory } from './connection-memory.ts';
import type { ReaderFault } from './native-record.ts';
import type { Downstream } from './downstream/downstream.ts';
import type { Trailers } from './http1/field-block.ts';
import type { TunnelUser } from './tunnel.ts';
import type { UpstreamFailure, UpstreamUser } from './upstream/upstream-user.ts';
import type { ResponseHead } from './upstream/http1/response-head-parser.ts';

/**
 * The one way into an exchange: for its client, its upstream, timers and promises. Whatever throws behind it ends this
 * exchange, with 500 or within its response, and touches no other: see `Exchange.onFault`.
 */
export class ExchangeBoundary implements UpstreamUser, TunnelUser {
  readonly #exchange: Exchange;
  readonly isHead: boolean;

  /** `head` is null when the request never came to one. */
  constructor(engine: EngineState, client: Downstream, head: RequestHead | null) {
    this.#exchange = new Exchange(engine, client, head, this);
    this.isHead = this.#exchange.isHead;
  }

  get asksUpgrade(): boolean {
    return this.#exchange.asksUpgrade;
  }

  onHeldBackOver(): void {
    try {
      this.#exchange.onHeldBackOver();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  get maxHeadBytes(): number {
    return this.#exchange.maxHeadBytes;
  }

  get memory(): ConnectionMemory {
    return this.#exchange.memory;
  }

  get hasTunnel(): boolean {
    return this.#exchange.tunnel !== null;
  }

  // ── From the client ──────────────────────────────────────────────────────────────────────────────────────────

  begin(head: RequestHead, bytes: Buffer, base: number): void {
    try {
      this.#exchange.begin(head, bytes, base);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  refuse(reason: LocalReason, fault: ReaderFault = ''): void {
    try {
      this.#exchange.refuse(reason, fault);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onRequestContent(bytes: Buffer, from: number, to: number): void {
    try {
      this.#exchange.onRequestContent(bytes, from, to);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onRequestFlush(): void {
    try {
      this.#exchange.onRequestFlush();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onRequestDone(trailers: Trailers): void {
    try {
      this.#exchange.onRequestDone(trailers);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientDrain(): void {
    try {
      this.#exchange.onClientDrain();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientFull(): void {
    try {
      this.#exchange.onClientFull();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientStalled(): void {
    try {
      this.#exchange.onClientStalled();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientGone(): void {
    try {
      this.#exchange.onClientGone();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientTunnelBytes(bytes: Buffer, from: number, to: number): void {
    try {
      this.#exchange.tunnel?.fromClient(bytes, from, to);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onClientTunnelEnd(): void {
    try {
      this.#exchange.tunnel?.clientEnded();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  abortForMemory(): void {
    try {
      this.#exchange.abortForMemory();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  /** The time to drain is over. A WebSocket is told, and stays for a moment to take note of it. */
  abortForDrain(): void {
    try {
      this.#exchange.tunnel?.goAway();
      this.#exchange.abortForDrain();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  // ── From the upstream ────────────────────────────────────────────────────────────────────────────────────────

  onConnected(): void {
    try {
      this.#exchange.onConnected();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onInterim(head: ResponseHead, bytes: Buffer, base: number): void {
    try {
      this.#exchange.onInterim(head, bytes, base);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onHead(head: ResponseHead, bytes: Buffer, base: number): void {
    try {
      this.#exchange.onHead(head, bytes, base);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onContent(bytes: Buffer, from: number, to: number): void {
    try {
      this.#exchange.onContent(bytes, from, to);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onFlush(): void {
    try {
      this.#exchange.onFlush();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onDone(trailers: Trailers, reusable: boolean): void {
    try {
      this.#exchange.onDone(trailers, reusable);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onSwitch(head: ResponseHead, bytes: Buffer, base: number, from: number, to: number): void {
    try {
      this.#exchange.onSwitch(head, bytes, base, from, to);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onTunnelBytes(bytes: Buffer, from: number, to: number): void {
    try {
      this.#exchange.tunnel?.fromUpstream(bytes, from, to);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onTunnelEnd(): void {
    try {
      this.#exchange.tunnel?.upstreamEnded();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onUpstreamFailure(failure: UpstreamFailure, detail: ReaderFault = ''): void {
    try {
      this.#exchange.onUpstreamFailure(failure, detail);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onDrain(): void {
    try {
      this.#exchange.onDrain();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onTunnelOver(): void {
    try {
      this.#exchange.onTunnelOver();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onTunnelIdle(): void {
    try {
      this.#exchange.onTunnelIdle();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  // ── From timers and promises ─────────────────────────────────────────────────────────────────────────────────

  onConnectTimeout(timeLeft: boolean): void {
    try {
      this.#exchange.onConnectTimeout(timeLeft);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onAttemptTimeout(): void {
    try {
      this.#exchange.onAttemptTimeout();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onBackoffOver(): void {
    try {
      this.#exchange.tryNext();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  onContinueTimeout(): void {
    try {
      this.#exchange.onContinueTimeout();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  /** The addresses of an ExternalName are known, or it is known that there are none. */
  onEndpointsKnown(): void {
    try {
      this.#exchange.tryNext();
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  /** The policies that took their time have come to a verdict. */
  onVerdict(verdict: Verdict): void {
    try {
      this.#exchange.onVerdict(verdict);
    } catch (fault) {
      this.#exchange.onFault(fault);
    }
  }

  /** Something threw on the way to this exchange. */
  onFault(fault: unknown): void {
    this.#exchange.onFault(fault);
  }
}
