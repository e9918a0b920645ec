import type { Snapshot } from '../model/snapshot.ts';
import type { SourceEvent } from './source.ts';

/**
 * When to compile. A change that comes alone is compiled at once. Route changes that follow one another closely are
 * held off until it has been quiet for `quietMs`, at most `ceilingMs` after the first that waits. Endpoint changes
 * are cheap and never wait for routes. After a failure everything waits for a growing while, and is tried again.
 */
export interface HoldOffSettings {
  readonly quietMs: number;
  readonly ceilingMs: number;
  readonly retryMs: number;
  readonly retryCeilingMs: number;
}

export const HOLD_OFF: HoldOffSettings = {
  quietMs: 50,
  ceilingMs: 250,
  retryMs: 100,
  retryCeilingMs: 10_000,
};

/** All times are milliseconds of one clock. */
export interface HoldOffState {
  /** Route changes that no run has covered: since when, and when their run is due. */
  readonly routes: { readonly since: number; readonly due: number } | null;
  /** Whether there is an endpoint change that no run has covered. */
  readonly endpoints: boolean;
  /** The last route change, or the last run that covered one. */
  readonly lastRoutes: number;
  /** What is being run; 'routes' covers the endpoints too. */
  readonly running: SourceEvent | null;
  readonly failures: number;
  readonly notBefore: number;
}

export const AT_REST: HoldOffState = {
  routes: null,
  endpoints: false,
  lastRoutes: -Infinity,
  running: null,
  failures: 0,
  notBefore: -Infinity,
};

export type HoldOffEvent = SourceEvent | 'start' | 'success' | 'failure';

export interface Run {
  readonly what: SourceEvent;
  readonly at: number;
}

/** The state after an event. `start` begins the run that `nextRun` named, and it is over with success or failure. */
export function holdOff(
  state: HoldOffState,
  event: HoldOffEvent,
  now: number,
  settings: HoldOffSettings = HOLD_OFF,
): HoldOffState {
  switch (event) {
    case 'endpoints':
      return { ...state, endpoints: true };
    case 'routes':
      return { ...state, routes: heldRoutes(state, now, settings), lastRoutes: now };
    case 'start': {
      const next = nextRun(state, now);
      if (!next) return state;
      const started = { ...state, running: next.what, endpoints: false };
      return next.what === 'endpoints' ? started : { ...started, routes: null, lastRoutes: now };
    }
    case 'success':
      return { ...state, running: null, failures: 0, notBefore: -Infinity };
    case 'failure': {
      const { running } = state;
      const backOffMs = Math.min(settings.retryMs * 2 ** state.failures, settings.retryCeilingMs);
      return {
        ...state,
        // What the run should have covered is as uncovered as before.
        routes: running === 'routes' ? { since: state.routes?.since ?? now, due: now } : state.routes,
        endpoints: state.endpoints || running === 'endpoints',
        running: null,
        failures: state.failures + 1,
        notBefore: now + backOffMs,
      };
    }
  }
}

function heldRoutes(
  { routes, lastRoutes }: HoldOffState,
  now: number,
  { quietMs, ceilingMs }: HoldOffSettings,
): { since: number; due: number } {
  const since = routes?.since ?? now;
  if (routes && routes.due <= now) return routes;
  if (!routes && now - lastRoutes >= quietMs) return { since, due: now };
  return { since, due: Math.min(now + quietMs, since + ceilingMs) };
}

/** The next run and when it is due; null while there is nothing to do, or a run is under way. */
export function nextRun({ routes, endpoints, running, notBefore }: HoldOffState, now: number): Run | null {
  if (running) return null;
  if (endpoints) {
    const at = Math.max(now, notBefore);
    return { what: routes && routes.due <= at ? 'routes' : 'endpoints', at };
  }
  return routes && { what: 'routes', at: Math.max(routes.due, notBefore, now) };
}

/**
 * What was compiled last, with the endpoints of now: what is compiled while route changes are held off. Its
 * generation is that of `latest`, which the held changes will be compiled under as well: the caller
 * renumbers what is compiled.
 */
export function advanceEndpoints(last: Snapshot, latest: Snapshot): Snapshot {
  if (last.endpointSlices === latest.endpointSlices) return last;
  const { generation, endpointSlices, slicesByService, lostReadiness } = latest;
  return { ...last, generation, endpointSlices, slicesByService, lostReadiness };
}

export interface HoldOffOptions extends Partial<HoldOffSettings> {
  /** Compiles and publishes. 'endpoints': with the routes as they were last. Never called while it is running. */
  readonly run: (what: SourceEvent) => void | Promise<void>;
  /** Told of every throw or rejection of `run`, which is tried again. */
  readonly onFailure: (cause: unknown, retryInMs: number) => void;
  readonly now?: () => number;
  /** Calls back after a delay; 0 means in the next turn of the event loop. Returns what cancels it. */
  readonly after?: (delayMs: number, callback: () => void) => () => void;
}

/** The loop that does what `holdOff` decides. */
export class HoldOff {
  readonly #options: Required<HoldOffOptions>;
  #state = AT_REST;
  #armed: { readonly at: number; readonly cancel: () => void } | null = null;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: HoldOffOptions) {
    this.#options = { ...HOLD_OFF, now: monotonic, after: later, ...options };
  }

  /** Something changed. Never runs anything itself: that happens in a later turn of the event loop. */
  dirty(event: SourceEvent): void {
    this.#step(event);
  }

  /** Starts nothing more, and resolves when what is running has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#armed?.cancel();
    await this.#running;
  }

  #step(event: HoldOffEvent): void {
    this.#state = holdOff(this.#state, event, this.#options.now(), this.#options);
    this.#arm();
  }

  #arm(): void {
    const { now, after } = this.#options;
    const next = this.#stopped ? null : nextRun(this.#state, now());
    // A timer that fires earlier arms the next one itself, so that a flood of events cannot put it off for ever.
    if (!next || (this.#armed && this.#armed.at <= next.at)) return;
    this.#armed?.cancel();
    this.#armed = { at: next.at, cancel: after(Math.max(0, next.at - now()), () => this.#begin()) };
  }

  #begin(): void {
    const { now } = this.#options;
    this.#armed = null;
    const next = nextRun(this.#state, now());
    if (!next || this.#stopped) return;
    if (next.at > now()) return this.#arm();
    this.#step('start');
    if (this.#state.running) this.#running = this.#run(this.#state.running);
  }

  async #run(what: SourceEvent): Promise<void> {
    const { run, onFailure, now } = this.#options;
    try {
      await run(what);
      this.#step('success');
    } catch (cause) {
      this.#step('failure');
      onFailure(cause, this.#state.notBefore - now());
    }
  }
}

const monotonic = () => performance.now();

function later(delayMs: number, callback: () => void): () => void {
  if (delayMs > 0) {
    const timer = setTimeout(callback, Math.ceil(delayMs));
    return () => clearTimeout(timer);
  }
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}
