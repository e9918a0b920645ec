import { INGRESS_NGINX_FORMAT, type LogTemplate, readLogTemplate } from '../http/log-template.ts';
import { createSecureContext } from 'node:tls';
import { patternFault } from '../http/pattern.ts';
import { parseCidr } from '../http/trusted-proxies.ts';
import type { SamplerSettings } from '../http/sampler.ts';
import type { ConfigMap } from '../model/objects.ts';
import { type ObjectReference, type Problem, problem, referenceTo } from '../model/problem.ts';
import { asObject, quote } from '../model/untyped.ts';
import type { GlobalTracing } from './global-tracing.ts';
import type { GlobalDefaults } from '../policies/global-defaults.ts';
import { isReadByPolicy, isUnread, judgeOptionValue } from '../policies/ingress-nginx/options.ts';

/** Options in one ConfigMap that are looked at; ingress-nginx knows some 220. */
const MAX_OPTIONS = 500;
/** Entries of one list. */
const MAX_ENTRIES = 256;

/** What the ConfigMap of ingress-nginx says. */
export interface GlobalOptions {
  /** What policies read in place of annotations that are not written. */
  readonly defaults: GlobalDefaults;
  readonly settings: GlobalSettings;
  /** The options that restrict and cannot be honoured: while there is one, everything is closed. */
  readonly refused: readonly string[];
  readonly allowCrossNamespaceReferences: boolean | null;
  /** Whether paths of type Exact and Prefix may be regular expressions where an Ingress makes all paths ones. */
  readonly allowsAnyPathType: boolean;
}

/** What holds for all hosts alike: plain data for the data-plane threads. What is absent is left to the flags. */
export interface GlobalSettings {
  /** The value of Strict-Transport-Security; null for none. */
  readonly hsts?: string | null;
  /** Networks whose proxies are trusted. */
  readonly trustedProxies?: readonly string[];
  /** What clients may cost, in place of the flags; times in milliseconds, sizes in bytes. */
  readonly limits?: GlobalLimits;
  readonly accessLog?: AccessLogOptions;
  readonly tracing?: GlobalTracing;
  readonly httpsRedirect?: {
    readonly status: number;
    /** Rules whose path begins like one of these are not redirected. */
    readonly exempt: readonly string[];
  };
  readonly tls?: GlobalTls;
  /** Handshakes for hosts that have neither a rule nor a certificate fail. */
  readonly rejectsUnknownHosts?: true;
  readonly underscoresInHeaders?: boolean;
}

/** As `TlsSettings` has them. */
export interface GlobalTls {
  readonly minVersion?: '1.2' | '1.3';
  readonly maxVersion?: '1.2';
  readonly ciphers?: string;
}

/** What of the access log the ConfigMap decides. */
export interface AccessLogOptions {
  readonly isOff?: boolean;
  readonly template?: LogTemplate;
  /** As `LogFilterSettings` has it. */
  readonly skip?: readonly string[];
}

export interface GlobalLimits {
  readonly clientHeadTimeoutMs?: number;
  readonly bodyIdleTimeoutMs?: number;
  readonly keepAliveIdleTimeoutMs?: number;
  readonly requestsPerConnection?: number;
  readonly streamsPerConnection?: number;
  readonly connections?: number;
  readonly requestLineBytes?: number;
  readonly headBytes?: number;
}

/** Reads the options; what is wrong with them is a problem of their ConfigMap. */
export function readGlobalOptions(
  key: string,
  configMap: ConfigMap,
): { readonly options: GlobalOptions; readonly problems: readonly Problem[] } {
  const object = referenceTo('ConfigMap', key, configMap);
  const problems: Problem[] = [];
  const data = dataOf(configMap);
  const read = new OptionReader(data, object, problems);
  const judged = Object.entries(data).map(([name, value]) => ({ name, ...judgeOptionValue(name, value) }));
  const named = (verdict: string): string[] =>
    judged.filter((each) => each.verdict === verdict && !isReadByPolicy(each.name)).map(({ name }) => name);
  const refused = named('refused');
  const options: GlobalOptions = {
    defaults: Object.fromEntries(Object.entries(data).filter(([name]) => isReadByPolicy(name))),
    settings: readSettings(read),
    refused,
    allowCrossNamespaceReferences: read.bool('allow-cross-namespace-resources'),
    allowsAnyPathType: read.bool('strict-validate-path-type') === false,
  };
  const report = (severity: Problem['severity'], code: string, names: string[], message: string): void => {
    if (names.length > 0)
      problems.push(problem(severity, code, object, 'data', message.replace('NAMES', names.join(', '))));
  };
  report(
    'error',
    'GlobalOptionRefused',
    refused,
    'Portico cannot enforce NAMES, so every path of every Ingress answers 503; remove what may be open to all.',
  );
  const unread = judged.filter(({ name, verdict }) => verdict === 'reported difference' && isUnread(name));
  const missed = unread.map(({ name, instead: [instead] = [] }) =>
    instead === undefined ? name : `${name} (set ${instead})`,
  );
  report('warning', 'GlobalOptionUnsupported', missed, 'Portico does not read NAMES from here.');
  const unknown = judged.filter(({ verdict }) => verdict === undefined).map(({ name }) => quote(name));
  report('info', 'GlobalOptionUnknown', unknown, 'Portico knows no option NAMES and ignores it.');
  return { options, problems };
}

