import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http2';
import { PerformanceObserver } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { nativeEngine } from '../src/proxy/native-engine.ts';
import { type SocketChoice, chooseSockets } from '../src/proxy/sockets/sockets.ts';
import { startProxy } from '../test/support/proxy.ts';
import { http2Lanes } from './lanes.ts';
import { runLoad } from './load.ts';
import { medianOf } from './spread.ts';

/**
 * `npm run bench:allocation`: bytes that the engine allocates for each connection with one request, for each request on a
 * connection that stays, and for each stream, on the heap and beside it, with native sockets and with those of Node. It runs in a process of its own, whose
 * heap has room for all of it: a turn with a collection is not counted.
 */

const UPSTREAM = 18_151;
const HTTP2_UPSTREAM = 18_152;
const HOST = 'app.test';
const HTTP2_HOST = 'http2.test';
const SELF = fileURLToPath(import.meta.url);
const ROOMY = ['--min-semi-space-size=256', '--max-semi-space-size=256'];
const TURNS = 5;
const TURN_MS = 700;
const CONNECTIONS = 8;
const SMALL = Buffer.alloc(1024, 'a');

interface Row {
  readonly name: string;
  /** Gives what asks for so long, and tells how often it did. */
  begin(port: number): Promise<(durationMs: number) => Promise<number>>;
}

const ROWS: readonly Row[] = [
  { name: 'a connection with one request', begin: http1('Connection: close\r\n', true) },
  { name: 'a request on one that stays', begin: http1('', false) },
  { name: 'a request among 100 streams', begin: http2(HOST, 100) },
  { name: 'the same, to a Pod of HTTP/2', begin: http2(HTTP2_HOST, 100) },
];

function http1(more: string, connectEach: boolean): Row['begin'] {
  const request = Buffer.from(`GET /small HTTP/1.1\r\nHost: ${HOST}\r\n${more}\r\n`);
  return async (port) => async (durationMs) => {
    const load = { port, request, connections: CONNECTIONS, durationMs, connectEach };
    const { requests, failures } = await runLoad(load);
    if (failures > 0) throw new Error(`${failures} requests failed`);
    return requests;
  };
}

/** Without TLS. */
function http2(host: string, streams: number): Row['begin'] {
  return async (port) => {
    const { run } = await http2Lanes(port, 1, streams);
    return (durationMs) => run({ host, fields: {} }, durationMs);
  };
}

interface Heap {
  readonly bytes: number;
  readonly collections: number;
}

/** The engine, in a process of its own: says its port, then how its heap is whenever it is asked. */
async function serve(choice: SocketChoice): Promise<void> {
  let collections = 0;
  new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ type: 'gc' });
  const sites = [
    { host: HOST, ports: [UPSTREAM] },
    { host: HTTP2_HOST, ports: [HTTP2_UPSTREAM], protocol: 'h2c' as const },
  ];
  const proxy = await startProxy(nativeEngine, sites, {
    sockets: chooseSockets(choice).sockets,
    h2c: true,
    limits: { requestsPerConnection: Number.MAX_SAFE_INTEGER },
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
  for (const { name, begin } of ROWS) {
    const run = await begin(port);
    const each: number[] = [];
    for (let turn = 0; turn <= 3 * TURNS && each.length < TURNS; turn++) {
      const before = await heapOf(child);
      const requests = await run(TURN_MS);
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
  const http2Upstream = createServer((_, response) => response.end(SMALL)).listen(
    HTTP2_UPSTREAM,
    '127.0.0.1',
  );
  await once(http2Upstream, 'listening');
  for (const choice of ['native', 'node'] as const) await measure(choice);
  upstream.kill();
  process.exit();
}
