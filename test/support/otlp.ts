/** The messages of opentelemetry-proto 1.8 that carry spans, as OTLP has them in JSON: each field with what it is. */
type FieldType =
  | 'string'
  | 'uint32'
  /** 64-bit numbers are text. */
  | 'uint64'
  | 'int64'
  | 'bool'
  | 'double'
  /** Ids are hexadecimal, of so many digits. */
  | { readonly id: number }
  | { readonly enum: readonly number[] }
  | { readonly message: string }
  | { readonly list: string };

/** What a request of each kind has at its top. */
const ROOTS: Readonly<Record<string, string>> = {
  resourceSpans: 'ExportTraceServiceRequest',
  resourceLogs: 'ExportLogsServiceRequest',
};

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
  return isOf(value, type) ? [] : [`${path}: ${JSON.stringify(value)} is not ${JSON.stringify(type)}`];
}

function isOf(value: unknown, type: Exclude<FieldType, { message: string } | { list: string }>): boolean {
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