/** The text values that are not empty. */
function dataOf(configMap: ConfigMap): Record<string, string> {
  const entries = Object.entries(asObject(configMap.data)).slice(0, MAX_OPTIONS);
  return Object.fromEntries(
    entries.flatMap(([name, value]) => {
      const text = typeof value === 'string' ? value.trim() : '';
      return text === '' ? [] : [[name, text]];
    }),
  );
}

function readSettings(read: OptionReader): GlobalSettings {
  const hsts = readHsts(read);
  const trustedProxies = readTrustedProxies(read);
  const httpsRedirect = readRedirect(read);
  const limits = readLimits(read);
  const accessLog = readAccessLog(read);
  const tls = readTls(read);
  const underscoresInHeaders = read.bool('enable-underscores-in-headers');
  const tracing = readTracing(read);
  return {
    ...(hsts !== undefined && { hsts }),
    ...(trustedProxies !== undefined && { trustedProxies }),
    ...(httpsRedirect !== undefined && { httpsRedirect }),
    ...(tracing !== undefined && { tracing }),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(Object.keys(accessLog).length > 0 && { accessLog }),
    ...(Object.keys(tls).length > 0 && { tls }),
    ...(read.bool('ssl-reject-handshake') === true && { rejectsUnknownHosts: true }),
    ...(underscoresInHeaders !== null && { underscoresInHeaders }),
  };
}

/** Suites of TLS 1.3 are no part of the option, and those of Portico stay. */
function readTls(read: OptionReader): GlobalTls {
  const protocols = read.text(
    'ssl-protocols',
    /\bTLSv1\.[23]\b/,
    'has neither TLSv1.2 nor TLSv1.3: the flag counts',
  );
  const versions = protocols?.split(/\s+/) ?? null;
  const written = read.text(
    'ssl-ciphers',
    /^[\w:+!-]{1,2048}$/,
    'is not a list of cipher suites: the flag counts',
  );
  const ciphers = written === null ? null : `${SUITES_OF_TLS13}:${written}`;
  const isKnown = written === null || hasCiphers(written);
  if (!isKnown) read.report('ssl-ciphers', 'has no cipher suite that OpenSSL knows: the flag counts');
  return {
    ...(versions && { minVersion: versions.includes('TLSv1.2') ? '1.2' : '1.3' }),
    ...(versions && !versions.includes('TLSv1.3') && { maxVersion: '1.2' }),
    ...(ciphers !== null && isKnown && { ciphers }),
  };
}

const SUITES_OF_TLS13 = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

function hasCiphers(ciphers: string): boolean {
  try {
    createSecureContext({ ciphers, maxVersion: 'TLSv1.2' });
    return true;
  } catch {
    return false;
  }
}

function readAccessLog(read: OptionReader): AccessLogOptions {
  const isOff = read.bool('disable-access-log');
  const skip = readSkippedUrls(read);
  const template = readLogFormat(read);
  return {
    ...(isOff !== null && { isOff }),
    ...(skip.length > 0 && { skip }),
    ...(template !== null && { template }),
  };
}

/** Keys of a `map` of nginx: texts, or regular expressions behind `~`, behind `~*` without regard to case. */
function readSkippedUrls(read: OptionReader): readonly string[] {
  const name = 'skip-access-log-urls';
  const urls = (read.list(name) ?? []).map((url) => url.replace(/^~\*/, '~(?i)'));
  return urls.filter((url) => {
    const fault = url.startsWith('~') ? patternFault(url.slice(1)) : null;
    if (fault !== null) read.report(name, `has ${quote(url)}, which ${fault}: it skips nothing`);
    return fault === null;
  });
}

