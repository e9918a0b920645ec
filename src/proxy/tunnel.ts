import { randomBytes } from 'node:crypto';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from './websocket-frames.ts';
import { Deadline } from './deadlines.ts';
import type { Ledger } from './native-record.ts';
import type { Relay } from './engine-state.ts';
import type { TunnelEnd } from './sides.ts';

/** Whose tunnel it is. */
export interface TunnelUser {
  onTunnelOver(): void;
  /** No byte came from either side for `tunnelIdleTimeoutMs`. */
  onTunnelIdle(): void;
}

/** Bytes both ways after a 101, each side closed when the other one is; over when both are. */
export class Tunnel {
  readonly #relay: Relay;
  readonly #client: TunnelEnd;
  readonly #upstream: TunnelEnd;
  readonly #ledger: Ledger;
  readonly #user: TunnelUser;
  readonly #deadline = new Deadline<Tunnel>(this);
  /** Of a WebSocket, the only protocol in which we know how to say goodbye; null for others. */
  #frames: { readonly toClient: WebSocketFrames; readonly toPod: WebSocketFrames } | null = null;
  #clientEnded = false;
  #upstreamEnded = false;

  constructor(relay: Relay, client: TunnelEnd, upstream: TunnelEnd, ledger: Ledger, user: TunnelUser) {
    this.#relay = relay;
    this.#client = client;
    this.#upstream = upstream;
    this.#ledger = ledger;
    this.#user = user;
    relay.openTunnels++;
    this.#deadline.arm(relay.tunnels);
  }

  /** It is a WebSocket, whose bytes come from now on. */
  followFrames(): void {
    this.#frames = { toClient: new WebSocketFrames(), toPod: new WebSocketFrames() };
  }

  fromClient(bytes: Buffer, from: number, to: number): void {
    this.#deadline.arm(this.#relay.tunnels);
    this.#ledger.requestBytes += to - from;
    this.#frames?.toPod.read(bytes, from, to);
    if (!this.#upstream.write(bytes, from, to)) this.#client.pause();
  }

  fromUpstream(bytes: Buffer, from: number, to: number): void {
    this.#deadline.arm(this.#relay.tunnels);
    this.#ledger.responseBytes += to - from;
    this.#frames?.toClient.read(bytes, from, to);
    if (!this.#client.write(bytes, from, to)) this.#upstream.pause();
  }

  clientDrained(): void {
    this.#upstream.resume();
  }

  upstreamDrained(): void {
    this.#client.resume();
  }

  clientEnded(): void {
    this.#clientEnded = true;
    this.#upstream.end();
    this.#closeWhenBoth();
  }

  upstreamEnded(): void {
    this.#upstreamEnded = true;
    this.#client.end();
    this.#closeWhenBoth();
  }

  /** Nothing more comes from either side. */
  get bothEnded(): boolean {
    return this.#clientEnded && this.#upstreamEnded;
  }

  /** Tells both sides of a WebSocket that Portico goes away; they linger over it. */
  goAway(): void {
    if (!this.#frames) return;
    const { toClient, toPod } = this.#frames;
    this.#client.farewell(toClient.mayClose ? GOING_AWAY : NOTHING);
    this.#upstream.farewell(toPod.mayClose ? maskedGoingAway(randomBytes(4)) : NOTHING);
  }

  idle(): void {
    this.#user.onTunnelIdle();
  }

  /** The exchange is accounted for. */
  close(): void {
    this.#deadline.clear();
    this.#relay.openTunnels--;
  }

  #closeWhenBoth(): void {
    // What the pod has not taken yet still goes to it: then its connection closes by itself.
    if (this.bothEnded && this.#upstream.isFlushed) this.#user.onTunnelOver();
  }
}

const NOTHING = Buffer.alloc(0);
