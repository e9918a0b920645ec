/** Time, as everything that talks to an API server reads it; tests bring their own. */
export interface Clock {
  /** Milliseconds on a clock of this machine that is never set. It may stand still while the machine sleeps. */
  monotonicMs(): number;
  /** Milliseconds since the epoch, on a clock that may jump. */
  wallMs(): number;
  /** Calls back once after `delayMs`, unless the returned function is called first. */
  setTimeout(callback: () => void, delayMs: number): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: Date.now,
  setTimeout(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Both clocks read at once. */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export function instant(clock: Clock): Instant {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** Waits, or returns at once when the signal is aborted. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = (): void => {
      cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.setTimeout(wake, delayMs);
    signal.addEventListener('abort', wake, { once: true });
  });
}

/** RFC 3339 with six digits, as `MicroTime` fields of the API want it. */
export function microTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, -1)}000Z`;
}
