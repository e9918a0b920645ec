import type { ByteSocket } from './sockets/byte-socket.ts';
import type { ConnectionMemory } from './connection-memory.ts';
import type { TunnelEnd } from './tunnel-end.ts';
import type { WriteBuffer } from './write-buffer.ts';

/** The end of a tunnel that is a connection of its own. */
export class SocketEnd implements TunnelEnd {
  readonly #socket: ByteSocket;
  readonly #output: WriteBuffer;
  readonly farewell: (bytes: Buffer) => void;

  readonly #memory: ConnectionMemory | null;

  /** `memory` where it is the connection of the client. */
  constructor(
    socket: ByteSocket,
    output: WriteBuffer,
    farewell: (bytes: Buffer) => void,
    memory: ConnectionMemory | null = null,
  ) {
    this.#memory = memory;
    this.#socket = socket;
    this.#output = output;
    this.farewell = farewell;
  }

  write(bytes: Buffer, from: number, to: number): boolean {
    this.#output.copy(bytes, from, to);
    const isWritable = this.#output.send(this.#socket);
    this.#memory?.setQueued(this.#socket.writableLength);
    return isWritable;
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
