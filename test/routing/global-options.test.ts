import { cidrsOf } from '../../src/policies/cidrs.ts';
import { describe, expect, test } from 'vitest';
import { get } from '../../src/model/sharded-map.ts';
import { applyUnreadable, snapshotOf } from '../../src/model/snapshot.ts';
import { INGRESS_NGINX_DEFAULTS } from '../../src/policies/global-defaults.ts';
import { GLOBAL_OPTIONS, judgeOption } from '../../src/policies/ingress-nginx/options.ts';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { decide } from '../../src/routing/decide.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';

const KEY = 'ingress-nginx/controller';
const SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';
const SITE = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: shop, annotations: { kubernetes.io/ingress.class: portico } }
spec:
  tls: [{ hosts: [shop.test] }]
  rules:
    - host: shop.test
      http:
        paths: [{ path: /api, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }]
`;

/** What is compiled with these options; with no ConfigMap for null. */
function compiled(data: Readonly<Record<string, string>> | null, previous?: Compilation): Compilation {
  const objects = [...parseManifests(`${INGRESS_CLASS}---\n${SITE}`)];
  if (data) {
    const object = { metadata: { namespace: 'ingress-nginx', name: 'controller' }, data };
    objects.push({ kind: 'ConfigMap', key: KEY, object });
  }
  const settings = { ...CASE_SETTINGS, defaults: INGRESS_NGINX_DEFAULTS, ingressNginxConfigMap: KEY };
  return compile(snapshotOf(objects), settings, previous);
}

function problemsOf(compilation: Compilation): string[] {
  return listProblems(compilation)
    .filter(({ object, code }) => object.kind === 'ConfigMap' || code === 'GlobalOptionRefused')
    .map(({ severity, object, field, message }) => `${severity} ${object.kind} ${field}: ${message}`);
}

const request = { method: 'GET', target: '/api', host: 'shop.test', scheme: 'http' } as const;

test.each(['10.0.0.256', '1:2:3', ':::', 'a b'])('a collector that cannot be a host is told: %s', (host) => {
  const compilation = compiled({ 'otlp-collector-host': host });
  expect(compilation.table.globals?.tracing).toMatchObject({ collector: null });
  expect(problemsOf(compilation)).toEqual([
    expect.stringMatching(
      /^warning ConfigMap data\[otlp-collector-host\]: .*is not a host name or an address/,
    ),
  ]);
});

describe('the settings for all hosts', () => {
  test.each<[Readonly<Record<string, string>>, object]>([
    [{}, {}],
    [{ hsts: 'false' }, { hsts: null }],
    [{ 'hsts-max-age': '60', 'hsts-preload': 'true' }, { hsts: 'max-age=60; includeSubDomains; preload' }],
    [{ 'hsts-include-subdomains': 'false' }, { hsts: 'max-age=31536000' }],
    [{ 'use-forwarded-headers': 'true' }, { trustedProxies: ['0.0.0.0/0'] }],
    [
      { 'use-forwarded-headers': 'true', 'proxy-real-ip-cidr': '10.0.0.0/8, fd00::/8' },
      { trustedProxies: ['10.0.0.0/8', 'fd00::/8'] },
    ],
    [
      { 'otlp-collector-host': 'otel.tracing', 'otel-service-name': 'edge' },
      {
        tracing: {
          ...{ collector: { host: 'otel.tracing', port: 4318 }, serviceName: 'edge' },
          ...{ queueSpans: null, delayMs: null, batchSpans: null },
          sampler: { root: 'always_on', ratio: 0.01, parentBased: true },
        },
      },
    ],
    [
      {
        ...{ 'otlp-collector-host': '10.0.0.9', 'otlp-collector-port': '55681', 'otel-max-queuesize': '100' },
        ...{ 'otel-sampler': 'TraceIdRatioBased', 'otel-sampler-ratio': '1e-05' },
        'otel-sampler-parent-based': 'false',
      },
      {
        tracing: {
          ...{ collector: { host: '10.0.0.9', port: 55681 }, serviceName: null },
          ...{ queueSpans: 100, delayMs: null, batchSpans: null },
          sampler: { root: 'traceidratio', ratio: 0.00001, parentBased: false },
        },
      },
    ],
    [{ 'proxy-real-ip-cidr': '10.0.0.0/8' }, {}],
    // Nobody is trusted by a value that is not understood.
    [{ 'use-forwarded-headers': 'true', 'proxy-real-ip-cidr': 'office' }, {}],
    [{ 'use-forwarded-headers': 'true', 'forwarded-for-header': 'CF-Connecting-IP' }, {}],
    [
      { 'http-redirect-code': '301', 'no-tls-redirect-locations': '/a, /b' },
      { httpsRedirect: { status: 301, exempt: ['/a', '/b'] } },
    ],
    [
      {
        ...{ 'client-header-timeout': '20', 'client-body-timeout': '30', 'keep-alive': '40' },
        ...{ 'keep-alive-requests': '50', 'http2-max-concurrent-streams': '60' },
        ...{ 'max-worker-connections': '70', 'large-client-header-buffers': '4 16k' },
      },
      {
        limits: {
          ...{ clientHeadTimeoutMs: 20_000, bodyIdleTimeoutMs: 30_000, keepAliveIdleTimeoutMs: 40_000 },
          ...{ requestsPerConnection: 50, streamsPerConnection: 60, connections: 70 },
          ...{ requestLineBytes: 16_384, headBytes: 65_536 },
        },
      },
    ],
    [
      { 'ssl-protocols': 'TLSv1.1 TLSv1.2', 'ssl-ciphers': 'ECDHE-RSA-AES128-GCM-SHA256:!aNULL' },
      {
        tls: {
          minVersion: '1.2',
          maxVersion: '1.2',
          ciphers: `${SUITES}:ECDHE-RSA-AES128-GCM-SHA256:!aNULL`,
        },
      },
    ],
    [{ 'ssl-protocols': 'TLSv1.3' }, { tls: { minVersion: '1.3' } }],
    // No list that OpenSSL refuses leaves hosts without TLS.
    [{ 'ssl-protocols': 'SSLv3', 'ssl-ciphers': 'NO-SUCH' }, {}],
    [{ 'ssl-ciphers': 'ALL:@SECLEVEL=0' }, {}],
    [{ 'ssl-reject-handshake': 'true' }, { rejectsUnknownHosts: true }],
    [{ 'enable-underscores-in-headers': 'false' }, { underscoresInHeaders: false }],
    [{ 'keep-alive': '0', 'keep-alive-requests': '7' }, { limits: { requestsPerConnection: 1 } }],
    [{ 'keep-alive': 'long', 'large-client-header-buffers': '9999 8m', 'max-worker-connections': '0' }, {}],
    [{ 'http-redirect-code': '200' }, { httpsRedirect: { status: 308, exempt: [] } }],
  ])('%j', (data, globals) => {
    expect(compiled(data).table.globals).toEqual(globals);
  });

  test('redirect with the status that the ConfigMap says, but for its exemptions', () => {
    const { table } = compiled({});
    const redirect = { port: 443, status: 302 };
    expect(decide(table, request, redirect)).toMatchObject({ kind: 'redirect', status: 302 });
    expect(decide(table, request, { ...redirect, exempt: ['/ap'] }).kind).toBe('refuse');
  });
});

test('a change is compiled, and only a change makes another table', () => {
  const before = compiled({ hsts: 'false' });
  const same = compiled({ hsts: 'false' }, before);
  expect([same.table.globals, same.settings.globalOptions]).toEqual([
    before.table.globals,
    before.settings.globalOptions,
  ]);
  expect(same.table.globals).toBe(before.table.globals);
  expect(compiled({ 'ssl-redirect': 'false' }, same).table.globals).toEqual({});
});

test('options are defaults of policies, beside those of ingress-nginx', () => {
  const { settings, claims } = compiled({ 'whitelist-source-range': '10.0.0.0/8', unknown: 'x' });
  expect(settings.defaults).toEqual({
    ...INGRESS_NGINX_DEFAULTS,
    'whitelist-source-range': '10.0.0.0/8',
  });
  const route = get(claims, 'shop/web')?.scopes.get('shop.test')?.[0]?.route;
  expect(route?.policies?.configs['source-ranges']).toEqual({ allow: cidrsOf(['10.0.0.0/8']), deny: null });
});

test('what restricts and cannot be honoured closes everything', () => {
  const compilation = compiled({ 'enable-modsecurity': 'true', 'http-snippet': 'deny all;' });
  expect(decide(compilation.table, request)).toMatchObject({ reason: 'closed-by-policy' });
  expect(problemsOf(compilation)).toEqual([
    'error ConfigMap data: Portico cannot enforce enable-modsecurity, http-snippet, so every path of every Ingress answers ' +
      '503; remove what may be open to all.',
    'error Ingress metadata.annotations: Portico cannot enforce enable-modsecurity, http-snippet of the ConfigMap of ' +
      'ingress-nginx, so every path of this Ingress answers 503 until this is fixed.',
  ]);
  const open = compiled({ 'enable-modsecurity': 'false', 'http-snippet': 'gzip on;' });
  expect(decide(open.table, request)).toMatchObject({ reason: 'backend-unavailable' });
});

test('what is not read, or not known, is said once', () => {
  const data = { 'enable-real-ip': 'true', 'use-gziip': 'true', hsts: 'maybe', 'worker-processes': '4' };
  expect(problemsOf(compiled(data))).toEqual([
    'warning ConfigMap data: Portico does not read enable-real-ip (set --trusted-proxies NETWORK), worker-processes ' +
      '(set --workers 4) from here.',
    'warning ConfigMap data[hsts]: "maybe" is not true or false.',
    'info ConfigMap data: Portico knows no option "use-gziip" and ignores it.',
  ]);
});

test('a ConfigMap that is not there says nothing', () => {
  const compilation = compiled(null);
  expect(problemsOf(compilation)).toEqual([
    'warning ConfigMap : There is no ConfigMap ingress-nginx/controller with the options of ingress-nginx. Its options have ' +
      'their defaults.',
  ]);
  expect(decide(compilation.table, request)).toMatchObject({ reason: 'backend-unavailable' });
});

test('a ConfigMap that may not be read closes everything: nobody knows whom it keeps out', () => {
  const objects = parseManifests(`${INGRESS_CLASS}---\n${SITE}`);
  const snapshot = applyUnreadable(snapshotOf(objects), `ConfigMap ${KEY}`, 'forbidden');
  const compilation = compile(snapshot, { ...CASE_SETTINGS, ingressNginxConfigMap: KEY });
  expect(decide(compilation.table, request)).toMatchObject({ reason: 'closed-by-policy' });
  expect(problemsOf(compilation)[0]).toBe(
    'error ConfigMap : Portico may not read ConfigMap ingress-nginx/controller: grant it the verbs "list" and "watch" on ' +
      'resource "configmaps" (apply deploy/variants/configmaps.yaml). Until then every path of every Ingress answers 503, as ' +
      'it may say who is to be kept out.',
  );
  const granted = compile(
    applyUnreadable(snapshot, `ConfigMap ${KEY}`, null),
    compilation.settings,
    compilation,
  );
  expect(decide(granted.table, request)).toMatchObject({ reason: 'backend-unavailable' });
});

test('every option is judged in a sentence, whatever its value', () => {
  expect(new Set(GLOBAL_OPTIONS.map(({ name }) => name)).size).toBe(GLOBAL_OPTIONS.length);
  expect(GLOBAL_OPTIONS.length).toBeGreaterThan(110);
  for (const { name } of GLOBAL_OPTIONS) expect(judgeOption(name)?.reason).toMatch(/^[A-Z`].*\.$/);
});

