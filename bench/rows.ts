import {
  type Work,
  connectEach,
  grpcCalls,
  handshakes,
  http1,
  http2Streams,
  https,
  webSockets,
} from './protocol-load.ts';
import { HOST, PACED_HOST, POLICY_HOST } from './site.ts';

/** One thing that is measured. */
export interface Row {
  readonly name: string;
  readonly group: Group;
  /** Portico's value over that of another proxy may be so much. */
  readonly aims: Aims;
  readonly measures: Measures;
}

export const GROUPS = ['idle', 'http1', 'protocols', 'policies', 'latency', 'workers'] as const;
export type Group = (typeof GROUPS)[number];

export interface Aims {
  readonly nginx?: number;
  readonly caddy?: number;
  /** Of Portico alone, in the unit of the row. */
  readonly absolute?: number;
}

export type Measures =
  /** CPU for each, in microseconds. */
  | { readonly kind: 'cpu'; readonly work: Work; readonly options: CpuOptions }
  /** The same on all cores, by proxies with so many workers that are started for it. */
  | { readonly kind: 'workers'; readonly work: Work; readonly workers: number }
  /** 99th percentile in milliseconds, at half of the rate that Caddy reaches. */
  | { readonly kind: 'p99'; readonly request: Buffer; readonly best: Work }
  /** Resident memory with so many connections over TLS that have had a response each, in MB. */
  | { readonly kind: 'memory'; readonly connections: number }
  /** CPU without a request, in percent of a core. */
  | { readonly kind: 'idle' };

export interface CpuOptions {
  /** How often the work is done before it is measured, where a compiler needs that. */
  readonly warmUp?: number;
  /** A connection for each, of which the kernel remembers so many. */
  readonly connects?: boolean;
  /** Connections that send nothing meanwhile. */
  readonly idle?: number;
  /** Of a window. */
  readonly share?: number;
}

const LARGE = 16 * 1024 * 1024;
const LARGE_WARM_UP = 60;
/** A handshake goes through so much of Node that V8 has compiled it only after some ten thousand of them. */
const HANDSHAKES = { warmUp: 10_000, connects: true };
const SMALL = http1(get(HOST, '/small'), 64);

/** In the order in which they are measured: memory first, as long as all are fresh. */
export const ROWS: readonly Row[] = [
  { name: 'idle CPU', group: 'idle', aims: { absolute: 0.1 }, measures: { kind: 'idle' } },
  {
    name: 'memory of 5,000 idle TLS connections',
    group: 'idle',
    aims: { caddy: 0.8 },
    measures: { kind: 'memory', connections: 5_000 },
  },
  cpu('http1', 'GET 1 KiB, keep-alive', { nginx: 1.2 }, SMALL),
  cpu(
    'http1',
    'GET 1 KiB, a connection each',
    { nginx: 1.6 },
    connectEach(get(HOST, '/small', 'Connection: close\r\n'), 32),
    { connects: true, share: 1 / 2 },
  ),
  cpu('http1', 'POST 16 KiB', { nginx: 1.1 }, http1(post(16 * 1024), 64)),
  cpu('http1', 'upload 16 MiB', { nginx: 0.45, caddy: 0.85 }, http1(post(LARGE), 4), {
    warmUp: LARGE_WARM_UP,
  }),
  cpu('http1', 'download 16 MiB', { nginx: 0.5, caddy: 0.8 }, http1(get(HOST, '/large'), 4), {
    warmUp: LARGE_WARM_UP,
  }),
  cpu('http1', 'GET 1 KiB, 1,000 idle + 64 busy', {}, SMALL, { idle: 1_000 }),
  cpu('protocols', 'full TLS 1.3 handshake + GET', { nginx: 1.25 }, handshakes('full'), HANDSHAKES),
  cpu('protocols', 'hybrid TLS 1.3 handshake + GET', {}, handshakes('hybrid'), HANDSHAKES),
  cpu('protocols', 'resumed TLS 1.3 handshake + GET', {}, handshakes('resumed'), HANDSHAKES),
  cpu('protocols', 'HTTPS GET 1 KiB, keep-alive', { nginx: 1.2 }, https(get(HOST, '/small'), 32)),
  cpu('protocols', 'HTTP/2 GET 1 KiB, 1 stream × 32', {}, http2Streams(32, 1)),
  cpu('protocols', 'HTTP/2 GET 1 KiB, 100 streams × 1', { nginx: 1.1 }, http2Streams(1, 100)),
  cpu('protocols', 'HTTP/2 GET 16 MiB, 4 streams × 1', {}, http2Streams(1, 4, '/large'), {
    warmUp: LARGE_WARM_UP,
  }),
  cpu(
    'protocols',
    'HTTP/2 POST 16 MiB, 4 streams × 1',
    { caddy: 0.8 },
    http2Streams(1, 4, '/', Buffer.alloc(LARGE, 'p')),
    { warmUp: LARGE_WARM_UP },
  ),
  cpu('protocols', 'gRPC unary, 1 connection, 32 calls', { nginx: 0.6 }, grpcCalls(32)),
  cpu('protocols', 'WebSocket echo, 32 sockets', { nginx: 1.3 }, webSockets(32)),
  cpu(
    'policies',
    'GET 1 KiB, keep-alive, three policies',
    { nginx: 1.3 },
    http1(get(POLICY_HOST, '/app/small'), 64),
  ),
  {
    name: "p99 at half of Caddy's best rate",
    group: 'latency',
    aims: { nginx: 1.1 },
    measures: { kind: 'p99', request: get(PACED_HOST, '/small'), best: SMALL },
  },
  workers(2),
  workers(4),
];

function cpu(group: Group, name: string, aims: Aims, work: Work, options: CpuOptions = {}): Row {
  return { name, group, aims, measures: { kind: 'cpu', work, options } };
}

function workers(count: number): Row {
  const name = `GET 1 KiB, keep-alive, ${count} workers`;
  return {
    name,
    group: 'workers',
    aims: {},
    measures: { kind: 'workers', work: SMALL, workers: count },
  };
}

function get(host: string, path: string, more = ''): Buffer {
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench/1\r\nAccept: */*\r\n${more}\r\n`,
  );
}

function post(bytes: number): Buffer {
  const head = `POST /post HTTP/1.1\r\nHost: ${HOST}\r\nUser-Agent: bench/1\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, 'c')]);
}

/** Whether a row has an aim. */
export function isAimed({ aims }: Row): boolean {
  return Object.keys(aims).length > 0;
}
