import { randomBytes } from 'node:crypto';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from '../websocket-frames.ts';
import type { ClientConnection } from './client-connection.ts';
import type { Ledger } from './ledger.ts';
import type { Relay } from './relay.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Bytes both ways after a 101, each side closed when the other one is; over when both are. */
export class Tunnel {
  readonly #relay: Relay;
  readonly #client: ClientConnection;
  readonly #upstream: UpstreamConnection;
  readonly #ledger: Ledger;
  readonly #over: () => void;
  /** Of a WebSocket, the only protocol in which we know how to say goodbye; null for others. */
  #frames: { readonly toClient: WebSocketFrames; readonly toPod: WebSocketFrames } | null = null;
  #clientEnded = false;
  #upstreamEnded = false;

  constructor(
    relay: Relay,
    client: ClientConnection,
    upstream: UpstreamConnection,
    ledger: Ledger,
    over: () => void,
  ) {
    this.#relay = relay;
    this.#client = client;
    this.#upstream = upstream;
    this.#ledger = ledger;
    this.#over = over;
    relay.openTunnels++;
    client.deadline.arm(relay.tunnels);
  }

  /** It is a WebSocket, whose bytes come from now on. */
  followFrames(): void {
    this.#frames = { toClient: new WebSocketFrames(), toPod: new WebSocketFrames() };
  }

  fromClient(bytes: Buffer, from: number, to: number): void {
    this.#client.deadline.arm(this.#relay.tunnels);
    this.#ledger.requestBytes += to - from;
    this.#frames?.toPod.read(bytes, from, to);
    this.#relay.slab.copy(bytes, from, to);
    if (!this.#upstream.send()) this.#client.socket.pause();
  }

  fromUpstream(bytes: Buffer, from: number, to: number): void {
    this.#client.deadline.arm(this.#relay.tunnels);
    this.#ledger.responseBytes += to - from;
    this.#frames?.toClient.read(bytes, from, to);
    this.#relay.slab.copy(bytes, from, to);
    if (!this.#client.send()) this.#upstream.socket.pause();
  }

  clientDrained(): void {
    this.#upstream.socket.resume();
  }

  upstreamDrained(): void {
    this.#client.socket.resume();
  }

  clientEnded(): void {
    this.#clientEnded = true;
    this.#upstream.socket.end();
    this.#closeWhenBoth();
  }

  upstreamEnded(): void {
    this.#upstreamEnded = true;
    this.#client.socket.end();
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

  #closeWhenBoth(): void {
    // What the pod has not taken yet still goes to it: then its connection closes by itself.
    if (this.bothEnded && this.#upstream.socket.writableLength === 0) this.#over();
  }
}

const NOTHING = Buffer.alloc(0);
