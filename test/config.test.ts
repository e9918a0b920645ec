import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import {
  type Config,
  type Environment,
  type FlagValues,
  resolveCompileConfig,
  resolveConfig,
} from '../src/config/config.ts';
import { RUN_FLAGS, environmentName, limitFlagName } from '../src/config/flags.ts';
import { DEFAULT_CIPHERS } from '../src/proxy/tls/certificate-store.ts';
import { CREDENTIAL_NAMES } from '../src/http/redact-target.ts';
import { LOG_ALL, type LogFilterSettings } from '../src/proxy/access-log/log-filter.ts';
import { DEFAULT_LIMITS, type Limits } from '../src/proxy/limits.ts';

const LOG_OF_DEFAULTS: Config['accessLog'] = { format: 'auto', filter: LOG_ALL, redact: CREDENTIAL_NAMES };

function logFiltered(filter: Partial<LogFilterSettings>): Pick<Config, 'accessLog'> {
  return { accessLog: { ...LOG_OF_DEFAULTS, filter: { ...LOG_ALL, ...filter } } };
}

function configOf(flags: FlagValues, env: Environment = {}): Config {
  const result = resolveConfig(flags, env);
  if (result.kind === 'invalid') throw new Error(result.errors.join('\n'));
  return result.config;
}

function mistakesOf(flags: FlagValues, env: Environment = {}): readonly string[] {
  const result = resolveConfig(flags, env);
  return result.kind === 'invalid' ? result.errors : [];
}

it('without any flag: a cluster, port 80, and the defaults that the help tells', () => {
  expect(configOf({})).toMatchObject({
    source: { kind: 'cluster', kubeconfig: null, context: null },
    watchNamespaces: [],
    ingressClass: 'portico',
    controllerName: 'portico.dev/ingress-controller',
    watchIngressWithoutClass: false,
    gatewayController: 'portico.dev/gateway-controller',
    hostOwnership: 'none',
    defaultBackend: null,
    httpPort: 80,
    h2c: false,
    httpsPort: 443,
    proxyProtocolFrom: [],
    defaultTlsSecret: null,
    sslRedirect: true,
    hsts: null,
    tlsMinVersion: '1.2',
    tlsCiphers: DEFAULT_CIPHERS,
    bindAddress: null,
    statusPort: 10254,
    trustedProxies: [],
    rateLimitStore: null,
    engine: 'relay',
    sockets: 'auto',
    workers: availableParallelism(),
    limits: DEFAULT_LIMITS,
    accessLog: LOG_OF_DEFAULTS,
    logLevel: 'info',
    logFormat: 'auto',
    drainTimeoutMs: 30_000,
  });
});

