import { closestMatch } from '../model/closest-match.ts';
import { quote } from '../model/untyped.ts';
import type { Environment } from './flag-reader.ts';

/** What OpenTelemetry calls a kind of data, as its variables spell it. */
export type Signal = 'TRACES' | 'LOGS' | 'METRICS';

/** How data is sent to a collector, as the variables of OpenTelemetry say; null where they say nothing. */
export interface ExporterVariables {
  /** The whole URL. */
  readonly endpoint: URL | null;
  /** Names and values; the values may be credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly gzip: boolean;
  /** Files in PEM: the CA of the collector, and what Portico shows it. */
  readonly certificate: string | null;
  readonly clientKey: string | null;
  readonly clientCertificate: string | null;
  readonly serviceName: string | null;
  readonly resource: Readonly<Record<string, string>>;
  /** In items: spans, or log records. Metrics have no queue of their own. */
  readonly queueSize: number | null;
  readonly delayMs: number | null;
  readonly batchSize: number | null;
}

/** `batch` is the beginning of the variables of the queue, where there are some: `OTEL_BSP`. */
export function readExporter(read: VariableReader, batch: Batch): ExporterVariables {
  const ofQueue = (suffix: string, least: number, most: number): number | null =>
    batch === null ? null : read.number(`${batch}_${suffix}`, least, most);
  return {
    endpoint: read.endpoint(),
    headers: read.pairs(read.otlpName('HEADERS'), HEADER_NAME),
    timeoutMs: read.number(read.otlpName('TIMEOUT'), 1, 600_000) ?? 10_000,
    gzip: read.choice(read.otlpName('COMPRESSION'), ['gzip', 'none'], 'none') === 'gzip',
    certificate: read.text(read.otlpName('CERTIFICATE')),
    clientKey: read.text(read.otlpName('CLIENT_KEY')),
    clientCertificate: read.text(read.otlpName('CLIENT_CERTIFICATE')),
    serviceName: read.text('OTEL_SERVICE_NAME'),
    resource: read.pairs('OTEL_RESOURCE_ATTRIBUTES', ATTRIBUTE_NAME),
    queueSize: ofQueue('MAX_QUEUE_SIZE', 1, 65_536),
    delayMs: ofQueue('SCHEDULE_DELAY', 100, 600_000),
    batchSize: ofQueue('MAX_EXPORT_BATCH_SIZE', 1, 8_192),
  };
}

type Batch = 'OTEL_BSP' | 'OTEL_BLRP' | null;

/**
 * Reads how a signal is sent that goes nowhere unless its `OTEL_…_EXPORTER` names `otlp`, the first of `exporters`. Null where it
 * goes nowhere; `consequence` is said where something else was asked for.
 */
export function readOptionalExporter(
  read: VariableReader,
  exporters: readonly string[],
  batch: Batch,
  consequence: string,
): ExporterVariables | null {
  const name = `OTEL_${read.signal}_EXPORTER`;
  if (!read.names(name, exporters, 'none', consequence).has('otlp') || read.bool('OTEL_SDK_DISABLED'))
    return null;
  const variables = readExporter(read, batch);
  if (!read.protocol(consequence)) return null;
  if (variables.endpoint !== null) return variables;
  read.warnings.push(
    `${name} names otlp, and no collector is named. ${consequence}: set OTEL_EXPORTER_OTLP_ENDPOINT.`,
  );
  return null;
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~\w-]{1,200}$/;
const ATTRIBUTE_NAME = /^[!-~]{1,200}$/;
/** Of headers and resource attributes. */
const MAX_PAIRS = 64;
/** Of a list whose unknown names are told. */
const MAX_NAMES = 16;

/** Reads variables one by one, and gathers a line for each value that is not used as it is. */
export class VariableReader {
  readonly warnings: string[] = [];
  readonly #env: Environment;
  readonly signal: Signal;

  /** Of variables that have a form for one signal, that of `signal` wins. */
  constructor(env: Environment, signal: Signal) {
    this.#env = env;
    this.signal = signal;
  }

  /** Null when it is absent or empty, which mean the same. */
  text(name: string): string | null {
    return this.#env[name]?.trim() || null;
  }

  /** The variable for the signal where it is set, otherwise the one for all signals. */
  otlpName(suffix: string): string {
    const ofSignal = `OTEL_EXPORTER_OTLP_${this.signal}_${suffix}`;
    return this.text(ofSignal) === null ? `OTEL_EXPORTER_OTLP_${suffix}` : ofSignal;
  }

  bool(name: string): boolean {
    return this.choice(name, ['true', 'false'], 'false') === 'true';
  }

