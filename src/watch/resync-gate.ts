import type { Clock } from '../kubernetes/clock.ts';

/**
 * After an outage the kinds come back one by one. Until the last has, an Ingress that was changed meanwhile may name a
 * Service that is not read yet: a route that works would be taken for one that does not. So changes of routes wait.
 */
export interface ResyncGate {
  /** Whether a change of routes may be served. If not, `onRelease` is called when it may. */
  ready(): boolean;
  /** Whether a change waits. */
  waiting(): boolean;
  /** A kind fell behind, or caught up. */
  reconcile(): void;
  stop(): void;
}

export interface ResyncGateOptions {
  readonly clock: Clock;
  /** Whether every kind is known as it is now, as far as can be told. */
  readonly current: () => boolean;
  /** What waited is to be served; `late` when some kind has still not caught up. */
  readonly onRelease: (late: boolean) => void;
}

/** What a resumed watch has to say comes right behind its head, without a mark where it ends. */
const SETTLE_MS = 250;
/** Twice the longest back-off: a kind that is not back by then has a problem of its own, which may last. */
export const RESYNC_WITHIN_MS = 60_000;

export function startResyncGate({ clock, current, onRelease }: ResyncGateOptions): ResyncGate {
  let waitingSince: number | null = null;
  /** A kind that was waited for in vain is not waited for again until it has caught up. */
  let waits = true;
  let cancel: () => void = () => {};

  const release = (): void => {
    waitingSince = null;
    waits = current();
    onRelease(!waits);
  };
  const reconcile = (): void => {
    waits ||= current();
    if (waitingSince === null) return;
    cancel();
    const leftMs = Math.max(waitingSince + RESYNC_WITHIN_MS - clock.wallMs(), 0);
    cancel = clock.setTimeout(release, current() ? Math.min(SETTLE_MS, leftMs) : leftMs);
  };

  return {
    ready() {
      if (waitingSince === null && (current() || !waits)) return true;
      waitingSince ??= clock.wallMs();
      reconcile();
      return false;
    },
    waiting: () => waitingSince !== null,
    reconcile,
    stop: () => cancel(),
  };
}
