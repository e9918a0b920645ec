/** Spans as OTLP has them in JSON, written as text: 64-bit numbers are strings, ids are hexadecimal, enums are numbers. */

/** SPAN_KIND_SERVER, SPAN_KIND_CLIENT. */
export const SERVER = 2;
export const CLIENT = 3;

export interface SpanTimes {
  /** Milliseconds since the epoch, with fractions. */
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface SpanHead extends SpanTimes {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly kind: typeof SERVER | typeof CLIENT;
  readonly isError: boolean;
  /** Whether the trace is recorded by who began it, elsewhere. */
  readonly hasRemoteParent: boolean;
}

/** STATUS_CODE_ERROR. */
const FAILED = '{"code":2}';

/** SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, and with SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK; and the flag of a sampled trace. */
const FLAGS = 0x100 | 0x01;
const REMOTE_FLAGS = FLAGS | 0x200;

/** `attributes` as `text` and `whole` write them, with commas between them. */
export function spanText(span: SpanHead, attributes: string): string {
  const parent = span.parentId === '' ? '' : `"parentSpanId":"${span.parentId}",`;
  const state = span.state === '' ? '' : `"traceState":${JSON.stringify(span.state)},`;
  const flags = span.hasRemoteParent ? REMOTE_FLAGS : FLAGS;
  return (
    `{"traceId":"${span.traceId}","spanId":"${span.spanId}",${parent}${state}"flags":${flags},` +
    `"name":${quoted(span.name)},"kind":${span.kind},` +
    `"startTimeUnixNano":"${nanos(span.startedAt)}","endTimeUnixNano":"${nanos(span.endedAt)}",` +
    `"attributes":[${attributes}],"status":${span.isError ? FAILED : '{}'}}`
  );
}

/** Of what others choose: a span has a bounded size. */
const LONGEST_VALUE = 1024;

/** One attribute. `key` needs no escapes. */
export function text(key: string, value: string): string {
  return `{"key":"${key}","value":{"stringValue":${quoted(value)}}}`;
}

export function whole(key: string, value: number): string {
  return `{"key":"${key}","value":{"intValue":"${value}"}}`;
}

function quoted(value: string): string {
  return JSON.stringify(value.length > LONGEST_VALUE ? value.slice(0, LONGEST_VALUE) : value);
}

/** As exact as a number of milliseconds since the epoch is: to a microsecond. */
function nanos(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}
