import { randomBytes } from 'node:crypto';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from './websocket-frames.ts';
import { Deadline, type DeadlineList } from './deadlines.ts';
import type { NativeRecord } from './native-record.ts';
import type { EngineState } from './engine-state.ts';
import type { TimedTunnel } from './route-deadlines.ts';
import type { TunnelEnd } from './tunnel-end.ts';

/** Whose tunnel it is. */
export interface TunnelUser {
  onTunnelOver(): void;
  /** No byte came from either side in the time of its route. */
  onTunnelIdle(): void;
}

/** Bytes both ways after a 101, each side closed when the other one is; over when both are. */
export class Tunnel {
  readonly #engine: EngineState;
  readonly #client: TunnelEnd;
  readonly #upstream: TunnelEnd;
  readonly #idles: DeadlineList<TimedTunnel>;
  readonly #record: NativeRecord;
  readonly #user: TunnelUser;
  readonly #deadline = new Deadline<TimedTunnel>(this);
  /** Of a WebSocket, the only protocol in which we know how to say goodbye; null for others. */
  #frames: { readonly toClient: WebSocketFrames; readonly toUpstream: WebSocketFrames } | null = null;
  #clientEnded = false;
  #upstreamEnded = false;

  constructor(
    engine: EngineState,
    client: TunnelEnd,
    upstream: TunnelEnd,
    idles: DeadlineList<TimedTunnel>,
    record: NativeRecord,
    user: TunnelUser,
  ) {
    this.#engine = engine;
    this.#client = client;
    this.#upstream = upstream;
    this.#idles = idles;
    this.#record = record;
    this.#user = user;
    engine.openTunnels++;
    this.#deadline.arm(idles);
  }

  /** It is a WebSocket, whose bytes come from now on. */
  followFrames(): void {
    this.#frames = { toClient: new WebSocketFrames(), toUpstream: new WebSocketFrames() };
  }

  fromClient(bytes: Buffer, from: number, to: number): void {
    this.#deadline.arm(this.#idles);
    this.#record.requestBytes += to - from;
    this.#frames?.toUpstream.read(bytes, from, to);
    if (!this.#upstream.write(bytes, from, to)) this.#client.pause();
  }

  fromUpstream(bytes: Buffer, from: number, to: number): void {
    this.#deadline.arm(this.#idles);
    this.#record.responseBytes += to - from;
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
    const { toClient, toUpstream } = this.#frames;
    this.#client.farewell(toClient.mayClose ? GOING_AWAY : NOTHING);
    this.#upstream.farewell(toUpstream.mayClose ? maskedGoingAway(randomBytes(4)) : NOTHING);
  }

  idle(): void {
    this.#user.onTunnelIdle();
  }

  /** The exchange is accounted for. */
  close(): void {
    this.#deadline.clear();
    this.#engine.openTunnels--;
  }

  #closeWhenBoth(): void {
    // What the upstream has not taken yet still goes to it: then its connection closes by itself.
    if (this.bothEnded && this.#upstream.isFlushed) this.#user.onTunnelOver();
  }
}

const NOTHING = Buffer.alloc(0);
