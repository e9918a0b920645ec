import {
  type Family,
  type HistogramValue,
  type Label,
  type Labels,
  type Sample,
  countOf,
  once,
} from './families.ts';
import type { NativeBuckets } from './figures.ts';

/** Some metrics for one request to a collector: the elements of a list, in JSON. */
export interface OtlpMetrics {
  readonly json: string;
  /** How many data points they have. */
  readonly count: number;
}

export interface OtlpMetricsOptions {
  /** As what native histograms are sent. */
  readonly histograms: HistogramForm;
  /** When the process began to count, and now, in milliseconds since the epoch. */
  readonly startedAt: number;
  readonly now: number;
}

/** With the bounds of the scrape, or with those of its native histograms. */
export type HistogramForm = 'explicit' | 'exponential';

/** Of one request. */
const MAX_POINTS = 1_000;
const CUMULATIVE = 2;

/**
 * The families as metrics of opentelemetry-proto, under the same names, cumulative, in parts that have no metric twice. Yields
 * null where the work may be interrupted.
 */
export function* otlpMetrics(
  families: Iterable<Family>,
  options: OtlpMetricsOptions,
): Generator<OtlpMetrics | null> {
  const attributes = once(({ pairs }: Labels) => attributesOf(pairs));
  let metrics: string[] = [];
  let count = 0;
  const part = (): OtlpMetrics => {
    const done = { json: metrics.join(','), count };
    [metrics, count] = [[], 0];
    return done;
  };
  for (const family of families) {
    let points: string[] = [];
    let form: HistogramForm = 'explicit';
    for (const sample of family.samples) {
      yield null;
      // JSON has no word for such a number.
      if (sample === null || (typeof sample.value === 'number' && !Number.isFinite(sample.value))) continue;
      if (typeof sample.value !== 'number' && sample.value.native) form = options.histograms;
      points.push(pointOf(family, sample, attributes, options));
      if (count + points.length < MAX_POINTS) continue;
      metrics.push(metricOf(family, form, points));
      count += points.length;
      points = [];
      yield part();
    }
    if (points.length > 0) metrics.push(metricOf(family, form, points));
    count += points.length;
  }
  if (count > 0) yield part();
}

function metricOf({ name, help, type }: Family, form: HistogramForm, points: readonly string[]): string {
  const list = `"dataPoints":[${points.join(',')}]`;
  const head = `"name":${JSON.stringify(name)},"description":${JSON.stringify(help)}`;
  switch (type) {
    case 'gauge':
      return `{${head},"gauge":{${list}}}`;
    case 'counter':
      return `{${head},"sum":{${list},"aggregationTemporality":${CUMULATIVE},"isMonotonic":true}}`;
    case 'histogram': {
      const data = form === 'explicit' ? 'histogram' : 'exponentialHistogram';
      return `{${head},"${data}":{${list},"aggregationTemporality":${CUMULATIVE}}}`;
    }
  }
}

function pointOf(
  { type }: Family,
  { labels, more = [], value }: Sample,
  attributes: (labels: Labels) => string,
  { histograms, startedAt, now }: OtlpMetricsOptions,
): string {
  const all = [attributes(labels), attributesOf(more)].filter((some) => some !== '').join(',');
  const start = type === 'gauge' ? '' : `"startTimeUnixNano":"${nanos(labels.since ?? startedAt)}",`;
  const head = `"attributes":[${all}],${start}"timeUnixNano":"${nanos(now)}"`;
  if (typeof value === 'number') return `{${head},"asDouble":${value}}`;
  const isExponential = value.native && histograms === 'exponential';
  return `{${head},"count":"${countOf(value)}","sum":${value.sum},${isExponential ? exponential(value.native()) : explicit(value)}}`;
}

function explicit({ buckets, bounds }: HistogramValue): string {
  return `"bucketCounts":[${counts(Array.from(buckets))}],"explicitBounds":[${bounds.join(',')}]`;
}

/** A bucket has the number by which its lower bound is known there, and its upper one in Prometheus. */
function exponential({ schema, zeroThreshold, zeroCount, numbers, counts: some }: NativeBuckets): string {
  const first = numbers[0] ?? 1;
  const all = Array.from({ length: (numbers.at(-1) ?? 0) - first + 1 }, () => 0);
  for (const [index, number] of numbers.entries()) all[number - first] = some[index]!;
  const positive = `{"offset":${first - 1},"bucketCounts":[${counts(all)}]}`;
  return `"scale":${schema},"zeroCount":"${zeroCount}","zeroThreshold":${zeroThreshold},"positive":${positive}`;
}

/** 64-bit numbers are text. */
function counts(numbers: readonly number[]): string {
  return numbers.map((number) => `"${number}"`).join(',');
}

function attributesOf(labels: readonly Label[]): string {
  return labels.map(([key, stringValue]) => JSON.stringify({ key, value: { stringValue } })).join(',');
}

function nanos(ms: number): string {
  return `${Math.floor(ms)}000000`;
}
