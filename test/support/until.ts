import { type EventEmitter, once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/** Real time: half of what a test has, so that its failure says what was waited for. */
export const LIMIT_MS = Number(process.env['PORTICO_TEST_TIMEOUT_MS'] ?? 60_000) / 2;

/** Waits for a condition that real sockets, threads or processes bring about; fails with what never happened. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = condition.toString(),
  everyMs = 2,
): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await soon(Promise.resolve(condition()), () => what))) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await pause(everyMs);
  }
}

/** The promise; when it is not settled in time, an error that says what never happened. */
export async function soon<T>(promise: Promise<T>, what: () => string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`never happened: ${what()}`)), LIMIT_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The arguments of the next event of this name, as `once` of Node gives them; an error when it does not come in time. */
export function happens(of: EventEmitter, event: string): ReturnType<typeof once> {
  return soon(once(of, event), () => `'${event}' of ${of.constructor.name}`);
}
