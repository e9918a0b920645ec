/** Lines are sent on when this many characters are gathered, or after `FLUSH_INTERVAL_MS`. */
const BATCH_CHARACTERS = 32 * 1024;
const FLUSH_INTERVAL_MS = 100;
/** What may wait for a control thread that is busy before lines are dropped. */
const MOST_WAITING = 1024 * 1024;

/** Gives whole lines away, and says how many bytes of others were dropped since the last call. */
export type SendLines = (lines: string, droppedBytes: number) => void;

/**
 * Gathers lines and hands batches of them to `send`; `taken` is to be called once they have arrived. Beyond what may be on
 * its way, lines are dropped.
 */
export class LineBatch {
  readonly #send: SendLines;
  #gathered = '';
  #timer: NodeJS.Timeout | null = null;
  /** Characters that were sent and not taken. */
  #waiting = 0;
  #droppedBytes = 0;

  constructor(send: SendLines) {
    this.#send = send;
  }

  add(line: string): void {
    this.#gathered += line;
    if (this.#gathered.length >= BATCH_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_INTERVAL_MS).unref();
  }

  /** Sends what is gathered. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#gathered === '') return;
    const lines = this.#gathered;
    this.#gathered = '';
    if (this.#waiting + lines.length > MOST_WAITING) {
      this.#droppedBytes += Buffer.byteLength(lines);
      return;
    }
    this.#waiting += lines.length;
    this.#send(lines, this.#droppedBytes);
    this.#droppedBytes = 0;
  }

  /** So many characters of what was sent were taken. */
  taken(characters: number): void {
    this.#waiting -= characters;
  }
}
