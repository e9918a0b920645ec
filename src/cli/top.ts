import { setTimeout as delay } from 'node:timers/promises';
import type { Overview, Rates, ThreadRow, Traffic } from '../admin/api/answers.ts';
import type { AdminClient } from './admin-client.ts';
import { EXIT } from '../config/exit-codes.ts';
import { plural } from '../model/plural.ts';
import { TOP_ORDERS, type TopOrder } from './top-orders.ts';
import { textColumns } from './text-columns.ts';

export interface TopOptions {
  readonly order: TopOrder;
  readonly of: 'routes' | 'backends';
  /** Print one snapshot and end. */
  readonly once: boolean;
  readonly json: boolean;
}

/** What one screen shows. */
interface Frame {
  readonly overview: Overview;
  readonly traffic: Traffic;
  readonly threads: readonly ThreadRow[];
}

const REDRAW_MS = 2_000;
/** Figures are there when requests were counted for a moment. */
const FIRST_FIGURES_MS = 8_000;
/** Rows of one snapshot; on a terminal as many as there is room for. */
const ROWS = 40;

/** `portico top`: the busiest routes or backends of a running Portico, again and again until `q` or Ctrl-C. */
export async function runTop(
  client: AdminClient,
  options: TopOptions,
  write: (text: string) => void,
): Promise<number> {
  const { stdin, stdout } = process;
  if (options.json || options.once || !stdout.isTTY || !stdin.isTTY) {
    const frame = await withFigures(client);
    write(
      options.json ? `${JSON.stringify(frame, null, 2)}\n` : `${linesOf(frame, options, ROWS).join('\n')}\n`,
    );
    return EXIT.ok;
  }
  let shown = options;
  let frame: Frame | null = null;
  const stop = new AbortController();
  const draw = (): void => {
    // A terminal that nobody has told its size, as within `docker exec` or `script`, says 0.
    const [rows, columns] = [(stdout.rows || USUAL_ROWS) - 1, stdout.columns || USUAL_COLUMNS];
    const lines = frame === null ? ['waiting for the first figures…'] : linesOf(frame, shown, rows);
    const fitting = lines.slice(0, rows).map((line) => line.slice(0, columns));
    write(`${HOME}${fitting.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`);
  };
  const onKey = (key: string): void => {
    if (key === 'q' || key === CTRL_C) stop.abort();
    const order = TOP_ORDERS.find((name) => name.startsWith(key));
    if (order) shown = { ...shown, order };
    if (key === '\t' || key === 'b') shown = { ...shown, of: shown.of === 'routes' ? 'backends' : 'routes' };
    draw();
  };
  write(ENTER_SCREEN);
  stdin.setRawMode(true).setEncoding('utf8').on('data', onKey).resume();
  stdout.on('resize', draw);
  const onSignal = (): void => stop.abort();
  process.on('SIGTERM', onSignal);
  try {
    while (!stop.signal.aborted) {
      frame = await frameOf(client, stop.signal);
      draw();
      await delay(frame.traffic.seconds === 0 ? 500 : REDRAW_MS, null, { signal: stop.signal }).catch(
        () => {},
      );
    }
    return EXIT.ok;
  } catch (error) {
    if (stop.signal.aborted) return EXIT.ok;
    throw error;
  } finally {
    process.off('SIGTERM', onSignal);
    stdout.off('resize', draw);
    stdin.off('data', onKey).setRawMode(false).pause();
    write(LEAVE_SCREEN);
  }
}

const USUAL_ROWS = 24;
const USUAL_COLUMNS = 80;
const CTRL_C = '\u0003';
const ENTER_SCREEN = '\u001b[?1049h\u001b[?25l';
const LEAVE_SCREEN = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

async function frameOf(client: AdminClient, signal?: AbortSignal): Promise<Frame> {
  const traffic = await client.get<Traffic>('traffic', signal);
  const overview = await client.get<Overview>('overview', signal);
  const { items: threads } = await client.get<{ items: readonly ThreadRow[] }>('threads', signal);
  return { overview, traffic, threads };
}

async function withFigures(client: AdminClient): Promise<Frame> {
  const giveUpAt = performance.now() + FIRST_FIGURES_MS;
  for (;;) {
    const frame = await frameOf(client);
    if (frame.traffic.seconds > 0 || performance.now() > giveUpAt) return frame;
    await delay(200);
  }
}

function linesOf(
  { overview, traffic, threads }: Frame,
  { order, of }: TopOptions,
  rows: number,
): readonly string[] {
  const { version, pod, generation, routes, problems } = overview;
  const place = pod === '' ? '' : `  ${pod}`;
  const total = traffic.total;
  const sum = (figure: (thread: ThreadRow) => number | null): number =>
    threads.reduce((sum, thread) => sum + (figure(thread) ?? 0), 0);
  const busy = threads.map(({ utilization }) =>
    utilization === null ? '?' : `${Math.round(utilization * 100)}`,
  );
  const head = [
    `Portico ${version}${place}  generation ${generation}  ${plural(routes, 'route')}  ${plural(problems.error, 'error')}, ${plural(problems.warning, 'warning')}`,
    total === null ? 'no figures yet' : totalText(total),
    `threads ${busy.join('/')} % busy  ${Math.round(sum((each) => each.memoryBytes) / 2 ** 20)} MiB  in flight ${sum((each) => each.inFlight)}  connections ${sum((each) => each.clientConnections)} in, ${sum((each) => each.upstreamConnections)} out`,
    '',
  ];
  const named: readonly (readonly [string, Rates])[] =
    of === 'routes'
      ? traffic.routes.map((each) => [routeText(each), each])
      : traffic.backends.map((each) => [each.key, each]);
  const sorted = named.toSorted(([, a], [, b]) => figureOf(b, order) - figureOf(a, order));
  const table = textColumns(
    ['REQ/S', '4XX/S', '5XX/S', 'P50 MS', 'P99 MS', 'KIB/S', of === 'routes' ? 'ROUTE' : 'BACKEND'],
    sorted
      .slice(0, Math.max(rows - head.length - 1, 0))
      .map(([name, rates]) => [
        fixed(rates.requestsPerSecond),
        fixed(rates.clientErrorsPerSecond),
        fixed(rates.serverErrorsPerSecond),
        fixed(rates.p50Ms ?? 0),
        fixed(rates.p99Ms ?? 0),
        fixed(rates.bytesPerSecond / 1024),
        name,
      ]),
  );
  return [...head, ...table];
}

/** `Ingress shop/web /cart (spec.rules[0].http.paths[1])` */
function routeText({ id, path }: Traffic['routes'][number]): string {
  if (id === '') return '(no route)';
  const [kind = '', namespace, name, ...field] = id.split('/');
  return name === undefined ? id : `${kind} ${namespace}/${name} ${path} (${field.join('/')})`;
}

function totalText(total: Rates): string {
  const latency = total.p50Ms === null ? '' : `  p50 ${total.p50Ms} ms  p99 ${total.p99Ms} ms`;
  const errors = `4xx ${fixed(total.clientErrorsPerSecond)}/s  5xx ${fixed(total.serverErrorsPerSecond)}/s`;
  return `${fixed(total.requestsPerSecond)} requests/s  ${errors}${latency}`;
}

function figureOf(rates: Rates, order: TopOrder): number {
  switch (order) {
    case 'requests':
      return rates.requestsPerSecond;
    case 'errors':
      return rates.serverErrorsPerSecond;
    case 'latency':
      return rates.p99Ms ?? 0;
  }
}

function fixed(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
