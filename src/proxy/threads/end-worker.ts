import type { Worker } from 'node:worker_threads';

/** On a busy machine a thread that ends may not run for more than a second. */
const TIMEOUT_MS = 5_000;

/** Ends a thread. Resolves with false when it does not end: a call that does not return keeps it. */
export async function endWorker(worker: Worker): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, TIMEOUT_MS, false);
  void worker.terminate().then(() => resolve(true));
  const hasEnded = await promise;
  clearTimeout(timer);
  return hasEnded;
}
