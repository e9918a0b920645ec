import { expect, test } from 'vitest';
import { RECURRENCE_MS, EventAggregator, REPEAT_MS } from '../../src/publish/event-aggregator.ts';
import { eventBody, eventName, reportsOf } from '../../src/publish/events.ts';
import { type ObjectReference, type Severity, problem } from '../../src/model/problem.ts';

const WEB: ObjectReference = { kind: 'Ingress', namespace: 'shop', name: 'web', uid: 'u-1' };
const REPORTER = { controller: 'portico.dev/ingress-controller', instance: 'portico-abcde_1' };

function report(message = 'There is no Service "web".', object = WEB) {
  const [first] = reportsOf([problem('error', 'ServiceNotFound', object, 'spec', message)]);
  if (!first) throw new Error('nothing to report');
  return first;
}

test('an Event has every field that events.k8s.io/v1 wants', () => {
  const body = eventBody(report(), REPORTER, Date.UTC(2026, 0, 1));
  expect(body).toEqual({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: expect.stringMatching(/^web\.[0-9a-f]{16}$/), namespace: 'shop' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    type: 'Warning',
    reason: 'ServiceNotFound',
    action: 'Compile',
    note: 'spec: There is no Service "web".',
    reportingController: 'portico.dev/ingress-controller',
    reportingInstance: 'portico-abcde_1',
    regarding: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      namespace: 'shop',
      name: 'web',
      uid: 'u-1',
    },
  });
});

