import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { describe, expect, test } from 'vitest';
import type { Ingress } from '../../src/model/objects.ts';
import { values } from '../../src/model/sharded-map.ts';
import { asArray, asObject } from '../../src/model/untyped.ts';
import type { ObjectChange } from '../../src/model/snapshot.ts';
import type { Compilation } from '../../src/routing/compile/compile.ts';
import { INGRESS_NGINX, PORTICO } from '../../src/policies/annotation-spec.ts';
import { INGRESS_NGINX_DEFAULTS } from '../../src/policies/global-defaults.ts';
import { NGINX_KEYS } from '../../src/policies/ingress-nginx/keys.ts';
import { ANNOTATIONS } from '../../src/routing/ingress/annotations.ts';
import { HOSTILE_VALUES } from '../support/annotations.ts';
import { examples } from '../support/examples.ts';
import { CASE_SETTINGS, type Case, loadCases, parseManifests } from '../support/cases.ts';
import { createAuthority } from '../support/certificates.ts';
import {
  type Comparison,
  type Converted,
  compareDecisions,
  convertObjects,
  levelsOf,
  readDocuments,
  requestsFor,
} from '../support/converted.ts';
import { createFolder } from '../e2e/folder.ts';
import { portico } from '../support/portico.ts';
import { OUR_CLASS, ingresses, requestHost, requestPath } from './arbitrary-cluster.ts';

const GOLDEN = join(import.meta.dirname, 'convert.out.yaml');
const CORPUS = join(import.meta.dirname, '..', 'corpus');
const CLIENT_CA = readFileSync(
  join(import.meta.dirname, '..', 'support', 'certificates', 'golden-clients-ca.crt'),
  'utf8',
);

function isIngress(change: ObjectChange): boolean {
  return change.kind === 'Ingress';
}

/** The corpus of audit with what a cluster has beside it: every Service, with an endpoint, and every Secret. */
function corpusCase(): Case {
  const files = readdirSync(CORPUS).filter((file) => file.endsWith('.yaml'));
  const written = files.flatMap((file) => parseManifests(readFileSync(join(CORPUS, file), 'utf8')));
  const services = new Map<string, Set<string | number>>();
  const secrets = new Map<string, ObjectChange>();
  const authority = createAuthority();
  const add = (namespace: string, name: string, data: Record<string, string>): void => {
    const type = 'tls.key' in data ? 'kubernetes.io/tls' : 'Opaque';
    const encoded = Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    );
    const object = { metadata: { name, namespace }, type, data: encoded };
    secrets.set(`${namespace}/${name}`, {
      kind: 'Secret',
      key: `${namespace}/${name}`,
      object,
    } as ObjectChange);
  };
  for (const { object } of written.filter(isIngress)) {
    const { metadata, spec } = object as Ingress;
    const namespace = metadata?.namespace ?? 'default';
    const backends = [
      spec?.defaultBackend?.service,
      ...(spec?.rules ?? []).flatMap((rule) => (rule.http?.paths ?? []).map((path) => path.backend.service)),
    ];
    for (const service of backends) {
      if (!service) continue;
      const key = `${namespace}/${service.name}`;
      services.set(
        key,
        (services.get(key) ?? new Set()).add(service.port?.number ?? service.port?.name ?? 80),
      );
    }
    for (const [name, value] of Object.entries(metadata?.annotations ?? {})) {
      const [home = namespace, secret = value] = value.includes('/') ? value.split('/') : [];
      if (name.endsWith('/auth-secret'))
        add(home, secret, { auth: 'user:{PLAIN}password\n', user: '{PLAIN}password' });
      if (/\/(?:auth-tls-secret|proxy-ssl-secret)$/.test(name)) add(home, secret, { 'ca.crt': CLIENT_CA });
    }
    for (const { hosts, secretName } of spec?.tls ?? []) {
      const names = hosts && hosts.length > 0 ? hosts : (spec?.rules ?? []).flatMap(({ host }) => host ?? []);
      if (!secretName || names.length === 0) continue;
      const { certificate, key } = authority.issue(names);
      add(namespace, secretName, { 'tls.crt': certificate, 'tls.key': key });
    }
  }
  const others = [...services].flatMap(([key, ports], index): ObjectChange[] => {
    const [namespace = '', name = ''] = key.split('/');
    const list = [...ports].map((port, at) => {
      return typeof port === 'number' ? { name: `p${port}`, port } : { name: port, port: 9_000 + at };
    });
    const labels = { 'kubernetes.io/service-name': name };
    const endpoints = [{ addresses: [`10.0.1.${index + 1}`], conditions: { ready: true } }];
    const slice = {
      metadata: { name: `${name}-1`, namespace, labels },
      addressType: 'IPv4',
      ports: list,
      endpoints,
    };
    return [
      {
        kind: 'Service',
        key,
        object: { metadata: { name, namespace }, spec: { clusterIP: '10.96.0.1', ports: list } },
      },
      { kind: 'EndpointSlice', key: `${key}-1`, object: slice },
    ] as ObjectChange[];
  });
  return {
    name: 'corpus of audit',
    manifests: '',
    before: null,
    objects: [...written, ...others, ...secrets.values()],
    settings: {
      ...CASE_SETTINGS,
      ingressClass: 'nginx',
      controllerName: 'k8s.io/ingress-nginx',
      defaults: INGRESS_NGINX_DEFAULTS,
      now: Date.now(),
    },
    serving: { https: true, hsts: null },
    requests: [],
  };
}

