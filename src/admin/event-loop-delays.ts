import { createHistogram, performance } from 'node:perf_hooks';
import { type Family, gauge } from './families.ts';

/** The gauges, which have the names and the help of prom-client. */
export const DELAY_GAUGES = {
  nodejs_eventloop_lag_min_seconds: 'The minimum recorded event loop delay.',
  nodejs_eventloop_lag_max_seconds: 'The maximum recorded event loop delay.',
  nodejs_eventloop_lag_mean_seconds: 'The mean of the recorded event loop delays.',
  nodejs_eventloop_lag_stddev_seconds: 'The standard deviation of the recorded event loop delays.',
  nodejs_eventloop_lag_p50_seconds: 'The 50th percentile of the recorded event loop delays.',
  nodejs_eventloop_lag_p90_seconds: 'The 90th percentile of the recorded event loop delays.',
  nodejs_eventloop_lag_p99_seconds: 'The 99th percentile of the recorded event loop delays.',
} as const;

/**
 * How long each turn of the event loop kept waiting what came meanwhile. Every turn is recorded, so no block is missed, and
 * no timer wakes a thread that rests: an immediate without a reference runs only when the loop has something else to do.
 */
export class EventLoopDelays {
  /** In nanoseconds. */
  readonly #delays = createHistogram();
  #at = performance.now();
  /** How long the loop has waited for something to do, since the start of the thread. */
  #idleMs = performance.eventLoopUtilization().idle;

  constructor() {
    this.#watch();
  }

  /** The delays since the last call. */
  families(): readonly Family[] {
    this.#record();
    const delays = this.#delays;
    const values: Record<keyof typeof DELAY_GAUGES, number> = {
      nodejs_eventloop_lag_min_seconds: delays.min,
      nodejs_eventloop_lag_max_seconds: delays.max,
      nodejs_eventloop_lag_mean_seconds: delays.mean,
      nodejs_eventloop_lag_stddev_seconds: delays.stddev,
      nodejs_eventloop_lag_p50_seconds: delays.percentile(50),
      nodejs_eventloop_lag_p90_seconds: delays.percentile(90),
      nodejs_eventloop_lag_p99_seconds: delays.percentile(99),
    };
    delays.reset();
    return Object.entries(DELAY_GAUGES).map(([name, help]) =>
      gauge(name, help, values[name as keyof typeof DELAY_GAUGES] / 1e9),
    );
  }

  readonly #watch = (): void => {
    this.#record();
    setImmediate(this.#watch).unref();
  };

  #record(): void {
    const now = performance.now();
    const { idle } = performance.eventLoopUtilization();
    const busyMs = now - this.#at - (idle - this.#idleMs);
    this.#at = now;
    this.#idleMs = idle;
    this.#delays.record(Math.max(1, Math.round(busyMs * 1e6)));
  }
}
