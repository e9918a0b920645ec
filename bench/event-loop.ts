/**
 * Loaded into every thread of a process by `node --import`: for how long its event loop was blocked at most, appended to the
 * file BENCH_EVENT_LOOP each second as `THREAD MILLISECONDS`. It is the CPU time of the thread between two turns of its
 * loop, garbage collection included, so that other processes on the machine do not count.
 */
import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';

const path = process.env['BENCH_EVENT_LOOP'] ?? '';
let longestMs = 0;
let before = process.threadCpuUsage();
let reportAt = performance.now() + 1_000;

setInterval(() => {
  const now = process.threadCpuUsage();
  longestMs = Math.max(longestMs, (now.user + now.system - before.user - before.system) / 1_000);
  if (performance.now() > reportAt) {
    appendFileSync(path, `${threadId} ${longestMs.toFixed(2)}\n`);
    longestMs = 0;
    reportAt = performance.now() + 1_000;
  }
  before = process.threadCpuUsage();
}, 1).unref();
