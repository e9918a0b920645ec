import { describe, expect, it } from 'vitest';
import { samplerOf } from '../../src/http/sampler.ts';
import { TraceIds, newSpanId, traceIdOf } from '../../src/http/trace-ids.ts';
import {
  type Propagator,
  type TraceContext,
  readTraceContext,
  traceLines,
  traceState,
} from '../../src/http/trace-context.ts';

/** Trace ids, and for each the head that tells Pods of it. */
function newTraces(count: number): { traceId: string; head: string }[] {
  const ids = new TraceIds();
  return Array.from({ length: count }, () => {
    const ending = ids.next();
    return { traceId: traceIdOf(ending), head: `GET / HTTP/1.1\r\n${ending}` };
  });
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

function read(
  propagators: readonly Propagator[],
  fields: Readonly<Record<string, string>>,
): TraceContext | null {
  return readTraceContext(propagators, { value: (name) => fields[name] });
}

describe('traceparent', () => {
  const w3c = (traceparent: string, more: Readonly<Record<string, string>> = {}): TraceContext | null =>
    read(['tracecontext'], { traceparent, ...more });

  it('gives the trace, the span of the sender and its flags', () => {
    const context = { traceId: TRACE, parentId: SPAN, isSampled: true, isRandom: false, state: '' };
    expect(w3c(`00-${TRACE}-${SPAN}-01`)).toEqual(context);
    expect(w3c(`00-${TRACE}-${SPAN}-02`)).toEqual({ ...context, isSampled: false, isRandom: true });
    // Flags that nobody knows yet are not passed on.
    expect(w3c(`00-${TRACE}-${SPAN}-f9`)).toEqual(context);
    expect(w3c(`00-${TRACE}-${SPAN}-01`, { tracestate: 'a=1 , b@c=2' })).toMatchObject({
      state: 'a=1,b@c=2',
    });
  });

  it.each([`cc-${TRACE}-${SPAN}-01`, `cc-${TRACE}-${SPAN}-01-what-comes-next`])(
    'of a later version: %s',
    (value) => {
      expect(w3c(value)).toMatchObject({ traceId: TRACE, isSampled: true });
    },
  );

  it.each([
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-0g`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}0-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00_${TRACE}_${SPAN}_01`,
    `ff-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01.what`,
    ` 00-${TRACE}-${SPAN}-01`,
    // Two fields of the name.
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  ])('begins anew, without tracestate: %j', (traceparent) => {
    expect(w3c(traceparent, { tracestate: 'a=1' })).toBeNull();
  });
});

describe('tracestate', () => {
  it.each([
    ['a=1,b=2', 'a=1,b=2'],
    ['a=1 ,\tb=2, ,', 'a=1,b=2'],
    ['0tenant@sys*/-_=x y', '0tenant@sys*/-_=x y'],
    ['a', ''],
    ['a=', ''],
    ['A=1', ''],
    ['a=1;b=2,c=\u00e9', ''],
    ['a=b=c', ''],
    [Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(','), ''],
  ])('%j goes on as %j', (value, expected) => {
    expect(traceState(value)).toBe(expected);
  });

  it('costs time in proportion to its length, whatever blanks are in it', () => {
    expect(traceState(`a=1${' '.repeat(500_000)}b`)).toBe('');
    expect(traceState(`a=1${' '.repeat(500_000)}`)).toBe('a=1');
  });

  it('of more than 512 characters loses long members first, then those at the end', () => {
    const short = Array.from({ length: 5 }, (_, i) => `k${i}=${'x'.repeat(90)}`);
    const long = `long=${'x'.repeat(200)}`;
    expect(traceState([long, ...short].join(','))).toBe(short.join(','));
    const many = Array.from({ length: 7 }, (_, i) => `k${i}=${'x'.repeat(90)}`);
    expect(traceState(many.join(','))).toBe(many.slice(0, 5).join(','));
  });
});

describe('b3', () => {
  const ids = { traceId: TRACE, parentId: SPAN, isRandom: false, state: '' };
  const short = { ...ids, traceId: `${'0'.repeat(16)}${SPAN}` };
  it.each([
    [{ b3: `${TRACE}-${SPAN}-1` }, { ...ids, isSampled: true }],
    [{ b3: `${TRACE}-${SPAN}-d-${SPAN}` }, { ...ids, isSampled: true }],
    [{ b3: `${TRACE}-${SPAN}-0` }, { ...ids, isSampled: false }],
    [{ b3: `${SPAN}-${SPAN}` }, { ...short, isSampled: null }],
    [{ b3: '0' }, { ...ids, traceId: '', parentId: '', isSampled: false }],
    [{ b3: `${TRACE}-${SPAN}-2` }, null],
    [{ b3: `${'0'.repeat(16)}-${SPAN}-1` }, null],
    [
      { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': '1' },
      { ...ids, isSampled: true },
    ],
    [
      { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-sampled': 'false' },
      { ...ids, isSampled: false },
    ],
    [
      { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN, 'x-b3-flags': '1' },
      { ...ids, isSampled: true },
    ],
    [
      { 'x-b3-traceid': TRACE, 'x-b3-spanid': SPAN },
      { ...ids, isSampled: null },
    ],
    [{ 'x-b3-sampled': '0' }, { ...ids, traceId: '', parentId: '', isSampled: false }],
    [{ 'x-b3-traceid': TRACE }, null],
    [{ 'x-b3-traceid': `${TRACE}-${SPAN}`, 'x-b3-spanid': SPAN }, null],
  ])('%j', (fields, expected) => {
    expect(read(['b3', 'b3multi'], fields as Record<string, string>)).toEqual(expected);
  });

  it('counts only where it is asked for, and the first propagator wins', () => {
    const fields = { b3: '0', traceparent: `00-${TRACE}-${SPAN}-01` };
    expect(read(['tracecontext'], { b3: '0' })).toBeNull();
    expect(read(['tracecontext', 'b3'], fields)).toMatchObject({ traceId: TRACE });
    expect(read(['b3', 'tracecontext'], fields)).toMatchObject({ traceId: '' });
    expect(read([], fields)).toBeNull();
  });
});

it('what goes on is what is read', () => {
  const context = {
    traceId: TRACE,
    spanId: newSpanId(),
    isSampled: true,
    isRandom: true,
    state: 'a=1',
  };
  for (const propagator of ['tracecontext', 'b3', 'b3multi'] as const) {
    const lines = traceLines([propagator], context).split('\r\n').slice(0, -1);
    const fields = Object.fromEntries(lines.map((line) => line.toLowerCase().split(': ', 2)));
    expect(read([propagator], fields)).toMatchObject({
      traceId: context.traceId,
      parentId: context.spanId,
      isSampled: true,
    });
  }
});

it('ids are hexadecimal, no two are the same, and a head with a new one is valid', () => {
  const traces = newTraces(5_000);
  const ids = traces.flatMap(({ traceId }) => [traceId, newSpanId()]);
  expect(new Set(ids).size).toBe(10_000);
  for (const { traceId, head } of traces) {
    const [, traceparent = ''] = /^GET \/ HTTP\/1.1\r\ntraceparent: ([^\r]+)\r\n\r\n$/.exec(head) ?? [];
    expect(read(['tracecontext'], { traceparent })).toEqual({
      ...{ traceId, parentId: traceparent.slice(36, 52), isSampled: false, isRandom: true, state: '' },
    });
  }
});

describe('samplers', () => {
  const samples = (ratio: number, traceId: string): boolean =>
    samplerOf({ root: 'traceidratio', ratio, parentBased: false }).samplesRoot(traceId, traceId.length);

  it('a ratio takes that share of traces, and a larger one takes the same and more', () => {
    const ids = newTraces(20_000).map(({ traceId }) => traceId);
    const taken = (ratio: number): Set<string> => new Set(ids.filter((id) => samples(ratio, id)));
    const [few, half] = [taken(0.01), taken(0.5)];
    expect(few.size).toBeGreaterThan(100);
    expect(few.size).toBeLessThan(320);
    expect(Math.abs(half.size - 10_000)).toBeLessThan(600);
    expect([...few].every((id) => half.has(id))).toBe(true);
  });

  it('looks at the last 56 bits: all or nothing at the ends', () => {
    const last = `${'0'.repeat(18)}${'f'.repeat(14)}`;
    const first = `${'f'.repeat(18)}${'0'.repeat(14)}`;
    expect([1, 0.5, 1e-9, 1e-17, 0].map((ratio) => samples(ratio, last))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect([1, 1 - 2 ** -53, 0.5].map((ratio) => samples(ratio, first))).toEqual([true, false, false]);
  });
});
