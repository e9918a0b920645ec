/**
 * `npm run bench:gateway`: what Gateways cost as they grow. For each number of HTTPRoutes on one Gateway: compiling them
 * from scratch, and one route that changes, with what is sent to a data-plane thread; the same for ListenerSets. Then
 * what deciding costs for a route with two weighted backends and a header match, against the route of an Ingress.
 * BENCH_SIZES chooses the numbers.
 */
import { serialize } from 'node:v8';
import { decide } from '../src/routing/decide.ts';
import { type CompileSettings, compile } from '../src/routing/compile/compile.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../src/model/snapshot.ts';
import { portKey } from '../src/routing/table.ts';
import { tableUpdate } from '../src/routing/table-update.ts';

const SIZES = (process.env['BENCH_SIZES'] ?? '100,1000,5000').split(',').map(Number);
const SETS = [100, 2_500];
const CHANGES = 300;
const SERVICES = 100;
const DECISIONS = 200_000;
const ROUNDS = 7;

const SETTINGS: CompileSettings = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  defaultBackend: null,
  allowLoopback: false,
  gatewayController: 'portico.dev/gateway-controller',
  ownPorts: [80, 443],
  ingressPorts: { http: 80, https: 443 },
  now: 0,
};

function object(kind: string, name: string, rest: object): ObjectChange {
  const metadata = { namespace: 'shop', name, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  return { kind, key: `shop/${name}`, object: { metadata, ...rest } } as unknown as ObjectChange;
}

const GROUND: readonly ObjectChange[] = [
  object('GatewayClass', 'portico', { spec: { controllerName: SETTINGS.gatewayController } }),
  object('IngressClass', 'portico', { spec: { controller: SETTINGS.controllerName } }),
  object('Gateway', 'main', {
    spec: {
      gatewayClassName: 'portico',
      allowedListeners: { namespaces: { from: 'Same' } },
      listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
    },
  }),
  ...Array.from({ length: SERVICES }, (_, n) =>
    object('Service', `app-${n}`, { spec: { ports: [{ port: 80 }] } }),
  ),
].map((each) => (each.kind.endsWith('Class') ? { ...each, key: 'portico' } : each)) as ObjectChange[];

/** Each version asks for another value of a header. */
function route(n: number, version = 0): ObjectChange {
  const backendRefs = [0, 1].map((next) => ({
    name: `app-${(n + next) % SERVICES}`,
    port: 80,
    weight: 1 + next,
  }));
  const matches = [{ path: { value: '/' }, headers: [{ name: 'x-version', value: `${version}` }] }];
  const set = [{ name: 'x-route', value: `${n}` }];
  const filters = [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set } }];
  return object('HTTPRoute', `app-${n}`, {
    spec: {
      parentRefs: [{ name: 'main' }],
      hostnames: [`app-${n}.example.com`],
      rules: [{ matches, filters, backendRefs }],
    },
  });
}

function listenerSet(n: number, version = 0): ObjectChange {
  const listeners = [
    { name: 'http', port: 80, protocol: 'HTTP', hostname: `set-${n}-${version}.example.com` },
  ];
  return object('ListenerSet', `set-${n}`, { spec: { parentRef: { name: 'main' }, listeners } });
}

/** Milliseconds: from scratch, and the median and 99th percentile of a change. */
function costs(
  count: number,
  changes: number,
  make: (n: number, version?: number) => ObjectChange,
): readonly number[] {
  let snapshot = snapshotOf([...GROUND, ...Array.from({ length: count }, (_, n) => make(n))]);
  const begun = performance.now();
  let last = compile(snapshot, SETTINGS);
  const scratch = performance.now() - begun;
  const times: number[] = [];
  for (let n = 0; n < changes; n++) {
    snapshot = applyChanges(snapshot, [make(n % count, n + 1)]);
    const start = performance.now();
    const next = compile(snapshot, SETTINGS, last);
    serialize(tableUpdate(last.table, next.table));
    times.push(performance.now() - start);
    last = next;
  }
  times.sort((a, b) => a - b);
  return [scratch, times[Math.floor(changes / 2)] ?? 0, times[Math.floor(changes * 0.99)] ?? 0];
}

/** Nanoseconds for a decision: the median of rounds that take turns. */
function decisions(): readonly [ingress: number, route: number] {
  const backend = { service: { name: 'app-0', port: { number: 80 } } };
  const ingress = object('Ingress', 'plain', {
    spec: {
      ingressClassName: 'portico',
      rules: [{ host: 'plain.example.com', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
    },
  });
  const endpoints = [{ addresses: ['192.0.2.9'], conditions: { ready: true } }];
  const slices = [0, 1].map((n) => {
    const slice = object('EndpointSlice', `app-${n}`, {
      addressType: 'IPv4',
      ports: [{ port: 8080 }],
      endpoints,
    });
    const { metadata } = slice.object as unknown as { metadata: object };
    const labels = { 'kubernetes.io/service-name': `app-${n}` };
    return { ...slice, object: { ...slice.object, metadata: { ...metadata, labels } } } as ObjectChange;
  });
  const { table } = compile(snapshotOf([...GROUND, ingress, route(0), ...slices]), SETTINGS);
  const connectionInfo = { tls: false, portKey: portKey('', 80) };
  const value = (name: string): string | undefined => (name === 'x-version' ? '0' : undefined);
  const asked = ['plain.example.com', 'app-0.example.com'].map((host) => {
    return { method: 'GET', target: '/', host, connectionInfo, value, random: 0.5 };
  });
  const rounds = asked.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, request] of asked.entries()) {
      const start = performance.now();
      for (let n = 0; n < DECISIONS; n++) {
        if (decide(table, request).kind !== 'forward') throw new Error(`${request.host} is not served`);
      }
      rounds[index]?.push(((performance.now() - start) / DECISIONS) * 1e6);
    }
  }
  const median = (times: number[] = []): number => times.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
  return [median(rounds[0]), median(rounds[1])];
}

const row = (cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`);
row(['objects', 'from scratch', 'a change, median', 'p99']);
row(['---', '---:', '---:', '---:']);
for (const size of SIZES)
  row([`${size} HTTPRoutes`, ...costs(size, CHANGES, route).map((ms) => `${ms.toFixed(2)} ms`)]);
for (const size of SETS) {
  row([`${size} ListenerSets`, ...costs(size, 20, listenerSet).map((ms) => `${ms.toFixed(2)} ms`)]);
}
const [ofIngress, ofRoute] = decisions();
console.log(
  `\nA decision: ${ofIngress.toFixed(0)} ns by an Ingress, ${ofRoute.toFixed(0)} ns by a route with two weighted backends and a header match.`,
);
