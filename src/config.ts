import { availableParallelism } from 'node:os';
import { BlockList, isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import picomatch from 'picomatch';
import { type AccessLogFormat } from './proxy/access-log.ts';
import { DEFAULT_LIMITS, type Limits } from './proxy/limits.ts';
import { ENGINES, type EngineName } from './proxy/messages.ts';
import { DEFAULT_CIPHERS, TLS_VERSIONS, type TlsVersion } from './proxy/tls/certificates.ts';
import { isLabel, isSubdomain } from './routing/names.ts';
import {
  CLASS_FLAGS,
  CLEANUP_FLAGS,
  type Flag,
  PUBLISH_FLAGS,
  RUN_FLAGS,
  SOURCE_FLAGS,
  environmentName,
  limitFlagName,
} from './flags.ts';

/** Where objects come from. */
export type SourceConfig =
  | { readonly kind: 'manifests'; readonly paths: readonly string[] }
  | { readonly kind: 'cluster'; readonly kubeconfig: string | null; readonly context: string | null };

/** What is compiled: shared by `run`, `check` and `explain`. */
export interface CompileConfig {
  readonly source: SourceConfig;
  /** Globs; empty for all namespaces. */
  readonly watchNamespaces: readonly string[];
  readonly ingressClass: string;
  readonly controllerName: string;
  readonly watchIngressWithoutClass: boolean;
  /** Whether backends may be on this machine's loopback and link-local addresses. */
  readonly allowLoopback: boolean;
  readonly defaultBackend: {
    readonly namespace: string;
    readonly service: string;
    readonly port: string;
  } | null;
}

/** What is written to the cluster. */
export interface PublishConfig {
  /** IP addresses and host names. */
  readonly addresses: readonly string[];
  /** `namespace/name` of the Service whose addresses are published. */
  readonly service: string | null;
  readonly status: boolean;
  readonly events: boolean;
  /** Of the Lease; null for that of the Pod. */
  readonly namespace: string | null;
}

export interface CleanupConfig extends Pick<
  CompileConfig,
  'watchNamespaces' | 'ingressClass' | 'controllerName' | 'watchIngressWithoutClass'
> {
  readonly kubeconfig: string | null;
  readonly context: string | null;
  readonly addresses: readonly string[];
  readonly namespace: string | null;
  readonly dryRun: boolean;
}

export interface Config extends CompileConfig {
  readonly publish: PublishConfig;
  /** Where this Portico runs; null when nobody said. */
  readonly nodeName: string | null;
  readonly zone: string | null;
  readonly httpPort: number;
  readonly h2c: boolean;
  /** 0 for none. */
  readonly httpsPort: number;
  readonly proxyProtocolFrom: readonly string[];
  /** `namespace/name` */
  readonly defaultTlsSecret: string | null;
  readonly sslRedirect: boolean;
  /** The value of Strict-Transport-Security; null for none. */
  readonly hsts: string | null;
  readonly tlsMinVersion: TlsVersion;
  readonly tlsCiphers: string;
  readonly bindAddress: string | null;
  /** 0 for none. */
  readonly statusPort: number;
  /** A Unix socket that answers the same. */
  readonly statusSocket: string | null;
  readonly trustedProxies: readonly string[];
  readonly engine: EngineName;
  readonly workers: number;
  readonly limits: Limits;
  readonly accessLog: AccessLogFormat;
  readonly logLevel: LogLevel;
  readonly logFormat: 'auto' | 'json' | 'text';
  readonly drainTimeoutMs: number;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the command line says of each flag, by flag name. */
export type FlagValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
export type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigResult<T> =
  | { readonly kind: 'ok'; readonly config: T }
  /** Every mistake, each a line that names the flag or variable. */
  | { readonly kind: 'invalid'; readonly mistakes: readonly string[] };

/** The whole configuration of `portico run`, or every mistake in it. Flags win over the environment. */
export function resolveConfig(flags: FlagValues, env: Environment): ConfigResult<Config> {
  const read = new Reader(RUN_FLAGS, flags, env);
  const config: Config = {
    ...readCompileConfig(read),
    publish: readPublishConfig(read),
    nodeName: read.optional('node-name', text),
    zone: read.optional('zone', text),
    httpPort: read.one('http-port', port(1)),
    h2c: read.flag('h2c'),
    httpsPort: read.one('https-port', port(0)),
    proxyProtocolFrom: read.many('proxy-protocol-from', cidr),
    defaultTlsSecret: read.optional('default-tls-secret', secretName),
    sslRedirect: read.one('ssl-redirect', boolean),
    hsts: read.one('hsts', hsts),
    tlsMinVersion: read.one('tls-min-version', oneOf(TLS_VERSIONS)),
    tlsCiphers: read.optional('tls-ciphers', ciphers) ?? DEFAULT_CIPHERS,
    bindAddress: read.optional('bind-address', ipAddress),
    statusPort: read.one('status-port', port(0)),
    statusSocket: read.optional('status-socket', text),
    trustedProxies: read.many('trusted-proxies', cidr),
    engine: read.one('engine', oneOf(ENGINES)),
    workers: read.one('workers', workers),
    limits: limits(read.many('limit', limit)),
    accessLog: read.one('access-log', oneOf(['off', 'json', 'text'])),
    logLevel: read.one('log-level', oneOf(LOG_LEVELS)),
    logFormat: read.one('log-format', oneOf(['auto', 'json', 'text'])),
    drainTimeoutMs: read.one('drain-timeout', duration),
  };
  if (config.source.kind === 'manifests') {
    for (const { name } of PUBLISH_FLAGS) {
      if (read.given(name))
        read.mistakes.push(`--manifests and --${name} exclude each other: files have nowhere to publish to`);
    }
  }
  // Neither is a number after a mistake in it.
  const ports = [
    ['--status-port', config.statusPort],
    ['--https-port', config.httpsPort],
    ['--http-port', config.httpPort],
  ] as const;
  for (const [index, [flag, number]] of ports.entries()) {
    const [other] = ports.slice(index + 1).find(([, each]) => each > 0 && each === number) ?? [];
    if (other) read.mistakes.push(`${flag} and ${other} are both ${number}: give them different ports`);
  }
  return read.result(config);
}

/** The configuration of `portico check` and `portico explain`, or every mistake in it. */
export function resolveCompileConfig(flags: FlagValues, env: Environment): ConfigResult<CompileConfig> {
  const read = new Reader([...SOURCE_FLAGS, ...CLASS_FLAGS], flags, env);
  return read.result(readCompileConfig(read));
}

/** The configuration of `portico cleanup`, or every mistake in it. */
export function resolveCleanupConfig(flags: FlagValues, env: Environment): ConfigResult<CleanupConfig> {
  const read = new Reader(CLEANUP_FLAGS, flags, env);
  return read.result({
    kubeconfig: read.optional('kubeconfig', text),
    context: read.optional('context', text),
    watchNamespaces: read.many('watch-namespace', namespaceGlob),
    ingressClass: read.one('ingress-class', text),
    controllerName: read.one('controller-name', text),
    watchIngressWithoutClass: read.flag('watch-ingress-without-class'),
    addresses: read.many('publish-address', publishAddress),
    namespace: read.optional('publish-namespace', namespaceName),
    dryRun: read.flag('dry-run'),
  });
}

function readPublishConfig(read: Reader): PublishConfig {
  const addresses = read.many('publish-address', publishAddress);
  const service = read.optional('publish-service', serviceName);
  if (addresses.length > 0 && service !== null) {
    read.mistakes.push(
      '--publish-address and --publish-service exclude each other: give the addresses or the Service that has them',
    );
  }
  return {
    addresses,
    service,
    status: read.flag('publish-status'),
    events: read.flag('publish-events'),
    namespace: read.optional('publish-namespace', namespaceName),
  };
}

function readCompileConfig(read: Reader): CompileConfig {
  // What the command line says wins: manifests of the environment yield to a cluster named there.
  const clusterNamed = read.given('kubeconfig') || read.given('context');
  const manifests = clusterNamed && !read.given('manifests') ? [] : read.many('manifests', text);
  const kubeconfig = read.optional('kubeconfig', text);
  const context = read.optional('context', text);
  if (manifests.length > 0) {
    for (const name of ['kubeconfig', 'context']) {
      if (read.given(name))
        read.mistakes.push(`--manifests and --${name} exclude each other: choose files or a cluster`);
    }
  }
  return {
    source:
      manifests.length > 0
        ? { kind: 'manifests', paths: manifests }
        : { kind: 'cluster', kubeconfig, context },
    watchNamespaces: read.many('watch-namespace', namespaceGlob),
    ingressClass: read.one('ingress-class', text),
    controllerName: read.one('controller-name', text),
    watchIngressWithoutClass: read.flag('watch-ingress-without-class'),
    // Whoever writes a manifest file is on this machine already; whoever writes into a cluster is not.
    allowLoopback: manifests.length > 0 || read.flag('allow-loopback'),
    defaultBackend: read.optional('default-backend', servicePort),
  };
}

type Parsed<T> = { readonly value: T } | { readonly mistake: string };
type Parse<T> = (text: string) => Parsed<T>;

/** Reads flags one by one and gathers what is wrong with them. */
class Reader {
  readonly mistakes: string[] = [];
  readonly #declared: ReadonlyMap<string, Flag>;
  readonly #flags: FlagValues;
  readonly #env: Environment;

  constructor(declared: readonly Flag[], flags: FlagValues, env: Environment) {
    this.#declared = new Map(declared.map((flag) => [flag.name, flag]));
    this.#flags = flags;
    this.#env = env;
  }

  /** Whether the command line itself, and not the environment, has the flag. */
  given(name: string): boolean {
    return this.#flags[name] !== undefined;
  }

  one<T>(name: string, parse: Parse<T>): T {
    const [place, value] = this.#texts(name);
    // After a mistake the value is never used: the result is a list of mistakes.
    return this.#parse(place, value[0] ?? '', parse) as T;
  }

  optional<T>(name: string, parse: Parse<T>): T | null {
    const [place, value] = this.#texts(name);
    return value[0] === undefined ? null : (this.#parse(place, value[0], parse) ?? null);
  }

  many<T>(name: string, parse: Parse<T>): T[] {
    const [place, value] = this.#texts(name);
    return value.map((each) => this.#parse(place, each, parse)).filter((each) => each !== undefined);
  }

  flag(name: string): boolean {
    const [place, value] = this.#texts(name);
    return value[0] === undefined ? false : (this.#parse(place, value[0], boolean) ?? false);
  }

  result<T>(config: T): ConfigResult<T> {
    if (this.mistakes.length > 0) return { kind: 'invalid', mistakes: this.mistakes };
    return { kind: 'ok', config: deepFreeze(config) };
  }

  #parse<T>(place: string, value: string, parse: Parse<T>): T | undefined {
    const parsed = parse(value);
    if ('value' in parsed) return parsed.value;
    this.mistakes.push(`${place}: ${parsed.mistake}`);
    return undefined;
  }

  #texts(name: string): [place: string, texts: readonly string[]] {
    const flag = this.#declared.get(name);
    if (!flag) throw new Error(`flag ${name} is read but not declared`);
    const given = this.#flags[name];
    if (given !== undefined) return [`--${name}`, typeof given === 'object' ? given : [String(given)]];
    const variable = environmentName(flag);
    const fromEnvironment = this.#env[variable];
    if (fromEnvironment !== undefined && fromEnvironment !== '') {
      // A comma within braces belongs to a glob: {web,shop}
      const texts = flag.many
        ? fromEnvironment.split(/[\s,]+(?![^{}]*\})/).filter(Boolean)
        : [fromEnvironment];
      return [variable, texts];
    }
    return [`--${name}`, flag.default === undefined ? [] : [flag.default]];
  }
}

const text: Parse<string> = (given) =>
  given.trim() === '' ? { mistake: 'is empty; give a value or leave the flag out' } : { value: given };

const boolean: Parse<boolean> = (given) => {
  if (/^(true|1|yes|on)$/i.test(given)) return { value: true };
  if (/^(false|0|no|off)$/i.test(given)) return { value: false };
  return { mistake: `'${given}' is neither true nor false` };
};

function oneOf<const T extends string>(choices: readonly T[]): Parse<T> {
  return (given) => {
    const value = choices.find((choice) => choice === given);
    return value === undefined ? { mistake: `'${given}' is not one of ${choices.join(', ')}` } : { value };
  };
}

function port(lowest: number): Parse<number> {
  return (given) => {
    const value = Number(given);
    if (/^\d{1,5}$/.test(given) && value >= lowest && value <= 65_535) return { value };
    return { mistake: `'${given}' is not a port; give a number from ${lowest} to 65535` };
  };
}

const ipAddress: Parse<string> = (given) =>
  isIP(given)
    ? { value: given }
    : { mistake: `'${given}' is not an IP address; names are not resolved here` };

const publishAddress: Parse<string> = (given) => {
  const address = given.toLowerCase();
  if (isIP(address) > 0) {
    const zoned = address.includes('%') || address === '0.0.0.0' || address === '::';
    return zoned ? { mistake: `'${given}' is not an address that clients can use` } : { value: address };
  }
  if (isSubdomain(address) && !/^[\d.]+$/.test(address)) return { value: address };
  return { mistake: `'${given}' is neither an IP address nor a host name` };
};

const namespaceName: Parse<string> = (given) =>
  isLabel(given) ? { value: given } : { mistake: `'${given}' is not the name of a namespace` };

const serviceName: Parse<string> = (given) => {
  const [namespace = '', name = '', ...rest] = given.split('/');
  if (isLabel(namespace) && isLabel(name) && rest.length === 0) return { value: given };
  return { mistake: `'${given}' does not name a Service; write namespace/service` };
};

const cidr: Parse<string> = (given) => {
  const [address = '', prefix, ...rest] = given.split('/');
  const family = isIP(address);
  const longest = family === 6 ? 128 : 32;
  const length = prefix === undefined ? longest : Number(prefix);
  if (
    family === 0 ||
    rest.length > 0 ||
    (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) ||
    length > longest
  ) {
    return { mistake: `'${given}' is not a network such as 10.0.0.0/8 or fd00::/8` };
  }
  new BlockList().addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4');
  return { value: given };
};

const workers: Parse<number> = (given) => {
  if (given === 'auto') return { value: availableParallelism() };
  const value = Number(given);
  if (/^\d{1,4}$/.test(given) && value >= 1 && value <= 1024) return { value };
  return { mistake: `'${given}' is not a number of threads; give auto or a number from 1 to 1024` };
};

const namespaceGlob: Parse<string> = (given) => {
  if (!/^[a-z0-9*?[\]{},!()|-]{1,253}$/.test(given)) {
    return { mistake: `'${given}' is not a glob over namespace names such as team-* or {web,shop}` };
  }
  try {
    picomatch.makeRe(given);
    return { value: given };
  } catch (error) {
    return { mistake: `'${given}' is not a glob: ${(error as Error).message}` };
  }
};

const secretName: Parse<string> = (given) =>
  /^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/.test(given)
    ? { value: given }
    : { mistake: `'${given}' does not name a Secret; write namespace/name` };

/** RFC 6797 6.1, and the directive of the browsers' preload list. */
const hsts: Parse<string | null> = (given) => {
  if (given === 'off') return { value: null };
  if (/^max-age=\d{1,10}(?:; ?(?:includeSubDomains|preload))*$/.test(given)) return { value: given };
  return {
    mistake: `'${given}' is neither off nor such as 'max-age=31536000; includeSubDomains; preload' (seconds)`,
  };
};

const ciphers: Parse<string> = (given) => {
  try {
    createSecureContext({ ciphers: given });
    return { value: given };
  } catch {
    return {
      mistake: `'${given}' names no cipher suite that OpenSSL knows; 'openssl ciphers -v' lists them`,
    };
  }
};

const servicePort: Parse<{ namespace: string; service: string; port: string }> = (given) => {
  const [, namespace, service, port] =
    /^([a-z0-9-]{1,63})\/([a-z0-9-]{1,63}):([a-z0-9-]{1,15})$/.exec(given) ?? [];
  if (namespace && service && port) return { value: { namespace, service, port } };
  return { mistake: `'${given}' does not name a Service port; write namespace/service:port` };
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

const duration: Parse<number> = (given) => {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(given) ?? [];
  const value = Number(amount) * (DURATION_UNITS_MS[unit ?? ''] ?? Number.NaN);
  // A timer longer than this fires at once.
  if (value <= 2 ** 31 - 1) return { value };
  return { mistake: `'${given}' is not a duration; write a number with ms, s, m or h, at most 24 days: 30s` };
};

const limit: Parse<readonly [keyof Limits, number]> = (given) => {
  const [, name, value = ''] = /^([a-z-]+)=(.*)$/.exec(given) ?? [];
  const key = (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).find((each) => limitFlagName(each) === name);
  if (!key) {
    const names = (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map(limitFlagName).join(', ');
    return { mistake: `'${given}' sets no limit; write name=value with one of ${names}` };
  }
  const parsed: Parsed<number> = key.endsWith('Ms') ? duration(value) : positive(value);
  return 'value' in parsed ? { value: [key, parsed.value] } : { mistake: `${name}: ${parsed.mistake}` };
};

const positive: Parse<number> = (given) =>
  /^[1-9]\d{0,8}$/.test(given)
    ? { value: Number(given) }
    : { mistake: `'${given}' is not a positive whole number` };

function limits(given: readonly (readonly [keyof Limits, number])[]): Limits {
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(given) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
