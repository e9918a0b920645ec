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

const LOOK_EVERY_MS = 500;
const BACK_OFF_MS = 1;
const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Sees by trying whether a file descriptor is left. Nobody else says so: Node does not tell of an accept that failed for
 * want of one, and tries it again in every turn of the loop, which then never rests.
 */
export class DescriptorWatch {
  /** Gives whether it closed something. */
  readonly #onNone: () => boolean;
  readonly #timer: NodeJS.Timeout;
  #backingOff = false;

  constructor(onNone: () => boolean) {
    this.#onNone = onNone;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#backingOff = false;
  }

  #look(): void {
    const wait = !isOneLeft() && !this.#onNone();
    if (wait && !this.#backingOff) setImmediate(this.#backOff).unref();
    this.#backingOff = wait;
  }

  /** Everything is busy: a thousand turns a second are enough for that, and what is accepted has to wait anyway. */
  readonly #backOff = (): void => {
    if (!this.#backingOff) return;
    Atomics.wait(never, 0, 0, BACK_OFF_MS);
    setImmediate(this.#backOff).unref();
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
