import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { estimateOf, verdictOf } from './estimate.ts';
import { type LaneRequest, type Lanes, http1Lanes, http2Lanes } from './lanes.ts';
import { cpuMs } from './process-figures.ts';
import { medianOf } from './spread.ts';
import { createPod } from './pod.ts';
import { type Running, file, pinSelf, porticoCommand, start } from './subjects.ts';

/**
 * `npm run bench:tracing`: how much more CPU a request takes that is traced. One process serves two hosts, one of them traced:
 * they take turns of a few milliseconds, so that what else the machine does meets both alike. Turns go on until it is
 * decided whether the aim is met, at most for `BENCH_SECONDS`. Clients and the Pod are in this process, which never sleeps.
 */
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 150);
const AIM_PERCENT = 2;
const WINDOW_MS = 25;
/** Fewer say nothing. */
const LEAST_TURNS = 60;
/** Rows without an aim take part in one round of so many. */
const OTHERS_EVERY = 4;
const CONTINUOUS_MS = 5_000;
/** A thread records 500 requests a second because clients say so, and V8 has compiled what they run after ten thousand. */
const RARE_MS = 25_000;
const UPSTREAM_PORT = 18_081;
const COLLECTOR_PORT = 18_082;
const COLLECTOR = {
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${COLLECTOR_PORT}`,
  OTEL_BSP_SCHEDULE_DELAY: '1000',
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
};
/** Until the last spans of a load are with the collector. */
const SENT_MS = 3_000;
const TRACED: LaneRequest = { host: 'traced.test', fields: {} };
// A name of the same length, so that nothing else differs.
const NOT_TRACED: LaneRequest = { host: 'silent.test', fields: {} };
const traceparent = (flags: string): Readonly<Record<string, string>> => ({
  traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-${flags}`,
});

/** A host that is traced in turns with one that is not. */
interface Row {
  readonly name: string;
  readonly hasAim: boolean;
  readonly pid: number;
  readonly lanes: Lanes;
  /** Of every request. */
  readonly fields: Readonly<Record<string, string>>;
  /** CPU of each turn, traced over not traced. */
  readonly ratios: number[];
  /** µs for each request that is not traced. */
  readonly untraced: number[];
}

async function main(): Promise<void> {
  pinSelf();
  let spans = 0;
  const collector = createServer((request, response) => {
    let body = '';
    request.setEncoding('latin1').on('data', (text: string) => (body += text));
    request.on('end', () => {
      spans += body.split('"spanId"').length - 1;
      response.end('{}');
    });
  });
  collector.listen(COLLECTOR_PORT, '127.0.0.1');
  const pod = createPod().listen(UPSTREAM_PORT, '127.0.0.1');
  await once(pod, 'listening');
  using _awake = stayAwake();
  const running: Running[] = [];
  const startPortico = async (env: Readonly<Record<string, string>>): Promise<[number, number]> => {
    const ports = { proxy: UPSTREAM_PORT + 10 + running.length, upstream: UPSTREAM_PORT };
    const command = (): readonly string[] => portico(ports.proxy, env);
    const each = await start({ name: 'portico', missing: () => null, command }, ports);
    running.push(each);
    return [each.pid, ports.proxy];
  };
  try {
    const [few, fewPort] = await startPortico({ ...COLLECTOR, OTEL_TRACES_SAMPLER_ARG: '0.01' });
    const [all, allPort] = await startPortico({ ...COLLECTOR, OTEL_TRACES_SAMPLER_ARG: '1' });
    const [off, offPort] = await startPortico({});
    const ofFew = { pid: few, lanes: await http1Lanes(fewPort, 32) };
    const ofFew2 = { pid: few, lanes: await http2Lanes(fewPort, 4, 8) };
    const ofAll = { pid: all, lanes: await http1Lanes(allPort, 32) };
    const ofOff = { pid: off, lanes: await http1Lanes(offPort, 32) };
    const rows: Row[] = [
      row('1 % recorded', true, ofFew),
      row('1 % recorded, HTTP/2', true, ofFew2),
      row('none: the client records none', false, ofFew, traceparent('00')),
      row('all recorded', false, ofAll),
      row('off: no collector', false, ofOff),
    ];
    for (const each of rows) await warmUp(each);
    const sendingUs = await sendingCost(ofFew.pid, ofFew.lanes);
    const endsAt = performance.now() + SECONDS * 1_000;
    for (let round = 0; performance.now() < endsAt; round++) {
      const turns = rows.filter(({ hasAim }) => hasAim || round % OTHERS_EVERY === 0);
      for (const each of turns) await takeTurn(each);
      if (round % OTHERS_EVERY === 0 && rows.every((each) => isDecided(each, sendingUs))) break;
    }
    report(rows, sendingUs);
    console.log(`${spans} spans reached the collector`);
    for (const { lanes } of rows) lanes.close();
  } finally {
    for (const each of running) await each.stop();
    collector.close();
    collector.closeAllConnections();
    pod.close();
  }
}

/**
 * Until it is disposed. Who sends to a process that sleeps pays for waking it up, and how often that happens depends on which of
 * both is faster: of what a traced request seemed to take more, that was 0.1 to 0.2 µs.
 */
function stayAwake(): Disposable {
  let isOver = false;
  const turn = (): void => {
    if (!isOver) setImmediate(turn);
  };
  turn();
  return { [Symbol.dispose]: () => void (isOver = true) };
}

function row(
  name: string,
  hasAim: boolean,
  subject: Pick<Row, 'pid' | 'lanes'>,
  fields: Row['fields'] = {},
): Row {
  return { name, hasAim, ...subject, fields, ratios: [], untraced: [] };
}