/** By case: what notes there are. */
type Golden = Readonly<Record<string, Readonly<Record<string, string>>>>;

describe('the corpus', () => {
  // Those with Gateways of their own would be in the way of those that are written.
  const cases = [...loadCases(), corpusCase()].filter(
    ({ objects }) => objects.some(isIngress) && objects.every(({ kind }) => kind !== 'Gateway'),
  );
  /** Before they are converted. */
  const compiled = new Map<Case, Compilation>();
  const rewrite = process.env['PORTICO_REWRITE_GOLDENS'] === '1';
  const golden = existsSync(GOLDEN) ? (parse(readFileSync(GOLDEN, 'utf8')) as Golden) : {};

  test.each([
    ['as it is', false],
    ['for any implementation', true],
  ])('leads to the same decisions, or says what differs: %s', async (title, portable) => {
    const found: Record<string, unknown> = {};
    const faults: string[] = [];
    // What there is nothing but Portico for is in annotations.
    const some = portable ? cases.filter(({ name }) => /^annotation|^corpus/.test(name)) : cases;
    for (const each of some) {
      const redirects = each.serving.https;
      const before = compiled.get(each);
      const converted = convertObjects(each.objects, each.settings, { portable, redirects }, before);
      compiled.set(each, converted.before);
      if ([...values(converted.before.claims)].length === 0) continue;
      const requests = [...each.requests, ...requestsFor(converted.before, redirects)];
      const comparison = await compareDecisions(converted, each, requests);
      faults.push(...faultsOf(each.name, converted, comparison));
      found[each.name] = levelsOf(converted.conversion).join(', ');
    }
    expect(faults).toEqual([]);
    if (rewrite) {
      const before = existsSync(GOLDEN) ? (parse(readFileSync(GOLDEN, 'utf8')) as Golden) : {};
      writeFileSync(GOLDEN, stringify({ ...before, [title]: found }, { lineWidth: 0 }));
      // A case that is new is in the list when it is written again.
    } else expect(found).toMatchObject(golden[title] ?? {});
  });
});

