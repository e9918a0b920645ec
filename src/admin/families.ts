import type { RequestTotals } from './figures.ts';

/** What has one name. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: Iterable<Sample>;
}
export interface Sample {
  readonly suffix?: string;
  /** As `labelsOf` writes them, or ''. */
  readonly labels: string;
  readonly value: number;
}

/** `{name="value",…}` */
export function labelsOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(',')}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => ESCAPES[character] ?? character);
}

/** Without classes that were never answered. */
export function* byStatus(statusClasses: ArrayLike<number>, labels: string): Generator<Sample> {
  for (let index = 0; index < statusClasses.length; index++) {
    const value = statusClasses[index]!;
    if (value > 0) yield { labels: withLabel(labels, 'status', `${index + 1}xx`), value };
  }
}

export function* histogram(
  { latencyBuckets, latencySumSeconds }: Pick<RequestTotals, 'latencyBuckets' | 'latencySumSeconds'>,
  labels: string,
  bounds: readonly number[],
): Generator<Sample> {
  let count = 0;
  for (let index = 0; index < latencyBuckets.length; index++) {
    count += latencyBuckets[index]!;
    const bound = `${bounds[index] ?? '+Inf'}`;
    yield { suffix: '_bucket', labels: withLabel(labels, 'le', bound), value: count };
  }
  yield { suffix: '_sum', labels, value: latencySumSeconds };
  yield { suffix: '_count', labels, value: count };
}

export function ingressLabels(ingress: string): string {
  const [namespace = '', name = ''] = ingress.split('/', 2);
  return labelsOf({ namespace, ingress: name });
}

/** Adds a label whose value needs no escapes. */
export function withLabel(labels: string, name: string, value: string): string {
  return `${labels.slice(0, -1)},${name}="${value}"}`;
}

export function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ labels: '', value }] };
}

export function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ labels: '', value }] };
}