/** For just-in-time compilers, which compile what one request in a hundred does after some minutes: here it is done often. */
async function warmUp({ lanes, fields, hasAim }: Row): Promise<void> {
  if (hasAim) await lanes.run({ ...TRACED, fields: traceparent('01') }, RARE_MS);
  for (let i = 0; i < 4; i++) {
    await lanes.run({ ...TRACED, fields: traceparent('01') }, 250);
    await lanes.run({ ...TRACED, fields }, 250);
    await lanes.run({ ...NOT_TRACED, fields }, 250);
  }
}

/** One, the other, the other, the one: what changes evenly meanwhile meets both alike. */
async function takeTurn({ pid, lanes, fields, ratios, untraced }: Row): Promise<void> {
  const isTracedFirst = ratios.length % 2 === 0;
  const [one, other] = isTracedFirst ? [TRACED, NOT_TRACED] : [NOT_TRACED, TRACED];
  // The caches are those of another process.
  await lanes.run({ ...one, fields }, WINDOW_MS);
  const costs = { traced: [] as number[], untraced: [] as number[] };
  for (const request of [one, other, other, one]) {
    const before = cpuMs(pid);
    const count = await lanes.run({ ...request, fields }, WINDOW_MS);
    const us = ((cpuMs(pid) - before) * 1_000) / count;
    costs[request === TRACED ? 'traced' : 'untraced'].push(us);
  }
  ratios.push(sum(costs.traced) / sum(costs.untraced));
  untraced.push(...costs.untraced);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, each) => all + each, 0);
}

/**
 * What the control thread spends on each request that is traced: microseconds. Turns do not show it, since it sends spans a
 * while after the requests, so it is measured under steady load.
 */
async function sendingCost(pid: number, lanes: Lanes): Promise<number> {
  const cost = async (request: LaneRequest): Promise<number> => {
    const before = controlThreadUs(pid);
    const count = await lanes.run(request, CONTINUOUS_MS);
    await delay(SENT_MS);
    return (controlThreadUs(pid) - before) / count;
  };
  const untraced = await cost(NOT_TRACED);
  return Math.max(0, (await cost(TRACED)) - untraced);
}

function controlThreadUs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1_000;
}

/** How much more a traced request takes, in percent; sending is a part of the rows with an aim. */
function moreOf({ hasAim, ratios, untraced }: Row, sendingUs: number): ReturnType<typeof estimateOf> {
  const sending = hasAim ? sendingUs / medianOf(untraced) : 0;
  return estimateOf(ratios.map((ratio) => (ratio - 1 + sending) * 100));
}

function isDecided(row: Row, sendingUs: number): boolean {
  if (!row.hasAim) return true;
  if (row.ratios.length < LEAST_TURNS) return false;
  return verdictOf(moreOf(row, sendingUs), AIM_PERCENT) !== 'not decided';
}

function report(rows: readonly Row[], sendingUs: number): void {
  console.log('                                  not traced    traced takes more CPU, and its 95 % interval');
  for (const each of rows) {
    const more = moreOf(each, sendingUs);
    const { lower, median, upper } = more;
    const aim = each.hasAim ? `aim below ${AIM_PERCENT} %: ${verdictOf(more, AIM_PERCENT)}` : '';
    console.log(
      `${each.name.padEnd(34)}${medianOf(each.untraced).toFixed(1).padStart(7)} µs` +
        `${median.toFixed(1).padStart(9)} %  (${lower.toFixed(1)} to ${upper.toFixed(1)}, ${each.ratios.length} turns)  ${aim}`,
    );
  }
  console.log(`of the 1 %, to send spans takes ${sendingUs.toFixed(2)} µs for each request of all`);
}

function portico(port: number, env: Readonly<Record<string, string>>): readonly string[] {
  return [
    ...['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...porticoCommand()],
    ...['run', `--manifests=${file('tracing.yaml', manifests())}`, `--http-port=${port}`, '--h2c'],
    ...['--https-port=0', '--status-port=0', '--admin-address=off', '--bind-address=127.0.0.1'],
    ...['--workers=1', '--access-log=off', '--log-level=error', '--drain-timeout=1s'],
    // Or an HTTP/2 client is told to connect again in the middle of a turn.
    '--limit=requests-per-connection=10000000',
    // Connections wait while those of another row are warmed up.
    '--limit=client-head-timeout=10m',
  ];
}

function manifests(): string {
  const objects = [
    {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'portico' } },
      spec: { controller: 'portico.dev/ingress-controller' },
    },
    ingress('traced', 'true'),
    ingress('silent', 'false'),
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'pod', namespace: 'bench' } },
      spec: { ports: [{ port: 80, targetPort: UPSTREAM_PORT }] },
    },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: { name: 'pod-1', namespace: 'bench', labels: { 'kubernetes.io/service-name': 'pod' } },
      ...{ endpoints: [{ addresses: ['127.0.0.1'] }], ports: [{ port: UPSTREAM_PORT }] },
    },
  ];
  return objects.map((each) => stringify(each)).join('---\n');
}

/** Both hosts have the annotation, so that they differ in nothing but tracing. */
function ingress(name: string, tracing: string): object {
  const backend = { service: { name: 'pod', port: { number: 80 } } };
  const paths = [{ path: '/', pathType: 'Prefix', backend }];
  return {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
    metadata: { name, namespace: 'bench', annotations: { 'portico.dev/tracing': tracing } },
    spec: { ingressClassName: 'portico', rules: [{ host: `${name}.test`, http: { paths } }] },
  };
}

await main();