it('is frozen throughout', () => {
  const config = configOf({ manifests: ['a'], 'default-backend': 'ns/svc:80' });
  for (const part of [config, config.source, config.limits, config.defaultBackend, config.trustedProxies]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

/** For every flag: what is written, and what becomes of it. */
const VALUES: Readonly<Record<string, readonly [written: string, read: object]>> = {
  kubeconfig: ['/k', { source: { kind: 'cluster', kubeconfig: '/k', context: null } }],
  context: ['prod', { source: { kind: 'cluster', kubeconfig: null, context: 'prod' } }],
  manifests: ['a', { source: { kind: 'manifests', paths: ['a'] } }],
  'watch-namespace': ['team-*', { watchNamespaces: ['team-*'] }],
  'ingress-class': ['edge', { ingressClass: 'edge' }],
  'controller-name': ['example.com/edge', { controllerName: 'example.com/edge' }],
  'gateway-api': ['false', { gatewayController: null }],
  'gateway-controller-name': ['example.com/gateways', { gatewayController: 'example.com/gateways' }],
  'gateway-addresses': ['192.0.2.8/31', { gatewayAddresses: ['192.0.2.8', '192.0.2.9'] }],
  'gateway-service-ports': [
    '21000-21999',
    { gatewayPortRange: { first: 21_000, last: 21_999 }, gatewayServicePorts: null },
  ],
  'host-ownership': ['namespace', { hostOwnership: 'namespace' }],
  'default-backend': ['ops/web:http', { defaultBackend: { namespace: 'ops', service: 'web', port: 'http' } }],
  'node-name': ['node-7', { nodeName: 'node-7', zone: null }],
  'ingress-nginx-configmap': ['ops/controller.v1', { ingressNginxConfigMap: 'ops/controller.v1' }],
  'tcp-services-configmap': ['ops/tcp', { tcpServicesConfigMap: 'ops/tcp' }],
  'udp-services-configmap': ['ops/udp', { udpServicesConfigMap: 'ops/udp' }],
  'watch-namespace-selector': [
    'team=shop',
    { namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['shop'] }] } },
  ],
  'annotations-prefix': ['ops.example.com', { annotationsPrefix: 'ops.example.com' }],
  'external-names': ['false', { externalNames: false }],
  'catch-all': ['false', { catchAll: false }],
  'health-check-path': ['/a//b', { healthCheckPath: '/a/b' }],
  zone: ['eu-1a', { nodeName: null, zone: 'eu-1a' }],
  'snapshot-file': ['/var/lib/s', { snapshotFile: '/var/lib/s', snapshotSecrets: false }],
  'publish-address': ['192.0.2.1', { publish: { addresses: ['192.0.2.1'] } }],
  'publish-service': ['ops/edge', { publish: { service: 'ops/edge' } }],
  'publish-status': ['false', { publish: { status: false, events: true } }],
  'publish-events': ['false', { publish: { status: true, events: false } }],
  'drop-in': [
    'ingress-nginx',
    {
      ingressClass: 'nginx',
      controllerName: 'k8s.io/ingress-nginx',
      allowCrossNamespaceExternalNames: true,
      hsts: 'max-age=31536000; includeSubDomains',
    },
  ],
  'publish-namespace': ['ops', { publish: { namespace: 'ops' } }],
  'leader-elect-lease-duration': ['1m', { publish: { leaseDurationMs: 60_000 } }],
  'http-port': ['8080', { httpPort: 8080 }],
  h2c: ['true', { h2c: true }],
  'https-port': ['8443', { httpsPort: 8443 }],
  'proxy-protocol-from': ['10.0.0.0/8', { proxyProtocolFrom: ['10.0.0.0/8'] }],
  'proxy-protocol-https-port': ['8443', { proxyProtocolHttpsPorts: [8443] }],
  'default-tls-secret': ['ops/edge.tls', { defaultTlsSecret: 'ops/edge.tls' }],
  'ssl-redirect': ['false', { sslRedirect: false }],
  hsts: ['max-age=60; includeSubDomains; preload', { hsts: 'max-age=60; includeSubDomains; preload' }],
  'tls-min-version': ['1.3', { tlsMinVersion: '1.3' }],
  'tls-ciphers': ['ECDHE-RSA-AES128-GCM-SHA256', { tlsCiphers: 'ECDHE-RSA-AES128-GCM-SHA256' }],
  'bind-address': ['fd00::1', { bindAddress: 'fd00::1' }],
  'status-port': ['0', { statusPort: 0 }],
  'status-socket': ['/run/status.sock', { statusSocket: '/run/status.sock' }],
  'admin-socket': ['/run/admin.sock', { adminSocket: '/run/admin.sock' }],
  'recent-requests': ['200', { recentRequests: 200 }],
  'admin-address': ['[::1]:9000', { adminAddress: { host: '::1', port: 9000 } }],
  'trusted-proxies': ['10.0.0.0/8', { trustedProxies: ['10.0.0.0/8'] }],
  'trust-trace-context': ['false', { trustTraceContext: false }],
  'rate-limit-store': [
    'rediss://portico:p%40ss@limits.example:6380/2',
    {
      rateLimitStore: {
        ...{ host: 'limits.example', port: 6380, tls: true },
        ...{ username: 'portico', password: 'p@ss', database: 2 },
      },
    },
  ],
  engine: ['http-proxy', { engine: 'http-proxy' }],
  sockets: ['node', { sockets: 'node' }],
  workers: ['3', { workers: 3 }],
  limit: ['attempts=5', { limits: { ...DEFAULT_LIMITS, attempts: 5 } }],
  'metrics-compat': ['ingress-nginx', { metricsCompat: 'ingress-nginx' }],
  'access-log': ['off', { accessLog: { ...LOG_OF_DEFAULTS, format: 'off' } }],
  'access-log-status': ['4xx', logFiltered({ statuses: [[400, 499]], share: 0 })],
  'access-log-min-duration': ['1s', logFiltered({ minDurationMs: 1_000, share: 0 })],
  'access-log-sample': ['0.01', logFiltered({ statuses: [[500, 599]], share: 0.01 })],
  'access-log-skip': ['/ready', logFiltered({ skip: ['/ready'] })],
  'access-log-redact': ['*-id', { accessLog: { ...LOG_OF_DEFAULTS, redact: ['*-id'] } }],
  'log-level': ['debug', { logLevel: 'debug' }],
  'log-format': ['text', { logFormat: 'text' }],
  'drain-timeout': ['5m', { drainTimeoutMs: 300_000 }],
};

