import { type Socket, connect } from 'node:net';

/** One request as bytes, and how it is sent. */
export interface LoadOptions {
  readonly port: number;
  readonly request: Buffer;
  readonly connections: number;
  readonly durationMs: number;
  /** A new connection for every request. */
  readonly connectEach?: boolean;
  /** Requests per second over all connections, sent at their time whether or not earlier ones were answered. */
  readonly ratePerSecond?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  /** From the moment a request was due to its last response byte. */
  readonly latenciesMs: readonly number[];
}

/** Sends requests for a bounded time and checks that each gets a whole 200 response. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  let requests = 0;
  let failures = 0;
  const startedAt = performance.now();
  const endsAt = startedAt + options.durationMs;
  const done = (ok: boolean, dueAt: number): void => {
    if (!ok) failures++;
    else {
      requests++;
      latenciesMs.push(performance.now() - dueAt);
    }
  };
  const lanes = Array.from({ length: options.connections }, (_, lane) => lane);
  if (options.ratePerSecond) {
    const intervalMs = (1000 * options.connections) / options.ratePerSecond;
    await Promise.all(
      lanes.map((lane) =>
        pacedLane(options, startedAt + (lane * intervalMs) / lanes.length, intervalMs, endsAt, done),
      ),
    );
  } else {
    await Promise.all(lanes.map(() => (options.connectEach ? shortLane : closedLane)(options, endsAt, done)));
  }
  return { requests, failures, seconds: (performance.now() - startedAt) / 1000, latenciesMs };
}

type Done = (ok: boolean, dueAt: number) => void;

/** One connection, the next request as soon as the last is answered. */
async function closedLane({ port, request }: LoadOptions, endsAt: number, done: Done): Promise<void> {
  let lane: Lane | null = null;
  while (performance.now() < endsAt) {
    const dueAt = performance.now();
    lane ??= new Lane(port);
    const ok = await lane.exchange(request);
    done(ok, dueAt);
    if (!ok) lane = lane.close();
  }
  lane?.close();
}

async function shortLane({ port, request }: LoadOptions, endsAt: number, done: Done): Promise<void> {
  while (performance.now() < endsAt) {
    const dueAt = performance.now();
    const lane = new Lane(port);
    done(await lane.exchange(request), dueAt);
    lane.close();
  }
}

/** One connection with a timetable: a late answer makes the following requests late, and that is counted. */
async function pacedLane(
  { port, request }: LoadOptions,
  firstAt: number,
  intervalMs: number,
  endsAt: number,
  done: Done,
): Promise<void> {
  let lane: Lane | null = null;
  for (let dueAt = firstAt; dueAt < endsAt; dueAt += intervalMs) {
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    lane ??= new Lane(port);
    // A timer is late by up to a millisecond; that is the load's own, not the proxy's.
    const sentAt = waitMs > 0 ? performance.now() : dueAt;
    const ok = await lane.exchange(request);
    done(ok, sentAt);
    if (!ok) lane = lane.close();
  }
  lane?.close();
}

const HEAD_END = Buffer.from('\r\n\r\n');
const RESPONSE_TIMEOUT_MS = 30_000;

/** One connection that knows when a response is complete. */
export class Lane {
  readonly #socket: Socket;
  #resolve: ((ok: boolean) => void) | null = null;
  #head: Buffer = Buffer.alloc(0);
  /** Body bytes still to come; null while the head is awaited. */
  #left: number | null = null;
  #chunked = false;
  #tail = '';
  #ok = false;

  constructor(port: number, open = openTcp) {
    this.#socket = open(port);
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', () => this.#settle(false));
    this.#socket.on('close', () => this.#settle(false));
    this.#socket.setTimeout(RESPONSE_TIMEOUT_MS, () => this.#settle(false));
  }

  exchange(request: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#left = null;
      this.#socket.write(request);
    });
  }

  close(): null {
    this.#socket.destroy();
    return null;
  }

  #read(chunk: Buffer): void {
    let rest = chunk;
    if (this.#left === null) {
      const bytes = this.#head.length > 0 ? Buffer.concat([this.#head, chunk]) : chunk;
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) {
        this.#head = bytes;
        return;
      }
      this.#head = Buffer.alloc(0);
      const head = bytes.toString('latin1', 0, end).toLowerCase();
      this.#ok = head.startsWith('http/1.1 200');
      this.#chunked = head.includes('transfer-encoding: chunked');
      this.#left = this.#chunked ? Infinity : Number(/content-length: *(\d+)/.exec(head)?.[1] ?? 0);
      this.#tail = '';
      rest = bytes.subarray(end + 4);
    }
    if (this.#chunked) {
      this.#tail = (this.#tail + rest.toString('latin1', Math.max(0, rest.length - 5))).slice(-5);
      if (this.#tail === '0\r\n\r\n') this.#settle(this.#ok);
      return;
    }
    this.#left -= rest.length;
    if (this.#left === 0) this.#settle(this.#ok);
    else if (this.#left < 0) this.#settle(false);
  }

  #settle(ok: boolean): void {
    const resolve = this.#resolve;
    this.#resolve = null;
    resolve?.(ok);
  }
}

function openTcp(port: number): Socket {
  return connect({ port, host: '127.0.0.1', noDelay: true });
}

/** Opens connections that send nothing; returns how to close them. */
export async function holdIdle(port: number, count: number): Promise<() => void> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1' }));
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => socket.once('connect', resolve).once('error', () => resolve())),
    ),
  );
  return () => sockets.forEach((socket) => socket.destroy());
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
