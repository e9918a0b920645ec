import type { Socket } from 'node:net';
import type { ConnectionMemory } from './held-memory.ts';
import type { TunnelEnd } from './sides.ts';
import type { Slab } from './write-buffer.ts';

/** The end of a tunnel that is a connection of its own. */
export class SocketEnd implements TunnelEnd {
  readonly #socket: Socket;
  readonly #slab: Slab;
  readonly farewell: (bytes: Buffer) => void;

  readonly #memory: ConnectionMemory | null;

  /** `memory` where it is the connection of the client. */
  constructor(
    socket: Socket,
    slab: Slab,
    farewell: (bytes: Buffer) => void,
    memory: ConnectionMemory | null = null,
  ) {
    this.#memory = memory;
    this.#socket = socket;
    this.#slab = slab;
    this.farewell = farewell;
  }

  write(bytes: Buffer, from: number, to: number): boolean {
    this.#slab.copy(bytes, from, to);
    const goesOn = this.#slab.send(this.#socket);
    this.#memory?.setQueued(this.#socket.writableLength);
    return goesOn;
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get isFlushed(): boolean {
    return this.#socket.writableLength === 0;
  }
}