describe.each(RUN_FLAGS.filter(({ value }) => value))('--$name', (flag) => {
  const [written, read] = VALUES[flag.name] ?? [];

  it('is read from the command line and from the environment, and the command line wins', () => {
    expect(written, 'a flag that this test does not know').toBeDefined();
    const given = flag.many ? [written ?? ''] : written;
    expect(configOf({ [flag.name]: given })).toMatchObject(read ?? {});
    expect(configOf({}, { [environmentName(flag)]: written })).toMatchObject(read ?? {});
    expect(configOf({ [flag.name]: given }, { [environmentName(flag)]: '\0 nonsense' })).toMatchObject(
      read ?? {},
    );
  });

  it('is as good as not there when its variable is empty', () => {
    expect(configOf({}, { [environmentName(flag)]: '' })).toEqual(configOf({}));
  });
});

it.each(RUN_FLAGS.filter(({ value }) => !value))(
  '--$name is a switch, with words for it in the environment',
  (flag) => {
    const key = flag.name.replace(/-./g, ([, letter = '']) => letter.toUpperCase()) as keyof Config;
    expect(configOf({ [flag.name]: true })[key]).toBe(true);
    for (const yes of ['true', '1', 'YES', 'on'])
      expect(configOf({}, { [environmentName(flag)]: yes })[key]).toBe(true);
    for (const no of ['false', '0', 'no', 'OFF', '']) {
      expect(configOf({}, { [environmentName(flag)]: no })[key]).toBe(false);
    }
    expect(mistakesOf({}, { [environmentName(flag)]: 'perhaps' })).toEqual([
      `${environmentName(flag)}: 'perhaps' is neither true nor false`,
    ]);
  },
);

