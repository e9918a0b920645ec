import { pino } from 'pino';
import { expect, it } from 'vitest';
import { createChangeLog } from '../src/controller/change-log.ts';
import { type Compilation, compile } from '../src/routing/compile/compile.ts';
import { explain } from '../src/routing/explanation.ts';
import { snapshotOf } from '../src/model/snapshot.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from './support/cases.ts';

interface Written {
  readonly name?: string;
  /** Empty for none. */
  readonly className?: string;
  readonly host?: string;
  readonly paths?: readonly string[];
  readonly service?: string;
}

function ingress({
  name = 'shop',
  className = 'portico',
  host = 'shop.test',
  paths = ['/'],
  service = 'web',
}: Written): string {
  const rules = paths.map((path) => {
    const backend = `{ service: { name: ${service}, port: { number: 80 } } }`;
    return `{ path: ${path}, pathType: Prefix, backend: ${backend} }`;
  });
  return `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name}, namespace: default }
spec:
  ${className && `ingressClassName: ${className}`}
  rules: [{ host: ${host}, http: { paths: [${rules.join(', ')}] } }]
`;
}

function slice(...addresses: readonly string[]): string {
  const endpoints = addresses.map((address) => `{ addresses: [${address}] }`).join(', ');
  return `---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: default, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: '', port: 80 }]
endpoints: [${endpoints}]
`;
}

const compiled = (text: string, previous?: Compilation): Compilation =>
  compile(snapshotOf(parseManifests(INGRESS_CLASS + text)), CASE_SETTINGS, previous);

/** What is said of each step, as `level message`. */
function saidOf(...steps: readonly string[]): readonly string[][] {
  const said: string[] = [];
  const logger = pino(
    { base: null },
    {
      write(line) {
        const { level, msg } = JSON.parse(line) as { level: number; msg: string };
        said.push(`${pino.levels.labels[level]} ${msg}`);
      },
    },
  );
  const log = createChangeLog({ logger, endpointLevel: 'info' });
  let previous: Compilation | null = null;
  return steps.map((text) => {
    const next = compiled(text, previous ?? undefined);
    log.compiled(previous, next);
    previous = next;
    return said.splice(0);
  });
}

it('says what was added, removed and changed, with the number of routes', () => {
  expect(
    saidOf(
      ingress({ paths: ['/', '/cart'] }),
      ingress({ paths: ['/', '/cart', '/new'] }),
      ingress({ paths: ['/', '/new'], service: 'other' }),
      ingress({ paths: ['/', '/new'], service: 'other' }),
      ingress({ paths: ['/'], host: '"*.shop.test"', service: 'other' }),
    ),
  ).toEqual([
    [],
    ['info 2 → 3 routes (+ shop.test /new)'],
    ['info 3 → 2 routes (~ shop.test /, ~ shop.test /new, - shop.test /cart)'],
    [],
    ['info 2 → 1 route (- shop.test /, - shop.test /new, + *.shop.test /)'],
  ]);
});

it('names three of many changes and counts the others', () => {
  const many = Array.from({ length: 100 }, (_, index) => `/p${index}`);
  const [, [line = ''] = []] = saidOf(ingress({}), ingress({ paths: ['/', ...many] }));
  expect(line).toMatch(/^info 1 → 101 routes \(\+ shop\.test \/p\d+, .*, and 97 more\)$/);
});

it('says how many endpoints a backend has now', () => {
  const [, added, removed] = saidOf(
    ingress({}) + slice('10.0.0.1'),
    ingress({}) + slice('10.0.0.1', '10.0.0.2'),
    ingress({}) + slice('10.0.0.2'),
  );
  expect(added).toEqual(['info 1 → 2 endpoints of default/web:80']);
  expect(removed).toEqual(['info 2 → 1 endpoint of default/web:80']);
});

it('says what is left out by its class: at first, when a class is new, and when an Ingress loses ours', () => {
  const others = ['a', 'b'].map((name) => ingress({ name, className: 'nginx' })).join('');
  const [first, same, without, fromOurs] = saidOf(
    others,
    others + ingress({ name: 'c', className: 'nginx' }) + ingress({}),
    others + ingress({ name: 'd', className: '' }) + ingress({}),
    others + ingress({ className: 'nginx' }),
  );
  expect(first).toEqual(['warn not served: 2 Ingresses of class "nginx"; portico check lists them']);
  expect(same).toEqual(['info 0 → 1 route (+ shop.test /)']);
  expect(without).toEqual(['info not served: Ingress default/d without a class']);
  expect(fromOurs).toEqual([
    'info 1 → 0 routes (- shop.test /)',
    'info not served: Ingress default/shop of class "nginx"',
  ]);
});

it('explain names the Ingress that has the host and is not served, and why', () => {
  const missing = ingress({ name: 'b', className: 'portico', host: 'b.test' });
  const text = ingress({ className: 'nginx' }) + ingress({ name: 'a', className: '', host: '"*.test"' });
  const of = (compilation: Compilation, host: string) =>
    explain(compilation, { scheme: 'http', host, path: '/' }).notServed;
  expect(of(compiled(text), 'shop.test')).toEqual([
    { ingress: 'default/shop', because: 'it is of class "nginx", and Portico serves class "portico"' },
    { ingress: 'default/a', because: 'it is without a class, and Portico serves class "portico"' },
  ]);
  expect(of(compiled(ingress({})), 'shop.test')).toEqual([]);
  const canary = ingress({ name: 'canary' }).replace(
    'namespace: default',
    'namespace: default, annotations: { portico.dev/canary: "true", portico.dev/canary-weight: "10" }',
  );
  expect(of(compiled(ingress({}) + canary), 'shop.test')).toEqual([]);
  const classless = compile(snapshotOf(parseManifests(missing)), CASE_SETTINGS);
  expect(of(classless, 'b.test')).toEqual([
    { ingress: 'default/b', because: expect.stringContaining('There is no IngressClass "portico"') },
  ]);
});