test('a cluster-scoped object has its Events in default', () => {
  const body = eventBody(report('x', { kind: 'IngressClass', name: 'portico', uid: 'u-2' }), REPORTER, 0);
  expect(body).toMatchObject({
    metadata: { namespace: 'default' },
    regarding: { apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', name: 'portico', uid: 'u-2' },
  });
  expect((body as { regarding: object }).regarding).not.toHaveProperty('namespace');
});

test('an object of Gateway API has Events, too', () => {
  const route = { kind: 'HTTPRoute', namespace: 'shop', name: 'web', uid: 'u-3' };
  const regarding = { apiVersion: 'gateway.networking.k8s.io/v1', ...route };
  expect(eventBody(report('x', route), REPORTER, 0)).toMatchObject({ regarding });
});

test.each<[string, Severity, ObjectReference]>([
  ['a note', 'info', WEB],
  ['an object that does not exist', 'error', { kind: 'Service', namespace: 'shop', name: 'none' }],
  ['a file', 'error', { kind: 'File', name: 'x.yaml', uid: 'u' }],
])('%s is not reported', (_, severity, object) => {
  expect(reportsOf([problem(severity, 'X', object, '', 'x')])).toEqual([]);
});

test('one report per object and reason: the first words, and how many more there are', () => {
  const problems = ['one', 'two', 'three'].map((text) => problem('error', 'A', WEB, '', text));
  const [a, b, ...more] = reportsOf([...problems, problem('warning', 'B', WEB, 'spec', 'else')]);
  expect([a?.note, b?.note, more]).toEqual(['one (and 2 more)', 'spec: else', []]);
});

test.each(['x', 'ü', '€', '😀'])('a note of many %s is cut to 1,024 bytes between characters', (letter) => {
  const [{ note } = { note: '' }] = reportsOf(
    ['1', '2'].map((n) => problem('error', 'A', WEB, '', letter.repeat(2000) + n)),
  );
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
  expect(Buffer.byteLength(note)).toBeGreaterThan(1015);
  expect(note).not.toContain('\uFFFD');
  expect(note.endsWith('... (and 1 more)')).toBe(true);
});

test('the name of an Event follows from its words, and is a name the API server takes', () => {
  const long = { ...WEB, name: 'x'.repeat(253) };
  expect(eventName(report(), REPORTER)).toBe(eventName(report(), REPORTER));
  const others = [
    eventName(report('other words'), REPORTER),
    eventName(report(undefined, { ...WEB, uid: 'u-9' }), REPORTER),
    eventName(report(), { ...REPORTER, controller: 'example.com/second' }),
  ];
  expect(new Set([...others, eventName(report(), REPORTER)]).size).toBe(4);
  expect(eventName(report('x', long), REPORTER)).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
  expect(eventName(report('x', long), REPORTER).length).toBeLessThanOrEqual(253);
});

test('a problem is sent once, again after an hour if it stays, and counts', () => {
  const aggregator = new EventAggregator();
  const one = report();
  aggregator.has(one, 0);
  const due = aggregator.due(one.key, 0);
  expect(due).toEqual({ kind: 'create' });
  aggregator.sent(one, { kind: 'create' }, 0);
  aggregator.has(report(), 0);
  expect(aggregator.due(one.key, REPEAT_MS - 1)).toBe(null);
  expect(aggregator.sweep(REPEAT_MS)).toEqual([one.key]);
  expect(aggregator.due(one.key, REPEAT_MS)).toEqual({ kind: 'series', count: 2 });
  aggregator.sent(aggregator.report(one.key) ?? one, { kind: 'series', count: 2 }, REPEAT_MS);
  expect(aggregator.due(one.key, 2 * REPEAT_MS - 1)).toBe(null);
  expect(aggregator.due(one.key, 2 * REPEAT_MS)).toEqual({ kind: 'series', count: 3 });
});

test('a problem that comes and goes is counted, and told every ten minutes at most', () => {
  const aggregator = new EventAggregator();
  const one = report();
  aggregator.has(one, 0);
  aggregator.sent(one, { kind: 'create' }, 0);
  for (let n = 0; n < 5; n++) {
    aggregator.lost(one.key);
    expect(aggregator.due(one.key, RECURRENCE_MS)).toBe(null);
    aggregator.has(one, 0);
  }
  expect(aggregator.due(one.key, RECURRENCE_MS - 1)).toBe(null);
  expect(aggregator.due(one.key, RECURRENCE_MS)).toEqual({ kind: 'series', count: 6 });
});

test('other words are another Event; what was never sent and is gone is forgotten; what is over, after an hour', () => {
  const aggregator = new EventAggregator();
  const one = report();
  aggregator.has(one, 0);
  aggregator.sent(one, { kind: 'create' }, 0);
  aggregator.has(report('other words'), 0);
  expect(aggregator.due(one.key, 1)).toEqual({ kind: 'create' });
  aggregator.lost(one.key);
  expect(aggregator.size).toBe(0);

  aggregator.has(one, 0);
  aggregator.sent(one, { kind: 'create' }, 0);
  aggregator.lost(one.key);
  expect([aggregator.sweep(REPEAT_MS - 1), aggregator.size]).toEqual([[], 1]);
  expect([aggregator.sweep(REPEAT_MS), aggregator.size]).toEqual([[], 0]);
});

test('an answer about words that have changed meanwhile does not count for the new ones', () => {
  const aggregator = new EventAggregator();
  const one = report();
  aggregator.has(one, 0);
  aggregator.has(report('other words'), 0);
  aggregator.sent(one, { kind: 'create' }, 0);
  expect(aggregator.due(one.key, 1)).toEqual({ kind: 'create' });
});

test('one namespace has room for a thousand reports, and leaves room for others', () => {
  const aggregator = new EventAggregator();
  const of = (namespace: string, n: number) =>
    report('x', { ...WEB, namespace, name: `web-${n}`, uid: `${namespace}-${n}` });
  const taken = Array.from({ length: 1_500 }, (_, n) => aggregator.has(of('a', n), 0));
  expect([taken.filter(Boolean).length, aggregator.wasFull]).toEqual([1_000, true]);
  expect(aggregator.has(of('b', 0), 0)).toBe(true);
  expect(aggregator.has(of('a', 5), 0)).toBe(true);
  aggregator.lost(of('a', 5).key);
  expect(aggregator.has(of('a', 1_200), 0)).toBe(true);
  expect(aggregator.has(of('a', 1_201), 0)).toBe(false);
});

test('many namespaces have room for fewer each', () => {
  const aggregator = new EventAggregator();
  let taken = 0;
  for (let namespace = 0; namespace < 300; namespace++) {
    for (let n = 0; n < 1_000; n++) {
      if (
        aggregator.has(
          report('x', { ...WEB, namespace: `n${namespace}`, name: `w${n}`, uid: `${namespace}-${n}` }),
          0,
        )
      )
        taken++;
    }
  }
  expect(taken).toBe(20_000);
  expect(aggregator.size).toBe(20_000);
});

test('a Service without endpoints is reported when that has lasted, in whatever words', () => {
  const empty = (message: string) => {
    const [first] = reportsOf([problem('warning', 'NoEndpoints', WEB, 'spec', message)]);
    if (!first) throw new Error('nothing to report');
    return first;
  };
  const aggregator = new EventAggregator();
  const starting = empty('There is no EndpointSlice.');
  aggregator.has(starting, 1_000);
  expect(aggregator.due(starting.key, 1_000)).toBeNull();
  aggregator.has(empty('No Pod is ready.'), 20_000);
  expect(aggregator.sweep(30_999)).toEqual([]);
  expect(aggregator.sweep(31_000)).toEqual([starting.key]);
  expect(aggregator.report(starting.key)?.note).toBe('spec: No Pod is ready.');

  // A Deployment that gets ready in time is never reported, and each beginning counts anew.
  aggregator.lost(starting.key);
  aggregator.has(starting, 40_000);
  expect(aggregator.sweep(69_999)).toEqual([]);
  expect(aggregator.sweep(70_000)).toEqual([starting.key]);
});