it.each([
  ['http-port', '0', "'0' is not a port; give a number from 1 to 65535"],
  ['http-port', '65536', "'65536' is not a port"],
  ['http-port', '8080x', "'8080x' is not a port"],
  ['http-port', '1e3', "'1e3' is not a port"],
  ['http-port', '-1', "'-1' is not a port"],
  ['status-port', '70000', 'give a number from 0 to 65535'],
  [
    'admin-address',
    '0.0.0.0:9000',
    'the admin API asks nobody who they are; write one such as 127.0.0.1:10253',
  ],
  ['recent-requests', '1001', "'1001' is not a number from 0 to 1000"],
  ['admin-address', 'localhost:9000', 'is not a loopback address with a port'],
  ['admin-address', '127.0.0.1:0', 'is not a loopback address with a port'],
  ['https-port', '-1', 'give a number from 0 to 65535'],
  ['default-tls-secret', 'edge', 'write namespace/name'],
  ['access-log', '$statu', "the template has '$statu', which is not a variable; did you mean $status?"],
  ['access-log', '$geoip_city', 'which is not a variable; docs/reference/access-log.md lists them'],
  ['access-log', `$status${'x'.repeat(9_000)}`, 'the template is too long'],
  ['access-log-sample', '1.5', "'1.5' is not a share"],
  ['watch-namespace-selector', 'a in b', 'is not a label selector'],
  ['annotations-prefix', 'a/b', 'is not the prefix of a name'],
  ['ssl-redirect', 'perhaps', 'is neither true nor false'],
  ['hsts', 'on', "'on' is neither off nor such as 'max-age=31536000"],
  ['hsts', 'max-age=1\r\nX: y', 'is neither off nor such as'],
  ['tls-min-version', '1.1', "'1.1' is not valid; use 1.2 or 1.3"],
  ['tls-ciphers', 'ROT13', "'ROT13' names no cipher suite that OpenSSL knows"],
  ['bind-address', 'localhost', "'localhost' is not an IP address"],
  ['bind-address', '127.1', "'127.1' is not an IP address"],
  ['engine', 'Relay', "'Relay' is not valid; use relay or http-proxy"],
  ['sockets', 'libuv', "'libuv' is not valid; use auto, native or node"],
  ['workers', '0', 'give auto or a number from 1 to 1024'],
  ['workers', '1025', 'give auto or a number from 1 to 1024'],
  ['workers', '1.5', 'give auto or a number from 1 to 1024'],
  ['access-log', 'on', "'on' is not valid; use auto, off, json, text, ingress-nginx or a template"],
  ['log-level', 'trace', "'trace' is not valid; use debug, info, warn, error or silent"],
  ['log-format', 'yaml', "'yaml' is not valid; use auto, json or text"],
  ['drain-timeout', '30', 'write a number with ms, s, m or h'],
  ['drain-timeout', '-1s', 'is not a duration'],
  ['drain-timeout', '1.5s', 'is not a duration'],
  ['drain-timeout', '600h', 'at most 24 days'],
  ['default-backend', 'svc:80', "'svc:80' does not name a Service port; write namespace/service:port"],
  ['default-backend', 'ns/svc', 'write namespace/service:port'],
  ['default-backend', 'ns/SVC:80', 'write namespace/service:port'],
  ['publish-service', 'edge', 'write namespace/service'],
  ['publish-namespace', 'Ops', 'is not the name of a namespace'],
  ['leader-elect-lease-duration', '2s', "'2s' is not a duration from 3s to 1h"],
  ['leader-elect-lease-duration', '61m', "'61m' is not a duration from 3s to 1h"],
  ['leader-elect-lease-duration', '5d', "'5d' is not a duration from 3s to 1h"],
  ['gateway-service-ports', '22047-20000', 'is not a range of ports'],
  ['gateway-service-ports', '0-99999', 'is not a range of ports'],
  ['publish-status', 'maybe', "'maybe' is neither true nor false"],
  ['ingress-class', ' ', 'is empty; give a value or leave the flag out'],
])('--%s %s is a mistake', (name, value, said) => {
  const errors = mistakesOf({ [name]: value });
  expect(errors).toEqual([expect.stringContaining(said)]);
  expect(errors[0]).toMatch(new RegExp(`^--${name}: `));
});

