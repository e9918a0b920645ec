import type { ObjectKey } from '../model/objects.ts';

/**
 * Other writers of the statuses we write: a second installation with the same class, or another controller that takes
 * our Ingresses. We cannot tell who is right. But two writers that undo each other twice a second are a burden on the API
 * server and on everything that follows these addresses, so each write to a contested status waits longer than the last.
 */
export interface StatusContention {
  /** Records a write. */
  wrote(key: ObjectKey, status: string, nowMs: number): void;
  /** Whether the same was written again and again. */
  contested(key: ObjectKey, status: string): boolean;
  /** How long to leave this Ingress alone before the same is written to it again; 0 for not at all. */
  restMs(key: ObjectKey, status: string, nowMs: number): number;
  forget(key: ObjectKey): void;
}

/** People and scripts change a status as well: the first repairs do not wait. */
const FREE_REPEATS = 4;
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 300_000;
/** A status that nobody else changed for this long is no longer contested. */
const FORGOTTEN_AFTER_MS = 2 * LONGEST_REST_MS;

export function trackStatusContention(): StatusContention {
  const writes = new Map<ObjectKey, { status: string; repeats: number; atMs: number }>();
  const contestedWrite = (key: ObjectKey, status: string) => {
    const last = writes.get(key);
    return last?.status === status && last.repeats >= FREE_REPEATS ? last : null;
  };
  return {
    contested: (key, status) => contestedWrite(key, status) !== null,
    wrote(key, status, nowMs) {
      const last = writes.get(key);
      const again = last?.status === status && nowMs - last.atMs < FORGOTTEN_AFTER_MS;
      writes.set(key, { status, repeats: again ? last.repeats + 1 : 0, atMs: nowMs });
    },
    restMs(key, status, nowMs) {
      const last = contestedWrite(key, status);
      if (last === null) return 0;
      const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (last.repeats - FREE_REPEATS));
      return Math.max(0, last.atMs + restMs - nowMs);
    },
    forget: (key) => void writes.delete(key),
  };
}
