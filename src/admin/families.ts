import type { Durations, NativeBuckets } from './figures.ts';

/** What has one name. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Null is no sample: the work may be interrupted there. */
  readonly samples: Iterable<Sample | null>;
}

export interface Sample {
  readonly labels: Labels;
  /** Labels of this sample alone. */
  readonly more?: readonly Label[];
  readonly value: number | HistogramValue;
}

export type Label = readonly [name: string, value: string];

/** What samples of several families share is one object, so that it is written once. */
export interface Labels {
  readonly pairs: readonly Label[];
  /** When counting under them began, in milliseconds since the epoch; with the process when absent. */
  readonly since?: number | undefined;
}

export interface HistogramValue {
  readonly bounds: readonly number[];
  /** Not cumulative, and one more than there are bounds. */
  readonly buckets: ArrayLike<number>;
  readonly sum: number;
  /** The same in finer buckets, where there are some. */
  readonly native?: () => NativeBuckets;
}

export const NO_LABELS: Labels = { pairs: [] };

export function labelsOf(labels: Readonly<Record<string, string>>, since?: number): Labels {
  return { pairs: Object.entries(labels), since };
}

/** Whose requests are counted: an Ingress, or a route of Gateway API, whose kind is said. */
export function sourceLabels(source: string): Readonly<Record<string, string>> {
  const [key = '', kind] = source.split(' ', 2);
  const [namespace = '', name = ''] = key.split('/', 2);
  return kind === undefined ? { namespace, ingress: name } : { namespace, kind, route: name };
}

/** Whether it is an Ingress, or stands for some of them. */
export function isIngress(source: string): boolean {
  return source !== '' && !source.includes(' ');
}

/** Remembers what was made of each value, as long as the function lives. */
export function once<From, To>(make: (from: From) => To): (from: From) => To {
  const known = new Map<From, To>();
  return (from) => {
    let made = known.get(from);
    if (made === undefined) known.set(from, (made = make(from)));
    return made;
  };
}

/** Without classes that were never answered. */
export function* byStatus(
  statusClasses: ArrayLike<number>,
  labels: Labels,
  more: readonly Label[] = [],
): Generator<Sample> {
  for (let index = 0; index < statusClasses.length; index++) {
    const value = statusClasses[index]!;
    if (value > 0) yield { labels, more: [...more, ['status', `${index + 1}xx`]], value };
  }
}

export function histogramOf(durations: Durations, bounds: readonly number[]): HistogramValue {
  const { buckets, sumSeconds } = durations;
  return { bounds, buckets, sum: sumSeconds, native: () => durations.native };
}

/** How many values a histogram has. */
export function countOf({ buckets }: HistogramValue): number {
  return total(buckets);
}

export function total(counts: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < counts.length; index++) sum += counts[index] ?? 0;
  return sum;
}

export function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ labels: NO_LABELS, value }] };
}

export function counter(name: string, help: string, value: number): Family {
  return { name, type: 'counter', help, samples: [{ labels: NO_LABELS, value }] };
}
