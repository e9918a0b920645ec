import type { Clock } from './clock.ts';

/** Aborts what stays silent for too long, or when the outer signal says so. */
export interface Patience {
  readonly signal: AbortSignal;
  /** Something was heard: silence counts from now, up to `silenceMs`. */
  heard(silenceMs: number): void;
  /** Nothing more is expected. */
  end(): void;
}

/** The other side was silent for too long: a hung server, or a connection that is half open. */
export class Silence extends Error {}

export function patience(clock: Clock, outer: AbortSignal, silenceMs: number): Patience {
  const controller = new AbortController();
  const abort = (): void => controller.abort(outer.reason);
  let cancel: (() => void) | undefined;
  const heard = (silenceMs: number): void => {
    cancel?.();
    cancel = clock.setTimeout(
      () => controller.abort(new Silence(`nothing was heard for ${Math.round(silenceMs / 1000)} s`)),
      silenceMs,
    );
  };
  if (outer.aborted) abort();
  else outer.addEventListener('abort', abort, { once: true });
  heard(silenceMs);
  return {
    signal: controller.signal,
    heard,
    end() {
      cancel?.();
      outer.removeEventListener('abort', abort);
    },
  };
}
