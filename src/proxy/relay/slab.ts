import type { Socket } from 'node:net';

const SLAB_BYTES = 128 * 1024;

/**
 * Where what goes out is put together, so that a head and the first piece of its body leave in one write, from
 * memory that is used over and over: the kernel nearly always takes all of it during the write. Bytes that it did
 * not take stay where they are until it does, and the next ones go behind them.
 *
 * One per thread. What is put together is sent before anything else is begun.
 */
export class Slab {
  #bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #end = 0;

  /** Latin-1: what was read as such goes out as the same bytes. */
  text(text: string): void {
    this.#reserve(text.length);
    this.#end += this.#bytes.write(text, this.#end, 'latin1');
  }

  copy(bytes: Buffer, from: number, to: number): void {
    this.#reserve(to - from);
    this.#end += bytes.copy(this.#bytes, this.#end, from, to);
  }

  /** The size line of a chunk (RFC 9112 7.1); its content and a CRLF follow. */
  chunk(bytes: Buffer, from: number, to: number): void {
    this.text(`${(to - from).toString(16)}\r\n`);
    this.copy(bytes, from, to);
    this.text('\r\n');
  }

  /** Writes what was put together, as one piece. False when the socket holds so much that more must wait. */
  send(socket: Socket): boolean {
    if (this.#end === this.#start) return true;
    const goesOn = socket.write(this.#bytes.subarray(this.#start, this.#end));
    if (socket.writableLength === 0) this.#end = this.#start;
    else this.#start = this.#end;
    return goesOn;
  }

  /** Takes back what was put together and not sent. */
  discard(): void {
    this.#end = this.#start;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const begun = this.#bytes.subarray(this.#start, this.#end);
    // The old one is in use until its last byte has left, and then collected.
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, 2 * (begun.length + bytes)));
    begun.copy(this.#bytes);
    this.#start = 0;
    this.#end = begun.length;
  }
}
