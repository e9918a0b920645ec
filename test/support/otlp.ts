/** The messages of opentelemetry-proto 1.8 that carry spans, log records and metrics, as OTLP has them in JSON: each field with what it is. */
type FieldType =
  | 'string'
  | 'uint32'
  /** 64-bit numbers are text. */
  | 'uint64'
  | 'int64'
  | 'int32'
  | 'bool'
  | 'double'
  /** Ids are hexadecimal, of so many digits. */
  | { readonly id: number }
  | { readonly enum: readonly number[] }
  | { readonly message: string }
  | { readonly list: string }
  | { readonly numbers: 'uint64' | 'double' };

/** What a request of each kind has at its top. */
const ROOTS: Readonly<Record<string, string>> = {
  resourceSpans: 'ExportTraceServiceRequest',
  resourceLogs: 'ExportLogsServiceRequest',
  resourceMetrics: 'ExportMetricsServiceRequest',
};

/** Of every data point. */
const POINT: Readonly<Record<string, FieldType>> = {
  attributes: { list: 'KeyValue' },
  startTimeUnixNano: 'uint64',
  timeUnixNano: 'uint64',
  flags: 'uint32',
};
const HISTOGRAM_POINT: Readonly<Record<string, FieldType>> = {
  ...POINT,
  ...{ count: 'uint64', sum: 'double', min: 'double', max: 'double' },
};
const TEMPORALITY: FieldType = { enum: [0, 1, 2] };

const MESSAGES: Readonly<Record<string, Readonly<Record<string, FieldType>>>> = {
  ExportTraceServiceRequest: { resourceSpans: { list: 'ResourceSpans' } },
  ResourceSpans: {
    resource: { message: 'Resource' },
    scopeSpans: { list: 'ScopeSpans' },
    schemaUrl: 'string',
  },
  Resource: { attributes: { list: 'KeyValue' }, droppedAttributesCount: 'uint32' },
  ScopeSpans: { scope: { message: 'InstrumentationScope' }, spans: { list: 'Span' }, schemaUrl: 'string' },
  InstrumentationScope: {
    name: 'string',
    version: 'string',
    attributes: { list: 'KeyValue' },
    droppedAttributesCount: 'uint32',
  },
  Span: {
    traceId: { id: 32 },
    spanId: { id: 16 },
    traceState: 'string',
    parentSpanId: { id: 16 },
    flags: 'uint32',
    name: 'string',
    kind: { enum: [0, 1, 2, 3, 4, 5] },
    startTimeUnixNano: 'uint64',
    endTimeUnixNano: 'uint64',
    attributes: { list: 'KeyValue' },
    droppedAttributesCount: 'uint32',
    events: { list: 'Event' },
    droppedEventsCount: 'uint32',
    links: { list: 'Link' },
    droppedLinksCount: 'uint32',
    status: { message: 'Status' },
  },
  ExportLogsServiceRequest: { resourceLogs: { list: 'ResourceLogs' } },
  ResourceLogs: {
    resource: { message: 'Resource' },
    scopeLogs: { list: 'ScopeLogs' },
    schemaUrl: 'string',
  },
  ScopeLogs: {
    scope: { message: 'InstrumentationScope' },
    logRecords: { list: 'LogRecord' },
    schemaUrl: 'string',
  },
  LogRecord: {
    timeUnixNano: 'uint64',
    observedTimeUnixNano: 'uint64',
    severityNumber: { enum: Array.from({ length: 25 }, (_, number) => number) },
    severityText: 'string',
    body: { message: 'AnyValue' },
    attributes: { list: 'KeyValue' },
    droppedAttributesCount: 'uint32',
    flags: 'uint32',
    traceId: { id: 32 },
    spanId: { id: 16 },
    eventName: 'string',
  },
  ExportMetricsServiceRequest: { resourceMetrics: { list: 'ResourceMetrics' } },
  ResourceMetrics: {
    resource: { message: 'Resource' },
    scopeMetrics: { list: 'ScopeMetrics' },
    schemaUrl: 'string',
  },
  ScopeMetrics: {
    scope: { message: 'InstrumentationScope' },
    metrics: { list: 'Metric' },
    schemaUrl: 'string',
  },
  Metric: {
    ...{ name: 'string', description: 'string', unit: 'string' },
    gauge: { message: 'Gauge' },
    sum: { message: 'Sum' },
    histogram: { message: 'Histogram' },
    exponentialHistogram: { message: 'ExponentialHistogram' },
    metadata: { list: 'KeyValue' },
  },
  Gauge: { dataPoints: { list: 'NumberDataPoint' } },
  Sum: { dataPoints: { list: 'NumberDataPoint' }, aggregationTemporality: TEMPORALITY, isMonotonic: 'bool' },
  Histogram: { dataPoints: { list: 'HistogramDataPoint' }, aggregationTemporality: TEMPORALITY },
  ExponentialHistogram: {
    dataPoints: { list: 'ExponentialHistogramDataPoint' },
    aggregationTemporality: TEMPORALITY,
  },
  NumberDataPoint: { ...POINT, asDouble: 'double', asInt: 'int64' },
  HistogramDataPoint: {
    ...HISTOGRAM_POINT,
    ...{ bucketCounts: { numbers: 'uint64' }, explicitBounds: { numbers: 'double' } },
  },
  ExponentialHistogramDataPoint: {
    ...HISTOGRAM_POINT,
    ...{ scale: 'int32', zeroCount: 'uint64', zeroThreshold: 'double' },
    ...{ positive: { message: 'Buckets' }, negative: { message: 'Buckets' } },
  },
  Buckets: { offset: 'int32', bucketCounts: { numbers: 'uint64' } },
  ArrayValue: { values: { list: 'AnyValue' } },
  Status: { message: 'string', code: { enum: [0, 1, 2] } },
  KeyValue: { key: 'string', value: { message: 'AnyValue' } },
  AnyValue: {
    ...{ stringValue: 'string', boolValue: 'bool', intValue: 'int64', doubleValue: 'double' },
    arrayValue: { message: 'ArrayValue' },
  },
};

