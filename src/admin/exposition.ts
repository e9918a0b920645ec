import { type Family, type Label, type Labels, type Sample, once } from './families.ts';
import { delimited } from './protobuf-exposition.ts';

/** In which format metrics are written. Native histograms are in protobuf alone. */
export type Exposition = 'prometheus' | 'openmetrics' | 'protobuf';

export const CONTENT_TYPES: Readonly<Record<Exposition, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  protobuf: 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited',
};

const LONGEST_ACCEPT = 1024;

/**
 * The format that a client likes best of those that it names (RFC 9110 12.5.1): of those that it likes as well as each other
 * protobuf, then OpenMetrics 1.0. Text where it names none.
 */
export function negotiateExposition(accept: string | undefined): Exposition {
  if (accept === undefined || accept.length > LONGEST_ACCEPT) return 'prometheus';
  const weights: Record<Exposition, number> = { protobuf: 0, openmetrics: 0, prometheus: 0 };
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().replaceAll('"', ''));
    const exposition = expositionOf(type, (name) => valueOf(parameters, name));
    const weight = Number(valueOf(parameters, 'q') ?? 1) || 0;
    if (exposition !== null) weights[exposition] = Math.max(weights[exposition], weight);
  }
  const best = Math.max(...Object.values(weights));
  if (best <= 0) return 'prometheus';
  return EXPOSITIONS.find((each) => weights[each] === best) ?? 'prometheus';
}

const EXPOSITIONS: readonly Exposition[] = ['protobuf', 'openmetrics', 'prometheus'];

function expositionOf(type: string, parameter: (name: string) => string | undefined): Exposition | null {
  switch (type) {
    case 'application/vnd.google.protobuf': {
      const isFamily = parameter('proto') === 'io.prometheus.client.metricfamily';
      return isFamily && parameter('encoding') === 'delimited' ? 'protobuf' : null;
    }
    case 'application/openmetrics-text':
      return (parameter('version') ?? '1.0.0') === '1.0.0' ? 'openmetrics' : null;
    case 'text/plain':
      return 'prometheus';
    default:
      return null;
  }
}

function valueOf(parameters: readonly string[], name: string): string | undefined {
  return parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** The families in a format, in small pieces. */
export function* exposed(families: Iterable<Family>, exposition: Exposition): Generator<string | Uint8Array> {
  const labels = once(({ pairs }: Labels) => labelText(pairs));
  switch (exposition) {
    case 'prometheus':
      for (const family of families) {
        yield `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
        for (const sample of family.samples) yield lines(family.name, sample, labels, String);
      }
      return;
    case 'openmetrics':
      for (const family of families) {
        const { name, type } = openMetricsType(family);
        yield `# TYPE ${name} ${type}\n# HELP ${name} ${family.help}\n`;
        for (const sample of family.samples) yield lines(family.name, sample, labels, canonical);
      }
      yield '# EOF\n';
      return;
    case 'protobuf':
      return yield* delimited(families);
    default:
      exposition satisfies never;
  }
}

const TOTAL = '_total';

/**
 * The samples of a counter end in `_total` there, and its name does not. What ingress-nginx calls otherwise keeps its name,
 * by which it is asked for, and its type is not told.
 */
function openMetricsType({ name, type }: Family): { readonly name: string; readonly type: string } {
  if (type !== 'counter') return { name, type };
  if (!name.endsWith(TOTAL)) return { name, type: 'unknown' };
  return { name: name.slice(0, -TOTAL.length), type };
}

/** One, or those of a histogram. */
function lines(
  name: string,
  sample: Sample | null,
  textOf: (labels: Labels) => string,
  boundText: (bound: number) => string,
): string {
  if (sample === null) return '';
  const { labels, more = [], value } = sample;
  const own = more.length === 0 ? textOf(labels) : joined(textOf(labels), labelText(more));
  const braced = own === '' ? '' : `{${own}}`;
  if (typeof value === 'number') return `${name}${braced} ${number(value)}\n`;
  let text = '';
  let count = 0;
  for (let index = 0; index < value.buckets.length; index++) {
    count += value.buckets[index]!;
    const bound = value.bounds[index];
    const le = bound === undefined ? '+Inf' : boundText(bound);
    text += `${name}_bucket{${joined(own, `le="${le}"`)}} ${count}\n`;
  }
  return `${text}${name}_sum${braced} ${number(value.sum)}\n${name}_count${braced} ${count}\n`;
}

function joined(some: string, more: string): string {
  return some === '' ? more : `${some},${more}`;
}

/** `name="value",…` */
function labelText(labels: readonly Label[]): string {
  return labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(',');
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => ESCAPES[character] ?? character);
}

function number(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** As OpenMetrics writes the bounds of buckets: 1.0, not 1. */
function canonical(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}
