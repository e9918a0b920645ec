import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { stringify } from 'yaml';
import { runLoad } from './load.ts';
import { cpuMs } from './process-figures.ts';
import {
  LOAD_CORE,
  type Ports,
  type Running,
  file,
  pinSelf,
  porticoCommand,
  start,
  stop,
} from './subjects.ts';

/**
 * `npm run bench:tracing`: CPU for each request without tracing, with 1 % of the requests recorded, and with all of them.
 * `BENCH_SECONDS` makes it short; `BENCH_BASELINE=dist-of-before/portico.js` measures another build, too.
 */

const PORTS = { proxy: 18_080, upstream: 18_081 };
const COLLECTOR_PORT = 18_082;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const ROUNDS = 24;
const BASELINE = process.env['BENCH_BASELINE'];

const COLLECTOR = {
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${COLLECTOR_PORT}`,
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
};

const VARIANTS: readonly { readonly name: string; readonly env: Readonly<Record<string, string>> }[] = [
  ...(BASELINE === undefined ? [] : [{ name: 'baseline', env: {} }]),
  { name: 'off', env: {} },
  { name: '0 %', env: { ...COLLECTOR, OTEL_TRACES_SAMPLER_ARG: '0' } },
  { name: '1 %', env: { ...COLLECTOR, OTEL_TRACES_SAMPLER_ARG: '0.01' } },
  { name: '100 %', env: { ...COLLECTOR, OTEL_TRACES_SAMPLER_ARG: '1' } },
];

const REQUEST = Buffer.from(
  'GET /small HTTP/1.1\r\nHost: app.test\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n',
);

interface Measured {
  readonly name: string;
  readonly port: number;
  readonly process: Running;
  /** CPU µs for each request, of each round. */
  readonly rounds: number[];
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
  const script = new URL('upstream.ts', import.meta.url).pathname;
  const upstream = spawn('taskset', ['-c', LOAD_CORE, process.execPath, script, `${PORTS.upstream}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(upstream.stdout, 'data');
  const running: Measured[] = [];
  try {
    for (const [index, { name, env }] of VARIANTS.entries()) {
      const ports = { ...PORTS, proxy: PORTS.proxy + 10 * (index + 1) };
      const command = (): readonly string[] =>
        portico(ports, env, name === 'baseline' ? BASELINE : undefined);
      const process = await start({ name, missing: () => null, command }, ports);
      running.push({ name, port: ports.proxy, process, rounds: [] });
    }
    // They take turns, so that what else the machine does meets all alike. The first is for just-in-time compilers.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const each of running) {
        const before = cpuMs(each.process.pid);
        const durationMs = (SECONDS * 1_000) / ROUNDS;
        const { requests } = await runLoad({
          port: each.port,
          request: REQUEST,
          connections: 64,
          durationMs,
        });
        if (round === 0) continue;
        each.rounds.push(((cpuMs(each.process.pid) - before) * 1_000) / requests);
      }
    }
    const off = running.find(({ name }) => name === 'off')?.rounds ?? [];
    console.log('traced    CPU µs/request    over off, in the same round; medians');
    for (const { name, rounds } of running) {
      const over = (median(rounds.map((each, round) => each / (off[round] ?? Number.NaN))) - 1) * 100;
      console.log(
        `${name.padEnd(10)}${median(rounds).toFixed(2).padStart(14)}${over.toFixed(1).padStart(10)} %`,
      );
    }
    console.log(`${spans} spans reached the collector`);
  } finally {
    for (const { process } of running) await process.stop();
    await stop(upstream);
    collector.close();
    collector.closeAllConnections();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function portico(
  { proxy, upstream }: Ports,
  env: Readonly<Record<string, string>>,
  script: string | undefined,
): readonly string[] {
  const command = porticoCommand();
  return [
    ...['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
    ...(script === undefined ? command : [...command.slice(0, -1), script]),
    ...['run', `--manifests=${file('tracing.yaml', manifests(upstream))}`, `--http-port=${proxy}`],
    ...['--https-port=0', '--status-port=0', '--admin-address=off', '--bind-address=127.0.0.1'],
    ...['--workers=1', '--access-log=off', '--log-level=error', '--drain-timeout=1s'],
  ];
}

function manifests(upstream: number): string {
  const backend = { service: { name: 'pod', port: { number: 80 } } };
  const paths = [{ path: '/', pathType: 'Prefix', backend }];
  const objects = [
    {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'portico' } },
      spec: { controller: 'portico.dev/ingress-controller' },
    },
    {
      ...{
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: { name: 'app', namespace: 'bench' },
      },
      spec: { ingressClassName: 'portico', rules: [{ host: 'app.test', http: { paths } }] },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'pod', namespace: 'bench' } },
      spec: { ports: [{ port: 80, targetPort: upstream }] },
    },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: { name: 'pod-1', namespace: 'bench', labels: { 'kubernetes.io/service-name': 'pod' } },
      ...{ endpoints: [{ addresses: ['127.0.0.1'] }], ports: [{ port: upstream }] },
    },
  ];
  return objects.map((each) => stringify(each)).join('---\n');
}

await main();