describe('an Ingress', () => {
  function ingress(
    annotations: string,
    path = '/',
    data: Readonly<Record<string, string>> = {},
  ): Compilation {
    const [of] = parseManifests(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: shop, annotations: { ${annotations} } }
spec:
  ingressClassName: portico
  rules:
    - host: shop.test
      http:
        paths: [{ path: '${path}', pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }]
`);
    const object = { metadata: { namespace: 'ingress-nginx', name: 'controller' }, data };
    const objects = [
      ...parseManifests(INGRESS_CLASS),
      ...(of ? [of] : []),
      { kind: 'ConfigMap', key: KEY, object } as const,
    ];
    const settings = { ...CASE_SETTINGS, ingressNginxConfigMap: KEY, hasLimitStore: false };
    return compile(snapshotOf(objects), settings);
  }

  const configsOf = (compilation: Compilation): object | undefined =>
    decide(compilation.table, { ...request, target: '/a/b' }).route?.policies?.configs;

  test('may write a Prefix path as a regular expression where paths are not validated strictly', () => {
    const regex = "nginx.ingress.kubernetes.io/use-regex: 'true'";
    const strict = ingress(regex, '/a/(.*)');
    expect(listProblems(strict).map(({ code }) => code)).toContain('PathTypeNotRegex');
    const loose = ingress(regex, '/a/(.*)', { 'strict-validate-path-type': 'false' });
    expect(listProblems(loose).map(({ code }) => code)).not.toContain('PathTypeNotRegex');
    expect(decide(loose.table, { ...request, target: '/a/b' }).route?.path).toBe('/a/(.*)');
  });

  test.each([
    [
      '',
      { conditions: ['connect', 'connect-timed-out', 'reset', 'timeout'], statuses: [], nonIdempotent: true },
    ],
    [
      "nginx.ingress.kubernetes.io/proxy-next-upstream: 'http_502'",
      { conditions: [], statuses: [502], nonIdempotent: true },
    ],
    [
      "nginx.ingress.kubernetes.io/proxy-next-upstream: 'off'",
      { conditions: [], statuses: [], nonIdempotent: false },
    ],
    ["portico.dev/retry-on: 'reset'", { conditions: ['reset'], statuses: [], nonIdempotent: false }],
  ])('has retry-non-idempotent beside %s', (annotations, on) => {
    const configs = configsOf(ingress(annotations, '/', { 'retry-non-idempotent': 'true' }));
    expect(configs).toMatchObject({ retries: { on } });
  });

  test('is told that replicas cannot count together without a store', () => {
    const { problems } = ingress('portico.dev/rate-limit: 1/s, portico.dev/rate-limit-scope: cluster');
    expect(get(problems, 'Ingress shop/web')?.map(({ code }) => code)).toContain('RateLimitStoreMissing');
  });
});