  number(name: string, least: number, most: number): number | null {
    const written = this.text(name);
    if (written === null) return null;
    const number = /^\d{1,9}$/.test(written) ? Number(written) : Number.NaN;
    if (number >= least && number <= most) return number;
    this.bad(name, written, `is not a whole number from ${least} to ${most}`, 'The default is used');
    return null;
  }

  /** One of these, without regard to case; `fallback` when it is absent. Anything else is told, and `fallback` is used. */
  choice(name: string, choices: readonly string[], fallback: string): string {
    const written = this.text(name) ?? fallback;
    const found = choices.find((each) => each === written.toLowerCase());
    if (found === undefined) this.#unknown(name, written, choices, `${fallback} is used`);
    return found ?? fallback;
  }

  /**
   * Those of these that a list with commas names, without regard to case; `fallback` when it is absent. Anything else is told,
   * with `consequence` where nothing else is named.
   */
  names(
    name: string,
    choices: readonly string[],
    fallback: string,
    consequence: string,
  ): ReadonlySet<string> {
    const written = (this.text(name) ?? fallback).split(',').flatMap((each) => each.trim() || []);
    const isKnown = (each: string): boolean => choices.includes(each.toLowerCase());
    const known = written.filter(isKnown);
    for (const each of written.slice(0, MAX_NAMES).filter((each) => !isKnown(each)))
      this.#unknown(name, each, choices, known.length > 0 ? 'It is ignored' : consequence);
    return new Set(known.map((each) => each.toLowerCase()));
  }

  #unknown(name: string, written: string, choices: readonly string[], consequence: string): void {
    const match = closestMatch(written, choices);
    const hint = match === null ? '' : `; did you mean ${match}?`;
    this.bad(name, written, `is none of ${choices.join(', ')}${hint}`, consequence);
  }

  /** `name=value,name=value`, percent-encoded as W3C baggage is. The values are never told: they may be credentials. */
  pairs(name: string, valid: RegExp): Readonly<Record<string, string>> {
    const pairs = (this.text(name) ?? '').split(',').flatMap((pair) => pair.trim() || []);
    const found: Record<string, string> = {};
    for (const [index, pair] of pairs.slice(0, MAX_PAIRS).entries()) {
      const equals = pair.indexOf('=');
      const key = decoded(pair.slice(0, Math.max(equals, 0)).trim());
      const value = decoded(pair.slice(equals + 1).trim());
      // Of a header as Node writes it.
      const isWritable = value !== null && /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
      if (equals > 0 && key !== null && valid.test(key) && isWritable) found[key] = value;
      else this.warnings.push(`${name}: entry ${index + 1} is not name=value and is ignored`);
    }
    if (pairs.length > MAX_PAIRS)
      this.warnings.push(`${name} has ${pairs.length} entries, of which ${MAX_PAIRS} are used`);
    return found;
  }

  endpoint(): URL | null {
    const own = this.#url(`OTEL_EXPORTER_OTLP_${this.signal}_ENDPOINT`);
    if (own) return own;
    const shared = this.#url('OTEL_EXPORTER_OTLP_ENDPOINT');
    if (!shared) return null;
    shared.pathname = `${shared.pathname.replace(/\/$/, '')}/v1/${this.signal.toLowerCase()}`;
    return shared;
  }

  #url(name: string): URL | null {
    const written = this.text(name);
    if (written === null) return null;
    const url = URL.canParse(written) ? new URL(written) : null;
    const isHttp = url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
    if (isHttp && url.username === '' && url.password === '') return url;
    const advice = 'write a URL without a user name, as in http://otel-collector.observability:4318';
    // It may have a password.
    this.warnings.push(`${name} is not valid and is ignored: ${advice}`);
    return null;
  }

  /** Whether Portico speaks what is asked for; `consequence` is said where it does not. */
  protocol(consequence: string): boolean {
    const name = this.otlpName('PROTOCOL');
    const written = this.text(name)?.toLowerCase();
    switch (written) {
      case undefined:
      case 'http/json':
        return true;
      case 'http/protobuf':
        this.warnings.push(
          `${name} is http/protobuf: Portico sends http/json, which collectors take on the same port`,
        );
        return true;
      default:
        this.bad(
          name,
          written,
          'is not supported; set it to http/json, and the endpoint to the port of the collector for HTTP, usually 4318',
          consequence,
        );
        return false;
    }
  }

  bad(name: string, written: string, fault: string, consequence: string): void {
    const end = fault.endsWith('?') ? '' : '.';
    this.warnings.push(`${name}: ${quote(written)} ${fault}${end} ${consequence}.`);
  }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
