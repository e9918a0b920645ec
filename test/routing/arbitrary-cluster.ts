import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import type { ObjectChange } from '../../src/model/snapshot.ts';
import { CASES } from '../support/cases.ts';

/** Two `ca.crt`, of a golden case. */
const AUTHORITIES = [
  ...readFileSync(`${CASES}client-certificate.in.yaml`, 'utf8').matchAll(/ca\.crt: (\S+)/g),
].map(([, authority = '']) => ({ 'ca.crt': authority }));

/** Small pools, so that random clusters are full of conflicts, missing things and near misses. */
export const HOSTS = ['a.foo.com', 'b.foo.com', '*.foo.com', '*.com', 'foo.com', 'x.a.foo.com', undefined];
export const PATHS = [
  '/',
  '/foo',
  '/foo/',
  '/foo/bar',
  '/foo/bar/',
  '/foobar',
  '/fo',
  '/a%20b',
  '/%66oo',
  '/b/c/d',
];
export const GLOBS = [
  'p-*.foo.com',
  '*.foo.com',
  '?.foo.com',
  '**.foo.com',
  '[a-b].foo.com',
  '{a,p-1}.x.foo.com',
  'x*.foo.com',
  'x.**.foo.com',
];
const NAMESPACES = ['ns1', 'ns2'];
const AGES = [undefined, '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', '2026-02-01T00:00:00+01:00'];

export const requestHost: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    'a.foo.com',
    'B.foo.com:80',
    'c.foo.com.',
    'foo.com',
    'com',
    'x.a.foo.com',
    'p-1.foo.com',
    'p-1.x.foo.com',
    '[::1]',
  ),
  fc.stringMatching(/^[abpx1-]{1,3}(\.[abx]{1,2})?\.foo\.com$/),
);

export const requestPath: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...PATHS),
    fc.constantFrom('', '/', '/x', 'x', '?q=/foo', '/../foo', '//', '/./', '%2F'),
  )
  .map(([path, rest]) => path + rest);

const backend = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      service: fc.record({
        name: fc.constantFrom('s1', 's2', 'gone'),
        port: fc.constantFrom({ number: 80 }, { name: 'http' }, { number: 81 }),
      }),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ resource: { kind: 'Bucket', name: 'b' } }, {}) },
);

const rule = fc.record({
  host: fc.constantFrom(...HOSTS),
  http: fc.record({
    paths: fc.array(
      fc.record({
        path: fc.constantFrom(...PATHS),
        pathType: fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific'),
        backend,
      }),
      { maxLength: 4 },
    ),
  }),
});

const annotations = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  {
    weight: 3,
    arbitrary: fc
      .subarray(GLOBS, { maxLength: 3 })
      .map((globs) => ({ 'portico.dev/host-globs': globs.join(',') })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { 'portico.dev/balance': 'ewma' },
      { 'nginx.ingress.kubernetes.io/auth-url': 'x' },
      { 'portico.dev/typo': 'x' },
      { 'portico.dev/client-ca-secret': 't1' },
      { 'portico.dev/client-ca-secret': 't2', 'portico.dev/client-certificate': 'optional' },
      { 'nginx.ingress.kubernetes.io/auth-tls-secret': 'ns1/t1' },
      { 'portico.dev/canary': 'true', 'portico.dev/canary-weight': '30' },
      { 'portico.dev/canary': 'true', 'portico.dev/host-globs': '*.foo.com' },
    ),
  },
);

const ingress = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('i1', 'i2', 'i3'),
    creationTimestamp: fc.constantFrom(...AGES),
    annotations,
    ingressClassName: fc.constantFrom('portico', 'portico', 'portico', 'other', undefined),
    rules: fc.array(rule, { maxLength: 3 }),
    defaultBackend: fc.oneof(fc.constant(undefined), backend),
    tls: fc.constantFrom(
      undefined,
      [{ hosts: ['a.foo.com', '*.foo.com'], secretName: 't1' }],
      [{ secretName: 't2' }],
    ),
  })
  .map(({ namespace, name, creationTimestamp, annotations, ...spec }) =>
    change('Ingress', namespace, name, {
      metadata: { namespace, name, creationTimestamp, annotations },
      spec,
    }),
  );

