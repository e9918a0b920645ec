import { stat, readdir } from 'node:fs/promises';
import {
  Gauge,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
  collectDefaultMetrics,
} from 'prom-client';
import { type Family, type Sample, labelsOf } from './families.ts';

/** Between two looks at the event loop, which cost CPU while nothing else happens: by default there are a hundred in a second. */
const EVENT_LOOP_LOOK_MS = 100;

/** The metrics that every program with prom-client has. */
export function processRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_LOOK_MS });
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
    samples: values.map((value) => sampleOf(name, value)),
  }));
}

type MetricValueOfLibrary = MetricValue<string> & { readonly metricName?: string };

function sampleOf(name: string, { labels, value, metricName = name }: MetricValueOfLibrary): Sample {
  const suffix = metricName.slice(name.length);
  const { le, ...others } = labels;
  const names = Object.entries(others).map(([label, text]) => [label, String(text)] as const);
  return {
    suffix,
    labels: names.length === 0 ? '' : labelsOf(Object.fromEntries(names)),
    value,
    ...(suffix === '_bucket' && { le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le) }),
  };
}
