/** What has one name. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Null is no sample: the work may be interrupted there. */
  readonly samples: Iterable<Sample | null>;
}
export interface Sample {
  readonly suffix?: string;
  /** As `labelsOf` writes them, or ''. */
  readonly labels: string;
  /** The upper bound of a bucket, which is a label of it. */
  readonly le?: number;
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

/** `buckets` are not cumulative, and one more than there are bounds. */
export function* histogram(
  buckets: ArrayLike<number>,
  sum: number,
  labels: string,
  bounds: readonly number[],
): Generator<Sample> {
  let count = 0;
  for (let index = 0; index < buckets.length; index++) {
    count += buckets[index]!;
    yield { suffix: '_bucket', labels, le: bounds[index] ?? Number.POSITIVE_INFINITY, value: count };
  }
  yield { suffix: '_sum', labels, value: sum };
  yield { suffix: '_count', labels, value: count };
}

/** Whose requests are counted: an Ingress, or a route of Gateway API, whose kind is said. */
export function sourceLabels(source: string): string {
  const [key = '', kind] = source.split(' ', 2);
  const [namespace = '', name = ''] = key.split('/', 2);
  return labelsOf(kind === undefined ? { namespace, ingress: name } : { namespace, kind, route: name });
}

/** Whether it is an Ingress, or stands for some of them. */
export function isIngress(source: string): boolean {
  return source !== '' && !source.includes(' ');
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
