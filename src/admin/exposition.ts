import type { Family, Sample } from './families.ts';

/** In which format metrics are written. */
export type Exposition = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Exposition, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

const LONGEST_ACCEPT = 1024;

/** OpenMetrics 1.0 for a client that names it and does not like plain text better (RFC 9110 12.5.1). */
export function negotiateExposition(accept: string | undefined): Exposition {
  if (accept === undefined || accept.length > LONGEST_ACCEPT) return 'prometheus';
  let openmetrics = 0;
  let text = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().replaceAll('"', ''));
    const weight = Number(valueOf(parameters, 'q') ?? 1) || 0;
    const version = valueOf(parameters, 'version') ?? '1.0.0';
    if (type === 'application/openmetrics-text' && version === '1.0.0')
      openmetrics = Math.max(openmetrics, weight);
    if (type === 'text/plain') text = Math.max(text, weight);
  }
  return openmetrics > 0 && openmetrics >= text ? 'openmetrics' : 'prometheus';
}

function valueOf(parameters: readonly string[], name: string): string | undefined {
  return parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** The families as text, in small pieces. */
export function* exposed(families: Iterable<Family>, exposition: Exposition): Generator<string> {
  switch (exposition) {
    case 'prometheus':
      for (const family of families) {
        yield `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
        for (const sample of family.samples) yield line(family.name, sample, String);
      }
      return;
    case 'openmetrics':
      for (const family of families) {
        const { name, type } = openMetricsType(family);
        yield `# TYPE ${name} ${type}\n# HELP ${name} ${family.help}\n`;
        for (const sample of family.samples) yield line(family.name, sample, canonical);
      }
      yield '# EOF\n';
      return;
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

function line(name: string, sample: Sample | null, boundText: (bound: number) => string): string {
  if (sample === null) return '';
  const { suffix = '', labels, le, value } = sample;
  if (le === undefined) return `${name}${suffix}${labels} ${number(value)}\n`;
  const bound = le === Number.POSITIVE_INFINITY ? '+Inf' : boundText(le);
  const before = labels === '' ? '{' : `${labels.slice(0, -1)},`;
  return `${name}${suffix}${before}le="${bound}"} ${value}\n`;
}

function number(value: number): string {
  if (Number.isFinite(value)) return `${value}`;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

/** As OpenMetrics writes the bounds of buckets: 1.0, not 1. */
function canonical(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}