/** What is wrong with a request of a client of OTLP, by path; empty when it is one. */
export function otlpFaults(
  value: unknown,
  message = ROOTS[Object.keys(value ?? {})[0] ?? ''] ?? '',
  path = '',
): readonly string[] {
  const fields = MESSAGES[message];
  if (!fields) return [`${path}: no message ${message} is known`];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`${path}: is no ${message}`];
  return Object.entries(value).flatMap(([name, each]) => {
    const type = fields[name];
    const at = `${path}.${name}`;
    return type === undefined ? [`${at}: ${message} has no such field`] : fieldFaults(each, type, at);
  });
}

function fieldFaults(value: unknown, type: FieldType, path: string): readonly string[] {
  if (typeof type === 'object' && 'message' in type) return otlpFaults(value, type.message, path);
  if (typeof type === 'object' && 'list' in type) {
    if (!Array.isArray(value)) return [`${path}: is no list`];
    return value.flatMap((each, index) => otlpFaults(each, type.list, `${path}[${index}]`));
  }
  if (typeof type === 'object' && 'numbers' in type) {
    if (!Array.isArray(value)) return [`${path}: is no list`];
    return value.flatMap((each, index) => fieldFaults(each, type.numbers, `${path}[${index}]`));
  }
  return isOf(value, type) ? [] : [`${path}: ${JSON.stringify(value)} is not ${JSON.stringify(type)}`];
}

function isOf(
  value: unknown,
  type: Exclude<FieldType, { message: string } | { list: string } | { numbers: string }>,
): boolean {
  if (typeof type === 'object') {
    if ('enum' in type) return type.enum.includes(value as number);
    return (
      typeof value === 'string' && new RegExp(`^[\\da-f]{${type.id}}$`).test(value) && !/^0+$/.test(value)
    );
  }
  switch (type) {
    case 'string':
      return typeof value === 'string';
    case 'bool':
      return typeof value === 'boolean';
    case 'double':
      return typeof value === 'number';
    case 'uint32':
      return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
    case 'int32':
      return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
    case 'uint64':
      return typeof value === 'string' && /^\d{1,20}$/.test(value);
    case 'int64':
      return typeof value === 'string' && /^-?\d{1,19}$/.test(value);
  }
}

