/**
 * What matching and recompiling cost as the cluster grows: `npm run bench:routing`. Matching should barely grow
 * from 10 to 100,000 hosts, and one change should cost what it touches, not what the cluster holds.
 */
import { type Compilation, type CompileSettings, compile } from '../src/routing/compile/compile.ts';
import { match, normalizeHost, normalizePath } from '../src/routing/match.ts';
import type { ObjectChange } from '../src/model/snapshot.ts';
import { type Snapshot, applyChanges, snapshotOf } from '../src/model/snapshot.ts';
import { tableUpdate } from '../src/routing/table-update.ts';

const SETTINGS: CompileSettings = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  defaultBackend: null,
  allowLoopback: false,
  now: 0,
};
const ROUNDS = 300;

function ingress(n: number, path = '/api'): ObjectChange {
  const backend = { service: { name: `app-${n}`, port: { number: 80 } } };
  const paths = ['/', path, '/static/img'].map((path) => ({ path, pathType: 'Prefix', backend }));
  const host = n % 10 === 9 ? `*.team-${n}.example.com` : `app-${n}.example.com`;
  return change('Ingress', `app-${n}`, {
    spec: { ingressClassName: 'portico', rules: [{ host, http: { paths } }] },
  });
}

function service(n: number): ObjectChange {
  return change('Service', `app-${n}`, { spec: { ports: [{ name: 'http', port: 80 }] } });
}

function slice(n: number, ready = 3): ObjectChange {
  const endpoints = Array.from({ length: ready }, (_, i) => {
    return { addresses: [`10.${(n >> 8) & 255}.${n & 255}.${i + 1}`], conditions: { ready: true } };
  });
  const ports = [{ name: 'http', port: 8080 }];
  return change('EndpointSlice', `app-${n}-x`, { addressType: 'IPv4', ports, endpoints }, `app-${n}`);
}

/** Built as plain data and read as hostile data, so the types of the API are of no use here. */
function change(kind: string, name: string, rest: object, serviceName?: string): ObjectChange {
  const labels = serviceName === undefined ? {} : { 'kubernetes.io/service-name': serviceName };
  // Spread as in a cluster: what one namespace may have is limited.
  const namespace = `team-${Number(/\d+/.exec(name)?.[0]) % 100}`;
  const metadata = { namespace, name, labels, creationTimestamp: '2026-01-01T00:00:00Z' };
  return { kind, key: `${namespace}/${name}`, object: { metadata, ...rest } } as unknown as ObjectChange;
}

function cluster(size: number): Snapshot {
  const ourClass = {
    kind: 'IngressClass',
    key: 'portico',
    object: { spec: { controller: SETTINGS.controllerName } },
  };
  const changes: ObjectChange[] = [ourClass as ObjectChange];
  for (let n = 0; n < size; n++) changes.push(ingress(n), service(n), slice(n));
  return snapshotOf(changes);
}

interface Times {
  readonly median: number;
  readonly p99: number;
}

function times(samples: number[]): Times {
  samples.sort((a, b) => a - b);
  const at = (share: number): number => samples[Math.floor((samples.length - 1) * share)] ?? 0;
  return { median: at(0.5), p99: at(0.99) };
}

/** Nanoseconds for one request: both normalizations and the match. */
function matchCost(compilation: Compilation, size: number): Times {
  const requests = Array.from({ length: 1024 }, (_, i) => {
    const n = Math.floor((i * size) / 1024);
    const host = n % 10 === 9 ? `x.team-${n}.example.com` : `app-${n}.example.com`;
    return {
      host: i % 50 === 0 ? `unknown-${i}.org` : host,
      target: ['/', '/api/v1/orders', '/static/img/a.png'][i % 3] ?? '/',
    };
  });
  const samples: number[] = [];
  let found = 0;
  for (let round = 0; round < 200; round++) {
    const start = process.hrtime.bigint();
    for (const { host, target } of requests) {
      const route = match(compilation.table, normalizeHost(host) ?? '', normalizePath(target) ?? '/');
      if (route) found++;
    }
    samples.push(Number(process.hrtime.bigint() - start) / requests.length);
  }
  if (found === 0) throw new Error('nothing matched');
  // The first rounds belong to the compiler of the runtime.
  return times(samples.slice(50));
}

/** Milliseconds from a change to a new table and the update that threads get. */
function changeCost(
  from: Compilation,
  size: number,
  next: (round: number, n: number) => ObjectChange,
): Times {
  let before = from;
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const object = next(round, (round * 7919) % size);
    const start = performance.now();
    const after = compile(applyChanges(before.snapshot, [object]), SETTINGS, before);
    tableUpdate(before.table, after.table);
    samples.push(performance.now() - start);
    if (after.table === before.table) throw new Error('the change changed nothing');
    before = after;
  }
  return times(samples.slice(50));
}

function row(...cells: readonly string[]): void {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padStart(9) : cell.padStart(19))).join(' '));
}

function show({ median, p99 }: Times, digits: number, unit: string): string {
  return `${median.toFixed(digits)} / ${p99.toFixed(digits)} ${unit}`;
}

console.log('median / p99; a change is timed from the object to the table and the update for threads\n');
row('Ingresses', 'from scratch', 'match', 'endpoint change', 'Ingress change');
for (const size of [10, 100, 1_000, 10_000, 50_000, 100_000]) {
  const snapshot = cluster(size);
  const start = performance.now();
  const compilation = compile(snapshot, SETTINGS);
  const full = performance.now() - start;
  const endpoint = changeCost(compilation, size, (round, n) => slice(n, 4 + (round % 250)));
  const rule = changeCost(compilation, size, (round, n) => ingress(n, `/v${round}`));
  const matching = matchCost(compilation, size);
  row(
    String(size),
    `${full.toFixed(0)} ms`,
    show(matching, 0, 'ns'),
    show(endpoint, 2, 'ms'),
    show(rule, 2, 'ms'),
  );
}
