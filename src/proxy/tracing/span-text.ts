/** Spans as OTLP has them in JSON, written as text: 64-bit numbers are strings, ids are hexadecimal, enums are numbers. */

/** SPAN_KIND_SERVER, SPAN_KIND_CLIENT. */
export const SERVER = 2;
export const CLIENT = 3;

export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first span of a trace. */
  readonly parentId: string;
  /** `tracestate`. */
  readonly state: string;
}

/** STATUS_CODE_ERROR. */
const FAILED = '{"code":2}';

/** SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, and with SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK; and the flag of a sampled trace. */
const FLAGS = 0x100 | 0x01;
const REMOTE_FLAGS = FLAGS | 0x200;

/** Times are in milliseconds since the epoch, with fractions; `attributes` as `text` and `whole` write them, with commas between. */
export function spanText(
  ids: SpanIds,
  kind: typeof SERVER | typeof CLIENT,
  name: string,
  startedAt: number,
  endedAt: number,
  attributes: string,
  isError: boolean,
): string {
  const parent = ids.parentId === '' ? '' : `"parentSpanId":"${ids.parentId}",`;
  const state = ids.state === '' ? '' : `"traceState":${JSON.stringify(ids.state)},`;
  const flags = kind === SERVER && ids.parentId !== '' ? REMOTE_FLAGS : FLAGS;
  return (
    `{"traceId":"${ids.traceId}","spanId":"${ids.spanId}",${parent}${state}"flags":${flags},` +
    `"name":${quoted(name)},"kind":${kind},` +
    `"startTimeUnixNano":"${nanos(startedAt)}","endTimeUnixNano":"${nanos(endedAt)}",` +
    `"attributes":[${attributes}],"status":${isError ? FAILED : '{}'}}`
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

export function quoted(value: string): string {
  return JSON.stringify(value.length > LONGEST_VALUE ? value.slice(0, LONGEST_VALUE) : value);
}

/** As exact as a number of milliseconds since the epoch is: to a microsecond. Small integers are texts in a tenth of the time. */
function nanos(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const micros = Math.round((ms - seconds * 1000) * 1000);
  if (micros === 1_000_000) return `${seconds + 1}000000000`;
  return `${seconds}${`${1_000_000 + micros}`.slice(1)}000`;
}