/** What must never be: a refused object, a difference that nobody is told, and a request that gets in now. */
function faultsOf(name: string, { invalid }: Converted, { silent, opened }: Comparison): readonly string[] {
  return [
    ...invalid.map((problem) => `${name}: ${problem}`),
    ...silent.map((each) => `${name}: nobody is told of ${JSON.stringify(each)}`),
    ...opened.map((each) => `${name}: opened ${JSON.stringify(each)}`),
  ];
}

test('any Ingresses lead to the same decisions, or it is said what differs', async () => {
  await fc.assert(
    fc.asyncProperty(
      ingresses,
      fc.array(fc.tuple(requestHost, requestPath, fc.constantFrom('http', 'https')), {
        minLength: 10,
        maxLength: 15,
      }),
      fc.boolean(),
      async (written, asked, portable) => {
        const changes = [...new Map(written.map((change) => [change.key, change])).values()];
        const objects = [OUR_CLASS, ...changes, ...SERVICES];
        const settings = CASE_SETTINGS;
        const converted = convertObjects(objects, settings, { portable, redirects: true });
        const serving = { https: true, hsts: null };
        const each: Case = {
          name: '',
          manifests: '',
          before: null,
          objects,
          settings,
          serving,
          requests: [],
        };
        const requests = asked.map(([host, path, scheme]) => ({ request: `GET ${scheme}://${host}${path}` }));
        expect(faultsOf('', converted, await compareDecisions(converted, each, requests))).toEqual([]);
      },
    ),
    { numRuns: examples(20) },
  );
});

const SERVICES = ['ns1', 'ns2'].flatMap((namespace) =>
  parseManifests(
    ['s1', 's2']
      .map(
        (name, index) => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: ${namespace}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.${namespace === 'ns1' ? 1 : 2}.${index + 1}] }]