it.each([
  ['trusted-proxies', ['10.0.0.0/33']],
  ['proxy-protocol-from', ['10.0.0.0/33']],
  ['proxy-protocol-https-port', ['65536']],
  ['trusted-proxies', ['10.0.0/8']],
  ['trusted-proxies', ['fd00::/129']],
  ['trusted-proxies', ['10.0.0.0/8/8']],
  ['trusted-proxies', ['10.0.0.0/']],
  ['publish-address', ['0.0.0.0']],
  ['gateway-addresses', ['service']],
  ['publish-address', ['no_host!']],
  ['publish-address', ['10.0.0.300']],
  ['watch-namespace', ['a/b']],
  ['watch-namespace', ['']],
  ['limit', ['speed=3']],
  ['limit', ['attempts']],
  ['limit', ['attempts=0']],
  ['limit', ['attempts=-3']],
  ['limit', ['connect-timeout=5']],
  ['limit', ['head-bytes=32k']],
])('--%s %s is a mistake, beside values that are none', (name, value) => {
  const good = VALUES[name]?.[0] ?? '';
  expect(mistakesOf({ [name]: [good, ...value, good] })).toEqual([expect.stringMatching(`^--${name}: `)]);
});

it('a list in the environment is parted by commas or blanks', () => {
  const env = { PORTICO_TRUSTED_PROXIES: '10.0.0.0/8, 192.168.0.1  fd00::/8,', PORTICO_MANIFESTS: 'a b' };
  expect(configOf({}, env)).toMatchObject({
    trustedProxies: ['10.0.0.0/8', '192.168.0.1', 'fd00::/8'],
    source: { kind: 'manifests', paths: ['a', 'b'] },
  });
});

it('a comma within the braces of a glob parts nothing', () => {
  const env = { PORTICO_WATCH_NAMESPACE: '{web,shop},team-* {a,b}-{c,d}' };
  expect(configOf({}, env).watchNamespaces).toEqual(['{web,shop}', 'team-*', '{a,b}-{c,d}']);
});

it('manifests have nowhere to publish to, and may use the loopback', () => {
  expect(mistakesOf({ manifests: ['a'], 'publish-address': ['192.0.2.1'] })).toEqual([
    '--manifests and --publish-address exclude each other: files have nowhere to publish to',
  ]);
  expect(configOf({ manifests: ['a'] }).allowLoopback).toBe(true);
  expect(configOf({}).allowLoopback).toBe(false);
  expect(mistakesOf({ 'publish-address': ['192.0.2.1'], 'publish-service': 'ops/edge' })).toHaveLength(1);
});

it('every limit can be set, sizes as numbers and times with their unit; the others keep their defaults', () => {
  for (const key of Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]) {
    const time = key.endsWith('Ms');
    const limit = `${limitFlagName(key)}=${time ? '7s' : '7'}`;
    expect(configOf({ limit: [limit] }).limits).toEqual({ ...DEFAULT_LIMITS, [key]: time ? 7_000 : 7 });
  }
  expect(configOf({ limit: ['attempts=2', 'attempts=4'] }).limits.attempts).toBe(4);
});

it.each([
  ['0ms', 0],
  ['250ms', 250],
  ['90s', 90_000],
  ['2m', 120_000],
  ['24h', 86_400_000],
])('the duration %s is %d ms', (written, ms) => {
  expect(configOf({ 'drain-timeout': written }).drainTimeoutMs).toBe(ms);
});

it('a misspelt word for --gateway-addresses is told which one there is', () => {
  expect(mistakesOf({ 'gateway-addresses': ['servce'] })).toEqual([
    '--gateway-addresses: "servce" is not an address range: write it like 10.0.0.0/8 or fd00::/8, or write service',
  ]);
});

it('Services of Gateways need a cluster', () => {
  const flags = { 'gateway-addresses': ['service'] };
  const gatewayServicePorts = { first: 20_000, last: 22_047 };
  expect(configOf(flags)).toMatchObject({ gatewayAddresses: [], gatewayServicePorts });
  expect(mistakesOf({ ...flags, manifests: ['a'] })).toEqual([
    '--gateway-addresses service needs a cluster, where Portico can make Services',
  ]);
});

