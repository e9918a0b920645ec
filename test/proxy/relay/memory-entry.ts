import { parentPort, workerData } from 'node:worker_threads';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';

/** A relay in a thread of its own, which says at the end of each exchange how much memory its Buffers take. */
const proxy = await startProxy(nativeEngine, [{ ports: [Number(workerData)] }]);
/** What there is before, such as the counters of limits, which all threads share. */
const before = process.memoryUsage().arrayBuffers;
let most = 0;
setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 2);
parentPort?.postMessage(proxy.port);
for (let i = 0; ; i++) {
  await proxy.exchange(i);
  parentPort?.postMessage(most);
}
