import { type Family, type HistogramValue, type Labels, type Sample, countOf, once } from './families.ts';
import type { NativeBuckets } from './figures.ts';
import { ProtobufWriter } from '../model/protobuf-writer.ts';

/** The fields of io.prometheus.client (github.com/prometheus/client_model, metrics.proto) that are written. */
const MetricFamily = { name: 1, help: 2, type: 3, metric: 4 } as const;
const METRIC_TYPES = { counter: 0, gauge: 1, histogram: 4 } as const;
const Metric = { label: 1, gauge: 2, counter: 3, histogram: 7 } as const;
const LabelPair = { name: 1, value: 2 } as const;
/** Of a Counter and a Gauge. */
const VALUE = 1;
const Histogram = {
  ...{ sampleCount: 1, sampleSum: 2, bucket: 3 },
  ...{ schema: 5, zeroThreshold: 6, zeroCount: 7, positiveSpan: 12, positiveDelta: 13 },
} as const;
const Bucket = { cumulativeCount: 1, upperBound: 2 } as const;
const BucketSpan = { offset: 1, length: 2 } as const;

const CHUNK_BYTES = 32 * 1024;

/**
 * The families as messages of protobuf, each with its length before it: what Prometheus reads native histograms from.
 * Yields pieces, and empty ones while a family is written, whose length is known at its end.
 */
export function* delimited(families: Iterable<Family>): Generator<string | Uint8Array> {
  const labels = once(labelFields);
  const writer = new ProtobufWriter();
  for (const { name, help, type, samples } of families) {
    writer.text(MetricFamily.name, name);
    writer.text(MetricFamily.help, help);
    writer.uint(MetricFamily.type, METRIC_TYPES[type]);
    const written: Uint8Array[] = [];
    for (const sample of samples) {
      yield '';
      if (sample === null) continue;
      writer.message(MetricFamily.metric, () => writeMetric(writer, sample, type, labels));
      if (writer.length > CHUNK_BYTES) written.push(writer.take());
    }
    written.push(writer.take());
    writer.varint(written.reduce((sum, { length }) => sum + length, 0));
    yield writer.take();
    yield* written;
  }
}

function writeMetric(
  writer: ProtobufWriter,
  { labels, more = [], value }: Sample,
  type: Family['type'],
  fieldsOf: (labels: Labels) => Uint8Array,
): void {
  writer.raw(fieldsOf(labels));
  if (more.length > 0) writer.raw(labelFields({ pairs: more }));
  if (typeof value === 'number') {
    const field = type === 'counter' ? Metric.counter : Metric.gauge;
    writer.message(field, () => writer.double(VALUE, value));
  } else writer.message(Metric.histogram, () => writeHistogram(writer, value));
}

function labelFields({ pairs }: Labels): Uint8Array {
  const writer = new ProtobufWriter();
  for (const [name, value] of pairs) {
    writer.message(Metric.label, () => {
      writer.text(LabelPair.name, name);
      writer.text(LabelPair.value, value);
    });
  }
  return writer.take();
}

function writeHistogram(writer: ProtobufWriter, value: HistogramValue): void {
  writer.uint(Histogram.sampleCount, countOf(value));
  writer.double(Histogram.sampleSum, value.sum);
  let count = 0;
  for (let index = 0; index < value.buckets.length; index++) {
    count += value.buckets[index]!;
    writer.message(Histogram.bucket, () => {
      writer.uint(Bucket.cumulativeCount, count);
      writer.double(Bucket.upperBound, value.bounds[index] ?? Number.POSITIVE_INFINITY);
    });
  }
  if (value.native) writeNative(writer, value.native());
}

/** Runs of buckets that are not empty, each by its distance from the one before, and of each count what it is more. */
function writeNative(writer: ProtobufWriter, native: NativeBuckets): void {
  const { schema, zeroThreshold, zeroCount, numbers, counts } = native;
  writer.sint(Histogram.schema, schema);
  writer.double(Histogram.zeroThreshold, zeroThreshold);
  writer.uint(Histogram.zeroCount, zeroCount);
  let end = 0;
  for (let first = 0, next = 1; first < numbers.length; first = next++) {
    while (next < numbers.length && numbers[next] === numbers[next - 1]! + 1) next++;
    const [start, length] = [numbers[first]!, next - first];
    writer.message(Histogram.positiveSpan, () => {
      writer.sint(BucketSpan.offset, start - end);
      writer.uint(BucketSpan.length, length);
    });
    end = start + length;
  }
  const deltas = counts.map((count, index) => count - (counts[index - 1] ?? 0));
  if (deltas.length > 0) writer.sints(Histogram.positiveDelta, deltas);
}
