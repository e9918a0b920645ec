/** The same fault is told once in this time. */
const REPEATED_WITHIN_MS = 60_000;
/** Distinct faults that are remembered: a fault whose text differs each time must not fill the memory. */
const MAX_FAULTS = 100;
const MAX_LENGTH = 8 * 1024;

/** The faults of one thread: each is counted, and each distinct one is told once a minute. */
export class FaultLog {
  /** All of them, told or not. */
  count = 0;
  readonly #tell: (stack: string) => void;
  readonly #now: () => number;
  readonly #toldAt = new Map<string, number>();

  /** `now` in milliseconds on a clock that only goes forward. */
  constructor(tell: (stack: string) => void, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  /** Never throws, whatever was thrown. */
  report(fault: unknown): void {
    this.count++;
    const stack = stackOf(fault).slice(0, MAX_LENGTH);
    const now = this.#now();
    const toldAt = this.#toldAt.get(stack);
    if (toldAt !== undefined && now - toldAt < REPEATED_WITHIN_MS) return;
    if (toldAt === undefined && this.#toldAt.size >= MAX_FAULTS) {
      const [oldest = ''] = this.#toldAt.keys();
      this.#toldAt.delete(oldest);
    }
    this.#toldAt.delete(stack);
    this.#toldAt.set(stack, now);
    this.#tell(stack);
  }
}

function stackOf(fault: unknown): string {
  try {
    return fault instanceof Error ? (fault.stack ?? `${fault.name}: ${fault.message}`) : String(fault);
  } catch {
    return 'something that has no text was thrown';
  }
}
