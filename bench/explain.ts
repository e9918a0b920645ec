/**
 * How long `explain` holds the control thread where so many Ingresses share one host: `npm run bench:explain`. The work of
 * the admin API yields between its steps, so the longest step is what a change or a health check waits for. CPU time of the
 * thread, its garbage collection included.
 */
import { compile } from '../src/routing/compile/compile.ts';
import { type ExplainUrlOptions, explainFully } from '../src/routing/explain-url.ts';
import { type ObjectChange, snapshotOf } from '../src/model/snapshot.ts';
import type { CompileSettings } from '../src/routing/settings.ts';

const INGRESSES = Number(process.env['BENCH_INGRESSES'] ?? 50_000);
const ROUNDS = 5;
const CONTROLLER = 'portico.dev/ingress-controller';
const SETTINGS: CompileSettings = {
  ingressClass: 'portico',
  controllerName: CONTROLLER,
  watchIngressWithoutClass: false,
  defaultBackend: null,
  allowLoopback: false,
  now: 0,
};
const OPTIONS: ExplainUrlOptions = {
  redirect: null,
  health: null,
  problems: () => [],
  locate: () => null,
  hidesValues: true,
};

interface Shape {
  readonly title: string;
  readonly path: (index: number) => string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly settings?: Partial<CompileSettings>;
}

const SHAPES: readonly Shape[] = [
  { title: 'one host, a path each', path: (index) => `/a/${index}` },
  { title: 'one host and path', path: () => '/a' },
  { title: 'one host and path, owned', path: () => '/a', settings: { hostOwnership: 'namespace' } },
  {
    title: 'one host, an expression each',
    path: (index) => `/a(/x${index})?`,
    annotations: { 'portico.dev/path-regex': 'true' },
  },
];

/** Of all ages, in no order: what is sorted would be sorted already otherwise. */
function ingress(index: number, { path, annotations = {} }: Shape): ObjectChange {
  const namespace = `team-${index % 100}`;
  const name = `web-${index}`;
  const creationTimestamp = new Date(1_700_000_000_000 + ((index * 7_919) % 100_003) * 1_000).toISOString();
  const backend = { service: { name: 'web', port: { number: 80 } } };
  const http = {
    paths: [
      {
        path: path(index),
        pathType: annotations['portico.dev/path-regex'] ? 'ImplementationSpecific' : 'Prefix',
        backend,
      },
    ],
  };
  const spec = {
    ingressClassName: 'portico',
    defaultBackend: backend,
    rules: [{ host: 'shop.example.com', http }],
  };
  const object = { metadata: { namespace, name, creationTimestamp, annotations }, spec };
  return { kind: 'Ingress', key: `${namespace}/${name}`, object } as unknown as ObjectChange;
}

console.log(`${INGRESSES} Ingresses share a host; the longest step of ${ROUNDS} rounds each`);
for (const shape of SHAPES) {
  const ours = { kind: 'IngressClass', key: 'portico', object: { spec: { controller: CONTROLLER } } };
  const objects = Array.from({ length: INGRESSES }, (_, index) => ingress(index, shape));
  const snapshot = snapshotOf([ours as ObjectChange, ...objects]);
  const compilation = compile(snapshot, { ...SETTINGS, ...shape.settings });
  globalThis.gc?.();
  let [longest, all, steps, named] = [0, 0, 0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const request = { scheme: 'http', host: 'shop.example.com', path: '/a/1' } as const;
    const work = explainFully(compilation, request, OPTIONS);
    for (let last = null; last?.done !== true; steps++) {
      const before = process.threadCpuUsage();
      last = work.next();
      const { user, system } = process.threadCpuUsage(before);
      const took = (user + system) / 1_000;
      longest = Math.max(longest, took);
      all += took;
      if (last.done) named = last.value.otherRules.length;
    }
  }
  console.log(
    `${shape.title}: ${longest.toFixed(1)} ms of ${(all / ROUNDS).toFixed(0)} ms in ${steps / ROUNDS} steps; ${named} other rules named`,
  );
}
