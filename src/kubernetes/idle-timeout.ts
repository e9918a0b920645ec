import type { Clock } from './clock.ts';

/** Aborts its signal when nothing arrives for too long, or when the outer signal is aborted. */
export interface IdleTimeout {
  readonly signal: AbortSignal;
  /** Something arrived: the time counts from now, up to `idleMs`. */
  restart(idleMs: number): void;
  /** Nothing more is expected. */
  end(): void;
}

/** Nothing arrived for too long: the server hangs, or the connection is half open. */
export class IdleTimeoutError extends Error {}

export function startIdleTimeout(clock: Clock, outer: AbortSignal, idleMs: number): IdleTimeout {
  const controller = new AbortController();
  const abort = (): void => controller.abort(outer.reason);
  let cancel: (() => void) | undefined;
  const restart = (idleMs: number): void => {
    cancel?.();
    cancel = clock.setTimeout(
      () => controller.abort(new IdleTimeoutError(`no data for ${Math.round(idleMs / 1000)} s`)),
      idleMs,
    );
  };
  if (outer.aborted) abort();
  else outer.addEventListener('abort', abort, { once: true });
  restart(idleMs);
  return {
    signal: controller.signal,
    restart,
    end() {
      cancel?.();
      outer.removeEventListener('abort', abort);
    },
  };
}
