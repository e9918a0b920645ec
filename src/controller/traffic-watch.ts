import type { LiveFigures } from '../admin/api/api.ts';
import { runInSlices } from '../admin/slices.ts';
import type { TrafficTable } from '../proxy/live-traffic.ts';
import { TrafficSum } from './traffic-sum.ts';

/** How often threads are asked, and how many of these times the figures are of. */
const TICK_MS = 2_000;
const FIRST_TICK_MS = 500;
const TICKS = 5;
/** How long it goes on without anybody who asks. */
const WATCHED_MS = 10_000;

/** What all threads counted between two times. */
interface Tick {
  readonly seconds: number;
  readonly tables: readonly TrafficTable[];
}

/** Of the ticks that are kept. */
interface Window {
  readonly ticks: Tick[];
  readonly routes: TrafficSum;
  readonly backends: TrafficSum;
  takenAt: number;
}

/**
 * The rates and latencies of the last ten seconds, gathered from the threads every two seconds while somebody asks for
 * them, and not at all otherwise.
 */
export class TrafficWatch {
  readonly #take: () => Promise<readonly TrafficTable[]>;
  #window: Window | null = null;
  #timer: NodeJS.Timeout | null = null;
  #wantedAt = 0;

  /** `take` asks all threads for what they counted since the last time. */
  constructor(take: () => Promise<readonly TrafficTable[]>) {
    this.#take = take;
  }

  /** The newest figures, and null while the first ones are gathered. */
  figures(): LiveFigures | null {
    this.#wantedAt = performance.now();
    if (this.#timer === null) this.#schedule(0);
    const window = this.#window;
    if (window === null || window.ticks.length === 0) return null;
    const { routes, backends } = window;
    return { seconds: secondsOf(window), total: routes.total(), routes, backends };
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#window = null;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => void this.#tick().catch(() => this.stop()), delayMs).unref();
  }

  async #tick(): Promise<void> {
    if (performance.now() - this.#wantedAt > WATCHED_MS) return this.stop();
    const at = performance.now();
    const tables = await this.#take();
    const window = this.#window;
    if (window === null) {
      // The first time only begins the counting.
      this.#window = { ticks: [], routes: new TrafficSum(), backends: new TrafficSum(), takenAt: at };
    } else {
      const tick = { seconds: (at - window.takenAt) / 1000, tables };
      await runInSlices(advance(window, tick));
      window.takenAt = at;
    }
    if (this.#timer) this.#schedule(window === null ? FIRST_TICK_MS : TICK_MS);
  }
}

/** Adds a tick, and takes away the one that is too old. */
function* advance(window: Window, tick: Tick): Generator<void> {
  yield* change(window, tick, 1);
  window.ticks.push(tick);
  const oldest = window.ticks.length > TICKS ? window.ticks.shift() : undefined;
  if (oldest) yield* change(window, oldest, -1);
  for (const sum of [window.routes, window.backends]) sum.lasted(secondsOf(window));
}

function* change({ routes, backends }: Window, { tables }: Tick, sign: 1 | -1): Generator<void> {
  for (const table of tables) {
    yield* routes.change(table.routes, sign);
    yield* backends.change(table.backends, sign);
  }
}

function secondsOf({ ticks }: Window): number {
  return ticks.reduce((sum, { seconds }) => sum + seconds, 0);
}