it('the ports must differ, unless there is no status port', () => {
  expect(mistakesOf({ 'http-port': '9000', 'status-port': '9000' })).toEqual([
    '--status-port and --http-port are both 9000: give them different ports',
  ]);
  expect(mistakesOf({ 'http-port': 'x', 'status-port': 'y' })).toHaveLength(2);
});

it('manifests and a kubeconfig on one command line exclude each other; the environment yields', () => {
  expect(mistakesOf({ manifests: ['a'], kubeconfig: '/k', context: 'c' })).toEqual([
    '--manifests and --kubeconfig exclude each other: choose files or a cluster',
    '--manifests and --context exclude each other: choose files or a cluster',
  ]);
  expect(configOf({ manifests: ['a'] }, { PORTICO_KUBECONFIG: '/k' }).source).toEqual({
    kind: 'manifests',
    paths: ['a'],
  });
});

it('a --kubeconfig on the command line wins over manifests in the environment', () => {
  expect(configOf({ kubeconfig: '/k' }, { PORTICO_MANIFESTS: 'a' }).source).toEqual({
    kind: 'cluster',
    kubeconfig: '/k',
    context: null,
  });
});

it('every mistake is named, those of the environment by their variable', () => {
  expect(
    mistakesOf({ 'http-port': 'x', engine: 'y' }, { PORTICO_WORKERS: 'z', PORTICO_LIMIT: 'attempts=0' }),
  ).toEqual([
    expect.stringMatching(/^--http-port: /),
    expect.stringMatching(/^--engine: /),
    expect.stringMatching(/^PORTICO_WORKERS: /),
    expect.stringMatching(/^PORTICO_LIMIT: attempts: /),
  ]);
});

it('check and explain read what they need, and nothing else can be wrong', () => {
  const result = resolveCompileConfig({ manifests: ['a'] }, { PORTICO_STATUS_PORT: 'zero' });
  expect(result).toMatchObject({ kind: 'ok', config: { source: { kind: 'manifests', paths: ['a'] } } });
});

it('HTTPS is on 443 beside HTTP on 80, and off beside another port unless it is asked for', () => {
  const httpsPort = (flags: FlagValues): number | undefined => {
    const resolved = resolveConfig(flags, {});
    return resolved.kind === 'ok' ? resolved.config.httpsPort : undefined;
  };
  expect(httpsPort({})).toBe(443);
  expect(httpsPort({ 'http-port': '8080' })).toBe(0);
  expect(httpsPort({ 'http-port': '8080', 'https-port': '8443' })).toBe(8443);
  expect(httpsPort({ 'https-port': '0' })).toBe(0);
});

it('what --drop-in stands for yields to each flag and variable', () => {
  const flags = { 'drop-in': 'ingress-nginx', 'ingress-class': 'public', hsts: 'off' };
  const config = configOf(flags, { PORTICO_ALLOW_CROSS_NAMESPACE_EXTERNAL_NAMES: 'false' });
  expect(config).toMatchObject({
    ingressClass: 'public',
    controllerName: 'k8s.io/ingress-nginx',
    allowCrossNamespaceExternalNames: false,
    allowCrossNamespaceReferences: false,
    hsts: null,
  });
  expect(mistakesOf({ 'drop-in': 'haproxy' })).toEqual([
    "--drop-in: 'haproxy' is not valid; use ingress-nginx",
  ]);
});

it.each([
  'limits.example:6379',
  'http://:hunter2@limits.example',
  'redis://:hunter2@',
  'redis://:hunter2@limits.example/database',
  'redis://:hunter2@limits.example/0?timeout=5',
  'redis://:hunter2%zz@limits.example',
])('--rate-limit-store %s is a mistake, and what it says has no password', (value) => {
  const errors = mistakesOf({ 'rate-limit-store': value });
  expect(errors).toHaveLength(1);
  expect(errors[0]).not.toContain('hunter2');
});