function readLogFormat(read: OptionReader): LogTemplate | null {
  const name = 'log-format-upstream';
  const escape =
    (read.bool('log-format-escape-none') === true && 'none') ||
    (read.bool('log-format-escape-json') === true && 'json') ||
    'default';
  if (!read.has(name) && escape === 'default') return null;
  // nginx reads it between single quotes.
  const written = read.has(name) ? read.textOf(name).replace(/\\(["'\\])/g, '$1') : INGRESS_NGINX_FORMAT;
  const found = readLogTemplate(written, escape);
  if (found === null) {
    read.report(name, 'is too long: the format of --access-log counts');
    return null;
  }
  if (found.unknown.length > 0) {
    const names = [...new Set(found.unknown)].slice(0, 10).join(', ');
    read.report(
      name,
      `has variables that Portico does not know, which are logged as if they were empty: ${names}`,
    );
  }
  return found.template;
}

function readHsts(read: OptionReader): string | null | undefined {
  const names = ['hsts', 'hsts-max-age', 'hsts-include-subdomains', 'hsts-preload'];
  if (!names.some((name) => read.has(name))) return undefined;
  if (read.bool('hsts') === false) return null;
  const maxAge = read.text('hsts-max-age', /^\d{1,10}$/, 'is not a number of seconds') ?? '31536000';
  const subdomains = read.bool('hsts-include-subdomains') === false ? '' : '; includeSubDomains';
  const preload = read.bool('hsts-preload') === true ? '; preload' : '';
  return `max-age=${maxAge}${subdomains}${preload}`;
}

function readTrustedProxies(read: OptionReader): readonly string[] | undefined {
  if (read.bool('use-forwarded-headers') !== true) return undefined;
  const field = read.text('forwarded-for-header', /./, '');
  if (field !== null && field.toLowerCase() !== 'x-forwarded-for') {
    read.report('forwarded-for-header', 'is not X-Forwarded-For: no proxy is trusted');
    return undefined;
  }
  const networks = read.list('proxy-real-ip-cidr') ?? ['0.0.0.0/0'];
  const bad = networks.find((network) => parseCidr(network).kind === 'bad');
  if (bad === undefined) return networks;
  read.report('proxy-real-ip-cidr', `has ${quote(bad)}, which is not a network: no proxy is trusted`);
  return undefined;
}

function readRedirect(read: OptionReader): GlobalSettings['httpsRedirect'] {
  if (!read.has('http-redirect-code') && !read.has('no-tls-redirect-locations')) return undefined;
  const status = read.text('http-redirect-code', /^30[1278]$/, 'is not 301, 302, 307 or 308') ?? '308';
  return { status: Number(status), exempt: read.list('no-tls-redirect-locations') ?? [] };
}

const DEFAULT = 'the default is used';
const GRPC_PORT = 4317;
const HTTP_PORT = 4318;
/** A ratio of otel-sampler-ratio. */
const RATIO = /^(?:0?\.\d{1,9}|0|1(?:\.0{1,9})?|0\.0{1,9}|\d\.?\d*e-\d{1,2})$/;

/** Undefined where it names no collector, and says nothing else that counts. */
function readTracing(read: OptionReader): GlobalTracing | undefined {
  const names = ['otlp-collector-host', 'otel-service-name', 'otel-sampler', 'otel-sampler-ratio'];
  if (!names.some((name) => read.has(name)) && !read.has('otel-sampler-parent-based')) return undefined;
  const host = readCollectorHost(read);
  const port = read.wholeNumber('otlp-collector-port', 1, 65_535, DEFAULT) ?? GRPC_PORT;
  return {
    collector: host === null ? null : { host, port: port === GRPC_PORT ? HTTP_PORT : port },
    serviceName: read.text(
      'otel-service-name',
      /^[^\p{Cc}]{1,255}$/u,
      'is too long, or has control characters',
    ),
    sampler: readSampler(read),
    queueSpans: read.wholeNumber('otel-max-queuesize', 1, 65_536, DEFAULT),
    delayMs: read.wholeNumber('otel-schedule-delay-millis', 100, 600_000, DEFAULT),
    batchSpans: read.wholeNumber('otel-max-export-batch-size', 1, 8_192, DEFAULT),
  };
}

function readCollectorHost(read: OptionReader): string | null {
  const fault = 'is not a host name or an address';
  const host = read.text('otlp-collector-host', /^[\w.-]{1,253}$|^[\da-fA-F:]{2,39}$/, fault);
  // Numbers that are no address, such as 10.0.0.256, look like a name.
  if (host === null || URL.canParse(`http://${host.includes(':') ? `[${host}]` : host}/`)) return host;
  read.report('otlp-collector-host', fault);
  return null;
}

const SAMPLERS = {
  AlwaysOn: 'always_on',
  AlwaysOff: 'always_off',
  TraceIdRatioBased: 'traceidratio',
} as const;

function readSampler(read: OptionReader): SamplerSettings {
  const fault = 'is not AlwaysOn, AlwaysOff or TraceIdRatioBased: AlwaysOn is used';
  const name = read.text('otel-sampler', /^(?:AlwaysOn|AlwaysOff|TraceIdRatioBased)$/, fault);
  const ratio = read.text('otel-sampler-ratio', RATIO, 'is not a number from 0 to 1: 0.01 is used');
  return {
    root: SAMPLERS[(name ?? 'AlwaysOn') as keyof typeof SAMPLERS],
    ratio: Number(ratio ?? '0.01'),
    parentBased: read.bool('otel-sampler-parent-based') ?? true,
  };
}

const MAX_HEAD_BYTES = 1024 * 1024;

function readLimits(read: OptionReader): GlobalLimits {
  const ms = (name: string): number | null => {
    const seconds = read.wholeNumber(name, 1, 86_400);
    return seconds === null ? null : seconds * 1_000;
  };
  // In nginx a connection that may not be kept is good for one request.
  const keeps = !read.has('keep-alive') || read.textOf('keep-alive') !== '0';
  const requests = read.wholeNumber('keep-alive-requests', 1, 1_000_000_000);
  const found: Record<keyof GlobalLimits, number | null> = {
    clientHeadTimeoutMs: ms('client-header-timeout'),
    bodyIdleTimeoutMs: ms('client-body-timeout'),
    keepAliveIdleTimeoutMs: keeps ? ms('keep-alive') : null,
    requestsPerConnection: keeps ? requests : 1,
    streamsPerConnection: read.wholeNumber('http2-max-concurrent-streams', 1, 10_000),
    connections: read.wholeNumber('max-worker-connections', 16, 1_000_000),
    ...readHeadBuffers(read),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null));
}

/** `4 8k`: a line must fit into one of so many buffers, a head into all of them. */
function readHeadBuffers(read: OptionReader): Record<'requestLineBytes' | 'headBytes', number | null> {
  const name = 'large-client-header-buffers';
  const written = read.text(name, /^\d{1,3} +\d{1,7}[kKmM]?$/, 'is not a number and a size, as in "4 8k"');
  const [, count = '', size = '', unit = ''] = /^(\d+) +(\d+)(\w?)$/.exec(written ?? '') ?? [];
  if (count === '') return { requestLineBytes: null, headBytes: null };
  const scale = { k: 1024, m: 1024 * 1024 }[unit.toLowerCase()] ?? 1;
  const buffer = Number(size) * scale;
  const head = Number(count) * buffer;
  if (buffer >= 1024 && head <= MAX_HEAD_BYTES) return { requestLineBytes: buffer, headBytes: head };
  read.report(name, 'is less than 1k for a line, or more than 1m for a head: the flags count');
  return { requestLineBytes: null, headBytes: null };
}

/** Reads options one by one; a value that is not valid is reported and counts as absent. */
class OptionReader {
  readonly #data: Readonly<Record<string, string>>;
  readonly #object: ObjectReference;
  readonly #problems: Problem[];

  constructor(data: Readonly<Record<string, string>>, object: ObjectReference, problems: Problem[]) {
    this.#data = data;
    this.#object = object;
    this.#problems = problems;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#data, name);
  }

  text(name: string, valid: RegExp, fault: string): string | null {
    const value = this.has(name) ? (this.#data[name] ?? '') : null;
    if (value === null || valid.test(value)) return value;
    this.report(name, fault);
    return null;
  }

  textOf(name: string): string {
    return this.#data[name] ?? '';
  }

  /** `instead` is what holds where it is none. */
  wholeNumber(name: string, least: number, most: number, instead = 'the flag counts'): number | null {
    const value = this.text(name, /^\d{1,12}$/, `is not a whole number: ${instead}`);
    const number = Number(value);
    if (value === null || (number >= least && number <= most)) return value === null ? null : number;
    this.report(name, `is not from ${least} to ${most}: ${instead}`);
    return null;
  }

  bool(name: string): boolean | null {
    const value = this.text(
      name,
      /^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/,
      'is not true or false',
    );
    return value === null ? null : /^[1tT]/.test(value);
  }

  /** Texts with commas between them. */
  list(name: string): readonly string[] | null {
    const value = this.text(name, /[^\s,]/, 'is empty');
    const entries = value?.split(',').flatMap((each) => each.trim() || []) ?? null;
    if (entries === null || entries.length <= MAX_ENTRIES) return entries;
    this.report(name, `has ${entries.length} entries, of which ${MAX_ENTRIES} are read`);
    return entries.slice(0, MAX_ENTRIES);
  }

  report(name: string, fault: string): void {
    const message = `${quote(this.#data[name] ?? '')} ${fault}.`;
    this.#problems.push(problem('warning', 'GlobalOptionInvalid', this.#object, `data[${name}]`, message));
  }
}
