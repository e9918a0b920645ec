import type { TunnelEnd } from '../tunnel-end.ts';
import type { Http2Stream } from './wire/stream.ts';

/** The end of a tunnel that is a stream (RFC 8441): the end of its side says what FIN says of a connection. */
export class StreamEnd implements TunnelEnd {
  readonly #stream: Http2Stream;
  /** Its last bytes are on their way: no reset may overtake them. */
  saidFarewell = false;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  write(bytes: Buffer, from: number, to: number): boolean {
    this.#stream.write(bytes, from, to, false);
    return this.#stream.isWritable();
  }

  end(): void {
    this.#stream.end(null);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  get isFlushed(): boolean {
    return !this.#stream.hasQueue;
  }

  farewell(bytes: Buffer): void {
    this.saidFarewell = true;
    this.#stream.write(bytes, 0, bytes.length, true);
  }
}
