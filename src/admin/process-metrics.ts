import { stat, readdir } from 'node:fs/promises';
import {
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
  collectDefaultMetrics,
} from 'prom-client';
import { DELAY_GAUGES } from './event-loop-delays.ts';
import { type Family, type HistogramValue, type Sample, labelsOf } from './families.ts';

/** The timer by which the library samples the event loop wakes nobody. */
const NEVER_MS = 2 ** 31 - 1;

/** The metrics that every program with prom-client has, without those of `EventLoopDelays`. */
export function processRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  for (const name of Object.keys(DELAY_GAUGES)) registry.removeSingleMetric(name);
  // That of the library reads a folder with an entry for each connection, and the thread waits for it.
  registry.removeSingleMetric('process_open_fds');
  if (process.platform !== 'linux') return registry;
  const descriptors = new Gauge({
    name: 'process_open_fds',
    help: 'Number of open file descriptors.',
    registers: [],
    async collect() {
      this.set(await openDescriptors());
    },
  });
  registry.registerMetric(descriptors);
  return registry;
}

const DESCRIPTORS = '/proc/self/fd';

/** The size of the folder is their number, from Linux 6.2 on. */
async function openDescriptors(): Promise<number> {
  const { size } = await stat(DESCRIPTORS);
  return size > 0 ? size : (await readdir(DESCRIPTORS)).length;
}

/** What a registry of the library holds, as families. */
export async function familiesOf(registry: Registry): Promise<readonly Family[]> {
  const all = (await registry.getMetricsAsJSON()) as MetricObjectWithValues<MetricValueOfLibrary>[];
  return all.map(({ name, help, type, values }) => ({
    name,
    help,
    // The library writes the name of a type where its declaration has a number.
    type: String(type) as Family['type'],
    samples: String(type) === 'histogram' ? histograms(values) : values.map(sampleOf),
  }));
}

type MetricValueOfLibrary = MetricValue<string> & { readonly metricName?: string };

function sampleOf({ labels, value }: MetricValueOfLibrary): Sample {
  const texts = Object.entries(labels).map(([name, text]) => [name, String(text)] as const);
  return { labels: labelsOf(Object.fromEntries(texts)), value };
}

/** The library has the buckets of a histogram one after the other, cumulative, then its sum, and its count at the end. */
function* histograms(values: readonly MetricValueOfLibrary[]): Generator<Sample> {
  let bounds: number[] = [];
  let buckets: number[] = [];
  let before = 0;
  let sum = 0;
  for (const each of values) {
    const { le, ...labels } = each.labels;
    if (le !== undefined) {
      if (le !== '+Inf') bounds.push(Number(le));
      buckets.push(each.value - before);
      before = each.value;
    } else if (each.metricName?.endsWith('_sum')) sum = each.value;
    else {
      const value: HistogramValue = { bounds, buckets, sum };
      yield { ...sampleOf({ ...each, labels }), value };
      [bounds, buckets, before] = [[], [], 0];
    }
  }
}
