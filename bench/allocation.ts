import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { nativeEngine } from '../src/proxy/native-engine.ts';
import { type SocketChoice, chooseSockets } from '../src/proxy/sockets/sockets.ts';
import { startProxy } from '../test/support/proxy.ts';
import { runLoad } from './load.ts';
import { medianOf } from './spread.ts';

/**
 * `npm run bench:allocation`: bytes that the engine allocates for each connection with one request, and for each request on a
 * connection that stays, on the heap and beside it, with native sockets and with those of Node. It runs in a process of its own, whose
 * heap has room for all of it: a turn with a collection is not counted.
 */

const UPSTREAM = 18_151;
const SELF = fileURLToPath(import.meta.url);
const ROOMY = ['--min-semi-space-size=256', '--max-semi-space-size=256'];
const TURNS = 5;
const TURN_MS = 700;
const CONNECTIONS = 8;

const ROWS = [
  { name: 'a connection with one request', more: 'Connection: close\r\n', connectEach: true },
  { name: 'a request on one that stays', more: '', connectEach: false },
] as const;

interface Heap {
  readonly bytes: number;
  readonly collections: number;
}

/** The engine, in a process of its own: says its port, then how its heap is whenever it is asked. */
async function serve(choice: SocketChoice): Promise<void> {
  let collections = 0;
  new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ type: 'gc' });
  const proxy = await startProxy(nativeEngine, [{ ports: [UPSTREAM] }], {
    sockets: chooseSockets(choice).sockets,
  });
  process.on('message', () => {
    const { heapUsed, external } = process.memoryUsage();
    process.send?.({ bytes: heapUsed + external, collections });
  });
  process.send?.(proxy.port);
}

async function heapOf(child: ChildProcess): Promise<Heap> {
  child.send('heap');
  const [heap] = (await once(child, 'message')) as [Heap];
  return heap;
}

async function measure(choice: SocketChoice): Promise<void> {
  const child = fork(SELF, ['serve', choice], { execArgv: ROOMY });
  process.on('exit', () => child.kill());
  const [port] = (await once(child, 'message')) as [number];
  for (const { name, more, connectEach } of ROWS) {
    const request = Buffer.from(`GET /small HTTP/1.1\r\nHost: app.test\r\n${more}\r\n`);
    const each: number[] = [];
    for (let turn = 0; turn <= 3 * TURNS && each.length < TURNS; turn++) {
      const before = await heapOf(child);
      const load = { port, request, connections: CONNECTIONS, durationMs: TURN_MS, connectEach };
      const { requests, failures } = await runLoad(load);
      if (failures > 0) throw new Error(`${failures} requests failed`);
      const after = await heapOf(child);
      // The first one compiles.
      if (turn > 0 && after.collections === before.collections)
        each.push((after.bytes - before.bytes) / requests);
    }
    console.log(
      `${choice.padEnd(8)}${name.padEnd(34)}${medianOf(each).toFixed(0).padStart(8)} bytes, ${each.length} turns`,
    );
  }
  child.kill();
}

if (process.argv[2] === 'serve') await serve(process.argv[3] as SocketChoice);
else {
  const path = fileURLToPath(new URL('upstream.ts', import.meta.url));
  const upstream = spawn(process.execPath, [path, `${UPSTREAM}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(upstream.stdout, 'data');
  for (const choice of ['native', 'node'] as const) await measure(choice);
  upstream.kill();
}
