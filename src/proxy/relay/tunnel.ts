import type { ClientConnection } from './client-connection.ts';
import type { Relay } from './relay.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Bytes both ways after a 101, each side closed when the other one is; over when both are. */
export class Tunnel {
  readonly #relay: Relay;
  readonly #client: ClientConnection;
  readonly #upstream: UpstreamConnection;
  readonly #over: () => void;
  #clientEnded = false;
  #upstreamEnded = false;

  constructor(relay: Relay, client: ClientConnection, upstream: UpstreamConnection, over: () => void) {
    this.#relay = relay;
    this.#client = client;
    this.#upstream = upstream;
    this.#over = over;
    relay.openTunnels++;
    client.deadline.arm(relay.tunnels);
  }

  fromClient(bytes: Buffer, from: number, to: number): void {
    this.#client.deadline.arm(this.#relay.tunnels);
    this.#relay.slab.copy(bytes, from, to);
    if (!this.#upstream.send(this.#relay.slab)) this.#client.socket.pause();
  }

  fromUpstream(bytes: Buffer, from: number, to: number): void {
    this.#client.deadline.arm(this.#relay.tunnels);
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

  #closeWhenBoth(): void {
    if (this.#clientEnded && this.#upstreamEnded) this.#over();
  }
}