`,
      )
      .join('---\n'),
  ),
);

describe('hostile manifests', () => {
  const names = [
    ...NGINX_KEYS.map(({ name }) => `${INGRESS_NGINX}${name}`),
    ...ANNOTATIONS.flatMap(({ name }) => (name === null ? [] : [`${PORTICO}${name}`])),
    'evil.example.com/\n- injected: true',
  ];
  const LINES = [
    'a\n---\nkind: Secret\n',
    '# a\r- b: c',
    '\u2028- x',
    '"}\u0085kind: Role',
    "'",
    '*a',
    '&a',
    '!!js',
    '<<',
  ];

  test('no value of an annotation becomes YAML, a comment of its own, or an object that is refused', async () => {
    // One in so many: they are hundreds, and the values are what matters.
    const some = names.filter((_, index) => index % 32 === 0 || index === names.length - 1);
    // Of the long ones only one name has all: to read them takes a tenth of a second for each name.
    const isShort = (value: unknown): boolean => !(typeof value === 'string' && value.length > 1_000);
    const objects = some.flatMap((name, key) =>
      [...LINES, ...HOSTILE_VALUES.filter((value) => key === 0 || isShort(value))].map(
        (value, index): ObjectChange => {
          const http = {
            paths: [
              { path: '/', pathType: 'Prefix', backend: { service: { name: 's1', port: { number: 80 } } } },
            ],
          };
          const metadata = { name: `i${key}-${index}`, namespace: 'ns1', annotations: { [name]: value } };
          const spec = { ingressClassName: 'portico', rules: [{ host: `k${key}.v${index}.test`, http }] };
          return { kind: 'Ingress', key: `ns1/i${key}-${index}`, object: { metadata, spec } } as ObjectChange;
        },
      ),
    );
    const portable = false;
    const converted = convertObjects([OUR_CLASS, ...SERVICES, ...objects], CASE_SETTINGS, {
      portable,
      redirects: true,
    });
    const { text, conversion, invalid, written: read } = converted;
    expect(invalid).toEqual([]);
    const written = JSON.parse(JSON.stringify(conversion.documents.map(({ object }) => object))) as unknown;
    for (const documents of [read, readDocuments(text, '1.1')])
      expect(documents.map(({ object }) => object)).toEqual(written);
    expect(text.replaceAll('\n', '').match(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu)).toBeNull();
  });
});

describe('what is written', () => {
  interface Written {
    readonly namespace?: string;
    readonly name: string;
    readonly hosts?: readonly string[];
    readonly paths?: readonly string[];
    readonly pathType?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly tls?: boolean;
  }

  function ingressOf({
    namespace = 'ns1',
    name,
    hosts = ['a.test'],
    paths = ['/'],
    pathType = 'Prefix',
    annotations,
    tls,
  }: Written) {
    const backend = { service: { name: 's1', port: { number: 80 } } };
    const http = { paths: paths.map((path) => ({ path, pathType, backend })) };
    const spec = {
      ingressClassName: 'portico',
      rules: hosts.map((host) => ({ host, http })),
      ...(tls && { tls: hosts.map((host) => ({ hosts: [host], secretName: `tls-${host}`.slice(0, 63) })) }),
    };
    const metadata = { name, namespace, ...(annotations && { annotations }) };
    return {
      kind: 'Ingress',
      key: `${namespace}/${name}`,
      object: { metadata, spec },
    } as unknown as ObjectChange;
  }

  function convert(written: readonly ObjectChange[], portable = false): Converted {
    const options = { portable, redirects: true };
    const converted = convertObjects([OUR_CLASS, ...SERVICES, ...written], CASE_SETTINGS, options);
    expect(converted.invalid).toEqual([]);
    return converted;
  }

  function objectsOf({ conversion }: Converted, kind: string) {
    return conversion.documents.map(({ object }) => object).filter((object) => object.kind === kind);
  }

  const named = (count: number, of: (index: number) => string): readonly string[] =>
    Array.from({ length: count }, (_, index) => of(index));

  test('says that hosts have no owner among routes', () => {
    const settings = { ...CASE_SETTINGS, hostOwnership: 'namespace' } as const;
    const written = [OUR_CLASS, ...SERVICES, ingressOf({ name: 'web' })];
    const { conversion } = convertObjects(written, settings, { portable: false, redirects: true });
    const gateway = conversion.documents.find(({ object: { kind } }) => kind === 'Gateway');
    expect(gateway?.notes[0]).toEqual({
      level: 'lost',
      text: expect.stringContaining('--host-ownership') as string,
    });
  });

  test('an expression is for the same paths where it must match all of a path', () => {
    const annotations = {
      'nginx.ingress.kubernetes.io/use-regex': 'true',
      'portico.dev/allow-from': '10.0.0.0/8',
    };
    const paths = ['/admin|/secret', '/a$|/b', '/costs\\$', '/c/.*', '/d$'];
    const written = [ingressOf({ name: 'web', annotations, paths, pathType: 'ImplementationSpecific' })];
    const rules = objectsOf(convert(written, true), 'HTTPRoute').flatMap(({ spec }) =>
      asArray(spec?.['rules']),
    );
    const matches = rules.flatMap((rule) => asArray(asObject(rule)['matches']).map(asObject));
    const values = matches.map(({ path }) => String(asObject(path)['value']));
    const takes = (path: string): boolean =>
      values.some((value) => new RegExp(`^(?:${value.replace('(?i)', '')})$`).test(path));
    const taken = ['/admin/x', '/secret/x', '/a', '/b/x', '/costs$/x', '/c/x', '/d'];
    expect([...taken, '/e/admin', '/d/x'].filter(takes)).toEqual(taken);
  });

  test('does not depend on the order of what is read', () => {
    const all = [
      ingressOf({ name: 'web', hosts: ['b.test', 'a.test'], tls: true }),
      ingressOf({ name: 'api', hosts: ['a.test'], paths: ['/api', '/v2'] }),
      ingressOf({ name: 'web', namespace: 'ns2', hosts: ['c.test', '*.test'], tls: true }),
    ];
    expect(convert(all.toReversed()).text).toBe(convert(all).text);
  });

  test('splits what one object may not have more of', () => {
    const hosts = named(150, (index) => `h${String(index).padStart(3, '0')}.test`);
    const paths = named(300, (index) => `/p${index}`);
    const converted = convert([
      ingressOf({ name: 'hosts', hosts, tls: true }),
      ingressOf({ name: 'paths', hosts: ['paths.test'], paths }),
    ]);
    const [gateway] = objectsOf(converted, 'Gateway');
    expect(gateway?.spec?.['listeners']).toHaveLength(64);
    const sets = objectsOf(converted, 'ListenerSet');
    expect(sets.map(({ metadata, spec }) => [metadata.name, asArray(spec?.['listeners']).length])).toEqual([
      ['main-2', 64],
      ['main-3', 23],
    ]);
    const routes = objectsOf(converted, 'HTTPRoute');
    expect(routes.filter(({ metadata }) => metadata.name.startsWith('hosts'))).toHaveLength(20);
    expect(routes.filter(({ metadata }) => metadata.name.startsWith('paths'))).toHaveLength(3);
    expect(objectsOf(converted, 'ReferenceGrant')).toHaveLength(10);
    // Their Secrets are not there, so that only HTTP is served: 150 hosts, the one with the paths, and the listener itself.
    const served = [...values(converted.after.table.ports)].map(({ hosts: all }) => all.size);
    expect(served).toEqual([152]);
  });

  test('says where requests come to whose hosts no route can name', () => {
    const globs = { 'portico.dev/host-globs': 'p-*.a.test, x.**.a.test, *.*.a.test, *.b.c.test' };
    const aliases = { 'portico.dev/host-aliases': '~^shop[.]' };
    const converted = convert([
      ingressOf({ name: 'globs', hosts: ['globs.test'], annotations: { ...globs, ...aliases } }),
      ingressOf({ name: 'web', hosts: ['*.a.test', '*.x.a.test', '*.deep.x.a.test', 'one.a.test'] }),
      ingressOf({ name: 'above', hosts: ['*.c.test', '*.d.b.c.test'], paths: ['/above'] }),
      ingressOf({ name: 'all', hosts: [''], paths: ['/all'] }),
    ]);
    const told = converted.conversion.documents.flatMap(({ notes }) => notes.map(({ text }) => text));
    expect(told.filter((text) => text.includes('no route can name'))).toEqual([
      '*.c.test may take hosts like *.b.c.test, ^shop[.], which no route can name.',
      '*.d.b.c.test may take hosts like ^shop[.], which no route can name.',
      'This route may take hosts like ^shop[.], which no route can name.',
      '*.a.test may take hosts like *.*.a.test, x.**.a.test, ^shop[.], which no route can name.',
      '*.deep.x.a.test may take hosts like x.**.a.test, ^shop[.], which no route can name.',
      '*.x.a.test may take hosts like x.**.a.test, ^shop[.], which no route can name.',
    ]);
  });

  test('says that the default certificate is not there', () => {
    const settings = { ...CASE_SETTINGS, defaultTlsSecret: 'ns1/default' };
    const objects = [OUR_CLASS, ...SERVICES, ingressOf({ name: 'web' })];
    const { conversion } = convertObjects(objects, settings, { portable: false, redirects: true });
    const gateway = conversion.documents.find(({ object: { kind } }) => kind === 'Gateway');
    expect(gateway?.notes).toEqual([
      {
        level: 'lost',
        text: expect.stringContaining('ns1/default. Their listeners are not served') as string,
      },
    ]);
  });

  test('has names that are free, and short enough', () => {
    const label = 'l'.repeat(62);
    const long = `${label}.${label}.${label}.${label}.t`;
    const converted = convert([
      ingressOf({ name: 'web', hosts: ['a.test'], tls: true }),
      ingressOf({ name: 'web-redirect', hosts: ['b.test'], tls: true }),
      ingressOf({ name: long, hosts: [long, `*.${long.slice(2)}`], tls: true }),
    ]);
    const names = objectsOf(converted, 'HTTPRoute').map(({ metadata }) => metadata.name);
    expect(names.slice(-4)).toEqual([
      'web',
      expect.stringMatching(/^web-redirect-[0-9a-f]{8}$/),
      'web-redirect',
      'web-redirect-redirect',
    ]);
    expect(new Set(names).size).toBe(names.length);
    expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(253);
  });

  test('closes what it cannot keep to, rather than leave it to a shorter path', async () => {
    const basic = { 'portico.dev/allow-from': '192.0.2.0/24' };
    const written = [
      ingressOf({ name: 'web', paths: ['/'] }),
      ingressOf({ name: 'admin', paths: ['/admin'], annotations: basic }),
    ];
    const converted = convert(written, true);
    const admin = converted.conversion.documents.find(({ object }) => object.metadata.name === 'admin');
    expect(admin?.object.spec?.['rules']).toEqual([
      { matches: [{ path: { type: 'PathPrefix', value: '/admin' } }] },
    ]);
    expect(admin?.notes.map(({ level }) => level)).toEqual(['closed']);
    const kept = convert(written);
    expect(
      objectsOf(kept, 'HTTPRoute').find(({ metadata }) => metadata.name === 'admin')?.metadata.annotations,
    ).toEqual(basic);
  });

  test('has a Gateway of their own for hosts whose clients show certificates, and Pods are not lied to', () => {
    const data = { 'ca.crt': Buffer.from(CLIENT_CA).toString('base64') };
    const ca = {
      kind: 'Secret',
      key: 'ns1/ca',
      object: { metadata: { name: 'ca', namespace: 'ns1' }, data },
    };
    const annotations = { 'portico.dev/client-ca-secret': 'ca' };
    const written = [
      ca as unknown as ObjectChange,
      ingressOf({ name: 'web', annotations, tls: true }),
      ingressOf({ name: 'open', hosts: ['b.test'], tls: true }),
    ];
    const removed = [false, true].map((portable) => {
      const converted = convert(written, portable);
      const [main, own] = objectsOf(converted, 'Gateway');
      const listeners = [main, own].map((each) => asArray(each?.spec?.['listeners']).map(asObject));
      expect(listeners.map((each) => each.map(({ name }) => name))).toEqual([
        ['http', 'https.b.test'],
        ['https.a.test'],
      ]);
      expect(own?.spec?.['tls']).toEqual({
        frontend: {
          default: { validation: { caCertificateRefs: [expect.objectContaining({ kind: 'ConfigMap' })] } },
        },
      });
      const web = objectsOf(converted, 'HTTPRoute').find(({ metadata }) => metadata.name === 'web');
      return JSON.stringify(web?.spec?.['rules']).includes('"remove":["ssl-client-verify"');
    });
    // Portico itself lets no client write these fields.
    expect(removed).toEqual([false, true]);
  });

  test('has no filter with more fields than it may have', () => {
    const data = Object.fromEntries(named(16, (index) => `X-Map-${index}`).map((name) => [name, 'a']));
    const object = { metadata: { name: 'fields', namespace: 'ns1' }, data };
    const fields = { kind: 'ConfigMap', key: 'ns1/fields', object } as unknown as ObjectChange;
    const lines = named(2, (index) => `X-Line-${index}: b`).join('\n');
    const annotations = {
      'nginx.ingress.kubernetes.io/custom-headers': 'fields',
      'portico.dev/response-headers': lines,
    };
    const [kept, portable] = [false, true].map((each) => {
      const converted = convert([fields, ingressOf({ name: 'web', annotations })], each);
      return converted.conversion.documents.find(({ object: { kind } }) => kind === 'HTTPRoute');
    });
    expect(kept?.object.metadata.annotations).toEqual({ 'portico.dev/response-headers': lines });
    expect(portable?.notes.map(({ level }) => level)).toEqual(['lost']);
  });

  test('is said to replace what is there already, unless that says the same', () => {
    const { conversion } = convert([ingressOf({ name: 'web' })]);
    const applied = conversion.documents.map(({ object }) => {
      const { kind, metadata } = object;
      const key = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
      return { kind, key, object } as unknown as ObjectChange;
    });
    const levels = (objects: readonly ObjectChange[]): readonly unknown[] => {
      const again = convert([ingressOf({ name: 'web' }), ...objects]);
      return again.conversion.documents.map(({ notes }) => notes.map(({ level }) => level));
    };
    expect(levels(applied)).toEqual([[], ['differs'], []]);
    const other = { metadata: { name: 'web', namespace: 'ns1' }, spec: { rules: [] } };
    const change = { kind: 'HTTPRoute', key: 'ns1/web', object: other } as unknown as ObjectChange;
    expect(levels([change])).toEqual([[], ['differs'], ['lost']]);
  });

  test('is a GRPCRoute for other implementations where Pods speak gRPC, if a method match can say the paths', () => {
    const annotations = { 'portico.dev/backend-protocol': 'GRPC' };
    const written = [
      ingressOf({ name: 'calls', paths: ['/shop.Cart', '/'], annotations }),
      ingressOf({ name: 'pages', hosts: ['b.test'], paths: ['/a/b/c'], annotations }),
    ];
    const converted = convert(written, true);
    const [calls] = objectsOf(converted, 'GRPCRoute');
    expect(asArray(calls?.spec?.['rules'])).toEqual([
      {
        matches: [{}, { method: { service: 'shop.Cart' } }],
        backendRefs: [{ name: 's1', port: 80 }],
      },
    ]);
    const pages = converted.conversion.documents.find(({ object }) => object.metadata.name === 'pages');
    expect(pages?.object.kind).toBe('HTTPRoute');
    expect(pages?.notes.map(({ level }) => level)).toEqual(['lost']);
  });

  test('by the command: what docs/convert.md shows, and the exit code that --fail-on asks for', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'convert.md'), 'utf8');
    const [, input = '', output = '', said = ''] =
      /```yaml\n([^]*?)```[^]*?```yaml\n([^]*?)```[^]*?```text\n(portico convert: [^]*?)```/.exec(page) ?? [];
    await using folder = createFolder();
    await folder.put('shop.yaml', input);
    const run = (...flags: readonly string[]) =>
      portico(['convert', '--drop-in', 'ingress-nginx', '-f', folder.path, ...flags]);
    const usual = await run();
    expect([usual.code, usual.stderr, usual.stdout.endsWith(`---\n${output}`)]).toEqual([0, said, true]);
    expect(readDocuments(usual.stdout).map(({ kind }) => kind)).toEqual([
      'GatewayClass',
      'Gateway',
      'ReferenceGrant',
      'HTTPRoute',
      'HTTPRoute',
    ]);
    const portable = await run('--portable');
    expect([portable.code, portable.stderr.split('\n')[0]]).toEqual([
      1,
      'portico convert: HTTPRoute shop/shop: closed: The path like (?i)/api(/|$)(.*) answers 500 to everybody: rate-limit (20 in 1s and 100 more at once) cannot be kept.',
    ]);
    await folder.put('broken.yaml', 'kind: Ingress\nmetadata: { name: [\n');
    const broken = await run('--fail-on', 'lost');
    expect([broken.code, broken.stdout]).toEqual([1, usual.stdout]);
    expect(broken.stderr).toMatch(/^portico convert: lost: \S*broken\.yaml:\d+:\d+: .*\n/);
    const wrong = await run('--gateway-name', 'main');
    expect([wrong.code, wrong.stdout, wrong.stderr]).toEqual([
      64,
      '',
      "portico convert: --gateway-name: 'main' is not namespace/name\n",
    ]);
  });
});
