const NEWLINE = 0x0a;

/** A line longer than anything an API server would send. */
export class LineTooLong extends Error {}

/** Cuts a stream of bytes into lines, wherever its chunks were cut: in the middle of a character too. */
export class LineCutter {
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #maxLineBytes: number;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Whether the stream so far ends in the middle of a line. */
  get unfinished(): boolean {
    return this.#keptBytes > 0;
  }

  /** The lines that this chunk completes. Throws `LineTooLong` rather than keep more than the limit. */
  *push(chunk: Buffer): Generator<string> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const part = chunk.subarray(start, end === -1 ? chunk.length : end);
      if (this.#keptBytes + part.length > this.#maxLineBytes)
        throw new LineTooLong(`a line of the watch is longer than ${this.#maxLineBytes} bytes`);
      if (end === -1) {
        this.#keptBytes += part.length;
        if (part.length > 0) this.#kept.push(part);
        return;
      }
      const line = this.#kept.length === 0 ? part : Buffer.concat([...this.#kept, part]);
      this.#kept = [];
      this.#keptBytes = 0;
      start = end + 1;
      if (line.length > 0) yield line.toString('utf8');
    }
  }
}
