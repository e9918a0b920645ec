import type { Clock } from '../kubernetes/clock.ts';

/**
 * After an outage the kinds come back one by one. Until the last has, an Ingress that was changed meanwhile may name a
 * Service that is not read yet: a route that works would be taken for one that does not. So changes of routes wait.
 */
export interface CatchUp {
  /** Whether a change of routes may be served. If not, `onRelease` is called when it may. */
  ready(): boolean;
  /** Whether a change waits. */
  waiting(): boolean;
  /** A kind fell behind, or caught up. */
  look(): void;
  stop(): void;
}

export interface CatchUpOptions {
  readonly clock: Clock;
  /** Whether every kind is known as it is now, as far as can be told. */
  readonly current: () => boolean;
  /** What waited is to be served; `late` when some kind has still not caught up. */
  readonly onRelease: (late: boolean) => void;
}

/** What a resumed watch has to say comes right behind its head, without a mark where it ends. */
const SETTLE_MS = 250;
/** Twice the longest back-off: a kind that has not come back by then is in trouble of its own, and may stay there. */
export const CATCH_UP_WITHIN_MS = 60_000;

export function startCatchUp({ clock, current, onRelease }: CatchUpOptions): CatchUp {
  let waitingSince: number | null = null;
  /** A kind that was waited for in vain is not waited for again until it has caught up. */
  let patient = true;
  let cancel: () => void = () => {};

  const release = (): void => {
    waitingSince = null;
    patient = current();
    onRelease(!patient);
  };
  const look = (): void => {
    patient ||= current();
    if (waitingSince === null) return;
    cancel();
    const leftMs = Math.max(waitingSince + CATCH_UP_WITHIN_MS - clock.wallMs(), 0);
    cancel = clock.setTimeout(release, current() ? Math.min(SETTLE_MS, leftMs) : leftMs);
  };

  return {
    ready() {
      if (waitingSince === null && (current() || !patient)) return true;
      waitingSince ??= clock.wallMs();
      look();
      return false;
    },
    waiting: () => waitingSince !== null,
    look,
    stop: () => cancel(),
  };
}
