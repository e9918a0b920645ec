import { closeSync, openSync, readFileSync } from 'node:fs';

/** Whether the system has no file descriptor, or no memory, for another socket: nobody at the other end is to blame. */
export function isOutOfDescriptors(code: string | undefined): boolean {
  return code === 'EMFILE' || code === 'ENFILE' || code === 'ENOBUFS' || code === 'ENOMEM';
}

/** How many file descriptors the process may have; any number where the system does not say. */
export function descriptorLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}

/** While connections are open. */
const LOOK_EVERY_MS = 500;
/** While none are, so that an idle thread sleeps. */
const LOOK_AT_REST_EVERY_MS = 5_000;
const BACK_OFF_MS = 1;
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Sees by trying whether a file descriptor is left. Nobody else says so: Node does not tell of an accept that failed for
 * want of one, and tries it again in every turn of the loop, which then never rests.
 */
export class DescriptorWatch {
  /** Gives whether it closed something. */
  readonly #onNone: () => boolean;
  readonly #atRest: NodeJS.Timeout;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #backingOff = false;

  constructor(onNone: () => boolean) {
    this.#onNone = onNone;
    this.#atRest = setInterval(() => this.look(performance.now()), LOOK_AT_REST_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#atRest);
    this.#backingOff = false;
  }

  /** To be called again and again while connections are open; looks twice a second. */
  look(now: number): void {
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    const wait = !isOneLeft() && !this.#onNone();
    if (wait && !this.#backingOff) setImmediate(this.#backOff).unref();
    this.#backingOff = wait;
  }

  /** Everything is busy: a thousand turns a second are enough for that, and what is accepted has to wait anyway. */
  readonly #backOff = (): void => {
    if (!this.#backingOff) return;
    Atomics.wait(never, 0, 0, BACK_OFF_MS);
    setImmediate(this.#backOff).unref();
    this.look(performance.now());
  };
}

function isOneLeft(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return true;
  } catch (error) {
    return !isOutOfDescriptors((error as NodeJS.ErrnoException).code);
  }
}