const service = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('s1', 's2'),
    spec: fc.constantFrom(
      { ports: [{ name: 'http', port: 80 }] },
      { ports: [{ port: 80, appProtocol: 'odd' }] },
      { ports: [{ name: 'http', port: 80 }], trafficDistribution: 'PreferSameNode' },
      { ports: [{ name: 'http', port: 80 }], sessionAffinity: 'ClientIP', publishNotReadyAddresses: true },
      { ports: [{ name: 'admin', port: 81 }] },
      { type: 'ExternalName', externalName: 'localhost' },
      { type: 'ExternalName', externalName: 'example.org' },
    ),
  })
  .map(({ namespace, name, spec }) =>
    change('Service', namespace, name, { metadata: { namespace, name }, spec }),
  );

const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '127.0.0.1', 'fd00::1');
const conditions = fc.constantFrom(
  undefined,
  { ready: true },
  { ready: false },
  { ready: false, serving: true, terminating: true },
);
/** Where an endpoint is, and for whom. */
const place = fc.constantFrom(
  {},
  { nodeName: 'node-1', zone: 'zone-a' },
  { nodeName: 'node-2', zone: 'zone-b' },
  { nodeName: 'node-2', zone: 'zone-b', hints: { forZones: [{ name: 'zone-a' }] } },
  { zone: 'zone-a', hints: { forZones: 'zone-a', forNodes: [null, { name: 7 }, { name: 'node-1' }] } },
);
const endpoint = fc
  .tuple(fc.record({ addresses: fc.array(address, { maxLength: 2 }), conditions }), place)
  .map(([entry, where]) => ({ ...entry, ...where }));
const slice = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('e1', 'e2', 'e3'),
    service: fc.constantFrom('s1', 's2'),
    addressType: fc.constantFrom('IPv4', 'IPv4', 'IPv6', 'FQDN'),
    ports: fc.constantFrom(
      [{ name: 'http', port: 8080 }],
      [{ port: 8080 }],
      [
        { name: 'http', port: 8081 },
        { name: 'admin', port: 9 },
      ],
    ),
    endpoints: fc.array(endpoint, { maxLength: 3 }),
  })
  .map(({ namespace, name, service, ...rest }) => {
    const labels = { 'kubernetes.io/service-name': service };
    return change('EndpointSlice', namespace, name, { metadata: { namespace, name, labels }, ...rest });
  });

const secret = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('t1', 't2'),
    type: fc.constantFrom('kubernetes.io/tls', 'Opaque'),
    data: fc.constantFrom({}, ...AUTHORITIES),
  })
  .map(({ namespace, name, type, data }) =>
    change('Secret', namespace, name, { metadata: { namespace, name }, type, data }),
  );

const ingressClass = fc
  .record({
    name: fc.constantFrom('portico', 'other'),
    controller: fc.constantFrom(
      'portico.dev/ingress-controller',
      'portico.dev/ingress-controller',
      'else.io/x',
    ),
    isDefault: fc.constantFrom('true', 'false'),
  })
  .map(({ name, controller, isDefault }) =>
    change('IngressClass', undefined, name, {
      metadata: { name, annotations: { 'ingressclass.kubernetes.io/is-default-class': isDefault } },
      spec: { controller },
    }),
  );

/** One object of a random kind; later ones of the same key replace earlier ones. */
export const anyObject: fc.Arbitrary<ObjectChange> = fc.oneof(
  { weight: 5, arbitrary: ingress },
  { weight: 3, arbitrary: service },
  { weight: 4, arbitrary: slice },
  { weight: 1, arbitrary: secret },
  { weight: 1, arbitrary: ingressClass },
);

/** The class that makes Ingresses of the class `portico` ours. */
export const OUR_CLASS = change('IngressClass', undefined, 'portico', {
  metadata: { name: 'portico' },
  spec: { controller: 'portico.dev/ingress-controller' },
});

export const ingresses: fc.Arbitrary<readonly ObjectChange[]> = fc.array(ingress, { maxLength: 8 });

function change(
  kind: ObjectChange['kind'],
  namespace: string | undefined,
  name: string,
  object: unknown,
): ObjectChange {
  return { kind, key: namespace === undefined ? name : `${namespace}/${name}`, object } as ObjectChange;
}
