import { randomUUID } from 'node:crypto';
import type { ApiCall, ApiResponse } from '../../src/kubernetes/api-request.ts';
import type { Clock } from '../../src/kubernetes/clock.ts';

/** Time that passes from event to event, for several processes whose clocks disagree. */
export class World {
  nowMs = 0;
  /** In the order in which they happen. */
  #events: { readonly atMs: number; readonly run: () => void }[] = [];

  at(atMs: number, run: () => void): () => void {
    const event = { atMs: Math.max(atMs, this.nowMs), run };
    const before = this.#events.findLastIndex((other) => other.atMs <= event.atMs);
    this.#events.splice(before + 1, 0, event);
    return () => {
      this.#events = this.#events.filter((other) => other !== event);
    };
  }

  /** Runs every event until then; `check` is called after each, when everything it set off has happened. */
  async until(atMs: number, check: () => void = () => {}): Promise<void> {
    for (;;) {
      const [next] = this.#events;
      if (!next || next.atMs > atMs) break;
      this.#events.shift();
      this.nowMs = next.atMs;
      next.run();
      await settled();
      check();
    }
    this.nowMs = atMs;
  }
}

/** After every promise that can be settled now. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A process with clocks of its own, which can be stopped in its tracks as by SIGSTOP. */
export class SimulatedProcess implements Clock {
  readonly #world: World;
  readonly #rate: number;
  #wallOffsetMs: number;
  #awakeAtMs = 0;
  killed = false;

  constructor(world: World, rate = 1, wallOffsetMs = 0) {
    this.#world = world;
    this.#rate = rate;
    this.#wallOffsetMs = wallOffsetMs;
  }

  monotonicMs(): number {
    return 5_000_000 + this.#world.nowMs * this.#rate;
  }
  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.#wallOffsetMs + this.#world.nowMs * this.#rate;
  }
  setTimeout(callback: () => void, delayMs: number): () => void {
    return this.later(this.#world.nowMs + delayMs / this.#rate, callback);
  }

  /** The wall clock is set. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
  /** Nothing runs in this process for so long; then everything that was due does. */
  pause(forMs: number): void {
    this.#awakeAtMs = Math.max(this.#awakeAtMs, this.#world.nowMs + forMs);
  }
  get paused(): boolean {
    return this.#world.nowMs < this.#awakeAtMs;
  }

  /** Runs something in this process, when it runs at all. */
  later(atMs: number, run: () => void): () => void {
    let cancelled = false;
    const attempt = (): void => {
      if (cancelled || this.killed) return;
      if (this.paused) this.#world.at(this.#awakeAtMs, attempt);
      else run();
    };
    this.#world.at(atMs, attempt);
    return () => {
      cancelled = true;
    };
  }
}

/** What happens to one request on its way. */
export interface FaultModel {
  readonly toServerMs: number;
  readonly toClientMs: number;
  /** Lost before the server saw it, or its answer was lost, or the server has something else to say. */
  readonly fault: 'none' | 'request-lost' | 'answer-lost' | 500 | 409 | 429;
}

export interface Write {
  readonly by: SimulatedProcess;
  readonly path: string;
  readonly atMs: number;
}

/** Enough of an API server to hold a Lease: guarded updates, and a record of every other write. */
export class SimulatedApi {
  readonly writes: Write[] = [];
  /** How often each has read the Lease. */
  readonly reads = new Map<SimulatedProcess, number>();
  lease: { metadata: { resourceVersion: string }; spec: Record<string, unknown> } | null = null;
  onWrite: (write: Write) => void = () => {};
  readonly #cutOffUntilMs = new Map<SimulatedProcess, number>();
  #version = 100;
  readonly #world: World;
  readonly #faults: () => FaultModel;

  constructor(world: World, faults: () => FaultModel) {
    this.#world = world;
    this.#faults = faults;
  }

  /** Nothing that this process sends arrives for so long. */
  cutOff(process: SimulatedProcess, forMs: number): void {
    this.#cutOffUntilMs.set(process, this.#world.nowMs + forMs);
  }

  callFrom(process: SimulatedProcess): ApiCall {
    return ({ method, path, body, signal }) =>
      new Promise((resolve, reject) => {
        const { toServerMs, toClientMs, fault: ownFault } = this.#faults();
        const cutOff = this.#world.nowMs < (this.#cutOffUntilMs.get(process) ?? 0);
        const fault = cutOff ? 'request-lost' : ownFault;
        const give = (): void => reject(new Error('aborted'));
        if (signal.aborted) return give();
        signal.addEventListener('abort', give, { once: true });
        const text = JSON.stringify(body);
        this.#world.at(this.#world.nowMs + toServerMs, () => {
          if (fault === 'request-lost') return;
          // An abort does not call back what is on the wire.
          const response =
            typeof fault === 'number' ? answer(fault) : this.#answer(process, method, path, text);
          if (fault === 'answer-lost') return;
          process.later(this.#world.nowMs + toClientMs, () => resolve(response));
        });
      });
  }

  #answer(by: SimulatedProcess, method: string, path: string, text: string | undefined): ApiResponse {
    if (!path.includes('/leases')) {
      const write = { by, path, atMs: this.#world.nowMs };
      this.writes.push(write);
      this.onWrite(write);
      return answer(200);
    }
    if (method === 'GET') this.reads.set(by, (this.reads.get(by) ?? 0) + 1);
    if (method === 'GET') return this.lease ? answer(200, this.lease) : answer(404);
    const asked = JSON.parse(text ?? '{}') as NonNullable<SimulatedApi['lease']>;
    if (method === 'POST' && this.lease) return answer(409);
    if (method === 'PUT' && !this.lease) return answer(404);
    if (method === 'PUT' && asked.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
      return answer(409);
    const metadata = { ...asked.metadata, uid: randomUUID(), resourceVersion: `${++this.#version}` };
    this.lease = { ...asked, metadata };
    return answer(method === 'POST' ? 201 : 200, this.lease);
  }
}

function answer(
  status: number,
  body: unknown = { kind: 'Status', message: `scripted ${status}` },
): ApiResponse {
  return { status, body: structuredClone(body), retryAfterMs: 0 };
}
