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
 * Sees by trying whether a file descriptor is left. Nobody else says so: libuv closes what it cannot accept for want of one, or
 * tries it again in every turn of the loop, which then never rests, and tells nobody.
 */
export class DescriptorWatch {
  /** Gives whether it closed something. */
  readonly #onNone: () => boolean;
  readonly #isOneLeft: () => boolean;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #backingOff = false;
  /** While no connection is open: the next turn of the loop is awaited, or the time for another look. */
  #cancelRest: (() => void) | null = null;
  #isStopped = false;

  constructor(onNone: () => boolean, isOneLeft: () => boolean = isDescriptorLeft) {
    this.#onNone = onNone;
    this.#isOneLeft = isOneLeft;
    this.rest();
  }

  stop(): void {
    this.#isStopped = true;
    this.wake();
    this.#backingOff = false;
  }

  /** No connection is open. A thread without any has a turn of its loop only when something comes, such as a connection. */
  rest(): void {
    if (this.#isStopped || this.#cancelRest) return;
    const turn = setImmediate(this.#onTurn).unref();
    this.#cancelRest = () => clearImmediate(turn);
  }

  /** A connection is open: from now on `look` is called. */
  wake(): void {
    this.#cancelRest?.();
    this.#cancelRest = null;
  }

  /** To be called again and again while connections are open; looks twice a second. */
  look(now: number): void {
    if (now - this.#lookedAt >= LOOK_EVERY_MS) this.#try(now);
  }

  #try(now: number): void {
    this.#lookedAt = now;
    const wait = !this.#isOneLeft() && !this.#onNone();
    if (wait && !this.#backingOff) setImmediate(this.#backOff).unref();
    this.#backingOff = wait;
  }

  /** What comes right after a look is seen by the next one. */
  readonly #onTurn = (): void => {
    const timer = setTimeout(this.#onRested, LOOK_EVERY_MS).unref();
    this.#cancelRest = () => clearTimeout(timer);
    this.look(performance.now());
  };

  readonly #onRested = (): void => {
    this.#cancelRest = null;
    this.rest();
    this.#try(performance.now());
  };

  /** Everything is busy: a thousand turns a second are enough for that, and what is accepted has to wait anyway. */
  readonly #backOff = (): void => {
    if (!this.#backingOff) return;
    Atomics.wait(never, 0, 0, BACK_OFF_MS);
    setImmediate(this.#backOff).unref();
    this.look(performance.now());
  };
}

function isDescriptorLeft(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return true;
  } catch (error) {
    return !isOutOfDescriptors((error as NodeJS.ErrnoException).code);
  }
}