/** A span as tests look at it. */
export interface ReadSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: 'server' | 'client';
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, string | number>>;
}

interface WrittenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: { stringValue?: string; intValue?: string } }[];
  readonly status: { readonly code?: number };
}

export function readSpan(text: string): ReadSpan {
  return spanOf(JSON.parse(text) as WrittenSpan);
}

/** All spans of a request of a client, and of its resource the attributes. */
export function readRequest(body: string): {
  readonly resource: Readonly<Record<string, string | number>>;
  readonly spans: readonly ReadSpan[];
} {
  const request = JSON.parse(body) as {
    resourceSpans: readonly {
      resource: Pick<WrittenSpan, 'attributes'>;
      scopeSpans: readonly { spans: readonly WrittenSpan[] }[];
    }[];
  };
  const [first] = request.resourceSpans;
  return {
    resource: attributesOf(first?.resource.attributes ?? []),
    spans: first?.scopeSpans.flatMap(({ spans }) => spans.map(spanOf)) ?? [],
  };
}

/** A metric as tests look at it. */
export interface ReadMetric {
  readonly name: string;
  readonly kind: 'gauge' | 'sum' | 'histogram' | 'exponentialHistogram';
  readonly points: readonly {
    readonly labels: Readonly<Record<string, string | number>>;
    readonly startMs: number | null;
    readonly value?: number;
    readonly count?: number;
    readonly sum?: number;
    readonly buckets?: readonly number[];
    readonly bounds?: readonly number[];
    readonly positive?: { readonly offset: number; readonly bucketCounts: readonly string[] };
    readonly scale?: number;
  }[];
}

type WrittenPoint = {
  readonly attributes: WrittenSpan['attributes'];
  readonly startTimeUnixNano?: string;
  readonly asDouble?: number;
  readonly count?: string;
  readonly sum?: number;
  readonly bucketCounts?: readonly string[];
  readonly explicitBounds?: readonly number[];
  readonly positive?: { readonly offset: number; readonly bucketCounts: readonly string[] };
  readonly scale?: number;
};

type WrittenMetric = { readonly name: string } & Readonly<
  Partial<Record<ReadMetric['kind'], { readonly dataPoints: readonly WrittenPoint[] }>>
>;

/** All metrics of a request of a client. */
export function readMetrics(body: string): readonly ReadMetric[] {
  const request = JSON.parse(body) as {
    resourceMetrics: readonly { scopeMetrics: readonly { metrics: readonly WrittenMetric[] }[] }[];
  };
  return request.resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics.map(metricOf)),
  );
}

function metricOf(metric: WrittenMetric): ReadMetric {
  const kinds = ['gauge', 'sum', 'histogram', 'exponentialHistogram'] as const;
  const kind = kinds.find((each) => metric[each] !== undefined) ?? 'gauge';
  const points = (metric[kind]?.dataPoints ?? []).map((point) => ({
    labels: attributesOf(point.attributes),
    startMs: point.startTimeUnixNano === undefined ? null : Number(point.startTimeUnixNano) / 1e6,
    ...(point.asDouble !== undefined && { value: point.asDouble }),
    ...(point.count !== undefined && { count: Number(point.count) }),
    ...(point.sum !== undefined && { sum: point.sum }),
    ...(point.bucketCounts && { buckets: point.bucketCounts.map(Number) }),
    ...(point.explicitBounds && { bounds: point.explicitBounds }),
    ...(point.positive && { positive: point.positive }),
    ...(point.scale !== undefined && { scale: point.scale }),
  }));
  return { name: metric.name, kind, points };
}

function spanOf(span: WrittenSpan): ReadSpan {
  const { traceId, spanId, parentSpanId, traceState, name, kind, status } = span;
  return {
    ...{ traceId, spanId, name, isError: status.code === 2 },
    ...(parentSpanId !== undefined && { parentSpanId }),
    ...(traceState !== undefined && { traceState }),
    kind: kind === 2 ? 'server' : 'client',
    startNanos: BigInt(span.startTimeUnixNano),
    endNanos: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
  };
}

function attributesOf(attributes: WrittenSpan['attributes']): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
  );
}
