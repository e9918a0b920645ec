import { expect, test } from 'vitest';
import { createLogOnce } from '../../src/publish/log-once.ts';
import type { Problem } from '../../src/model/problem.ts';
import { startEventRecorder } from '../../src/publish/event-recorder.ts';
import { Leadership } from '../../src/publish/leadership.ts';
import { resourceOfObject } from '../support/api-server-resources.ts';
import type { ApiObject } from '../support/api-server.ts';
import {
  OTHER_CLASS,
  OUR_CLASS,
  type PublisherHarness,
  ingressOf,
  objectsOf,
  startPublisherHarness,
  service,
} from './fixture.ts';
import { emptyMap, values } from '../../src/model/sharded-map.ts';

const REPLICA = { events: true, addresses: null };

function events(harness: PublisherHarness): ApiObject[] {
  return [...objectsOf(harness.api, 'events')];
}
function notes(harness: PublisherHarness): unknown[] {
  return events(harness).map(({ note }) => note);
}

test('a missing Service becomes one Event on the Ingress, and Ingresses of others get none', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/theirs', 'nginx')],
  });
  const { compilation } = await harness.addReplica('a', REPLICA);
  await harness.until(() => events(harness).length > 0);
  await harness.advance(120_000);
  const [event, ...more] = events(harness);
  expect(more).toEqual([]);
  const [problem] = [...values(compilation()?.problems ?? emptyMap<readonly Problem[]>())].flat();
  const ingress = objectsOf(harness.api, 'ingresses').find(({ metadata }) => metadata.name === 'web');
  expect(event).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    reason: problem?.code,
    note: `${problem?.field}: ${problem?.message}`,
    type: 'Warning',
    regarding: { kind: 'Ingress', namespace: 'shop', name: 'web', uid: ingress?.metadata.uid },
    reportingInstance: 'a',
  });
  expect(problem?.code).toBe('ServiceNotFound');
  expect(harness.writes()).toHaveLength(1);
});

test('a problem that comes back is counted in the series of its Event', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const { compilation } = await harness.addReplica('a', REPLICA);
  const missing = (): boolean =>
    compilation()?.problems.size === 1 && compilation()?.snapshot.services.size === 0;
  await harness.until(() => missing() && events(harness).length === 1);
  harness.api.apply(service('shop/web'));
  await harness.until(() => !missing());
  await harness.advance(1_000);
  harness.api.delete('Service', 'shop/web');
  await harness.until(missing);
  await harness.advance(5_000);
  const series = (): unknown =>
    events(harness).find(({ reason }) => reason === 'ServiceNotFound')?.['series'];
  expect(series()).toBe(undefined);
  await harness.until(() => series() !== undefined);
  expect(series()).toEqual({ count: 2, lastObservedTime: expect.stringMatching(/\.\d{6}Z$/) });
  expect(harness.writes().filter(({ method }) => method === 'PATCH')).toHaveLength(1);
});

test('a problem that stays is reported once an hour, again when the Event has expired', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const { compilation, call } = await harness.addReplica('a', { events: false, addresses: null });
  await harness.until(() => compilation() !== null);
  const { clock } = harness;
  // A leader for hours, without the renewals of hours.
  const leadership = new Leadership({
    call,
    clock,
    leftMs: () => 1e9,
    callTimeoutMs: 5_000,
    onLost: () => {},
  });
  const logOnce = createLogOnce(() => {});
  const reporter = { controller: 'portico.dev/ingress-controller', instance: 'a' };
  const recorder = startEventRecorder({ leadership, clock, random: () => 0.5, logOnce, reporter });
  const latest = compilation();
  if (latest) recorder.advance(latest);
  const methods = (): string[] => harness.writes().map(({ method }) => method);
  await harness.until(() => methods().length === 1);
  await harness.idle();
  const leap = async (minutes: number): Promise<void> => {
    for (let n = 0; n < minutes; n++) {
      clock.advance(60_000);
      await harness.idle();
    }
  };

  await leap(59);
  expect(methods()).toEqual(['POST']);
  await leap(2);
  expect(methods()).toEqual(['POST', 'PATCH']);
  const [event] = events(harness);
  expect(event?.['series']).toMatchObject({ count: 2 });
  harness.api.store.delete(
    resourceOfObject({ apiVersion: 'events.k8s.io/v1', kind: 'Event' }),
    `shop/${event?.metadata.name}`,
  );
  await leap(61);
  expect(methods()).toEqual(['POST', 'PATCH', 'PATCH', 'POST']);
  expect(events(harness)).toHaveLength(1);
  leadership.end();
});

test('the next leader does not repeat what its predecessor reported', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  const a = await harness.addReplica('a', REPLICA);
  await harness.until(() => events(harness).length === 1);
  const b = await harness.addReplica('b', REPLICA);
  await a.publisher.stop();
  await harness.until(() => b.publisher.leading());
  await harness.advance(60_000);
  expect(events(harness)).toHaveLength(1);
  expect(events(harness)[0]).toMatchObject({ reportingInstance: 'a' });
  expect(harness.writes()).toHaveLength(2);
});

test('200 broken Ingresses are reported at a limited rate', async () => {
  const ingresses = Array.from({ length: 200 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS, ...ingresses] });
  const a = await harness.addReplica('a', REPLICA);
  await harness.until(() => a.publisher.leading());
  const startedAt = harness.clock.wallMs();
  await harness.advance(20_000);
  const seconds = (harness.clock.wallMs() - startedAt) / 1000;
  expect(notes(harness).length).toBeGreaterThan(50);
  expect(notes(harness).length).toBeLessThanOrEqual(26 + 5 * seconds);
});

test('an object that changes its mind all the time is not heard all the time', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico')],
  });
  await harness.addReplica('a', REPLICA);
  await harness.until(() => events(harness).length === 1);
  for (let n = 0; n < 60; n++) {
    const { spec, ...rest } = ingressOf('shop/web', 'portico');
    const text = JSON.stringify(spec).replace('"name":"web"', `"name":"web-${n}"`);
    harness.api.apply({ ...rest, spec: JSON.parse(text) as object });
    await harness.advance(1_000);
  }
  expect(harness.writes().length).toBeGreaterThan(10);
  expect(harness.writes().length).toBeLessThanOrEqual(26);
});

test('without the right to Events it is said once, and statuses are written all the same', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/api', 'portico')],
  });
  harness.api.forbid('events');
  const a = await harness.addReplica('a', { events: true });
  await harness.until(() => harness.status('shop/web') !== '' && harness.status('shop/api') !== '');
  await harness.advance(200_000);
  expect(harness.writes('events')).toHaveLength(1);
  expect(a.logLines.filter((line) => line.startsWith('Events:'))).toEqual([
    expect.stringMatching(
      /"create" and "patch" on resource "events" in API group "events.k8s.io".*serving continues.*forbidden/,
    ),
  ]);
  harness.api.allow('events');
  await harness.until(() => events(harness).length === 2);
});

test('a namespace with many problems does not delay the Event of another', async () => {
  const many = Array.from({ length: 60 }, (_, n) => ingressOf(`a/web-${n}`, 'portico'));
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ...many, ingressOf('b/web', 'portico')],
  });
  await harness.addReplica('a', REPLICA);
  const turn = (): number =>
    harness.writes('events').findIndex(({ path }) => path.includes('/namespaces/b/'));
  await harness.until(() => turn() >= 0);
  expect(turn()).toBeLessThan(3);
});

test('a namespace that refuses Events does not stop those of another', async () => {
  await using harness = await startPublisherHarness({ objects: [OUR_CLASS, ingressOf('a/web', 'portico')] });
  const body = {
    kind: 'Status',
    status: 'Failure',
    reason: 'Forbidden',
    message: 'exceeded quota',
    code: 403,
  };
  harness.api.fail(
    { resource: 'events', namespace: 'a', times: 100 },
    { kind: 'body', status: 403, contentType: 'application/json', body: JSON.stringify(body) },
  );
  const a = await harness.addReplica('a', REPLICA);
  await harness.until(() => a.logLines.some((line) => line.startsWith('Events:')));
  harness.api.apply(ingressOf('b/web', 'portico'));
  await harness.until(() => events(harness).length === 1);
  expect(events(harness)[0]?.metadata.namespace).toBe('b');
});

test('a namespace that is being deleted takes no Events, which is no missing right', async () => {
  await using harness = await startPublisherHarness({
    objects: [OUR_CLASS, ingressOf('going/web', 'portico'), ingressOf('shop/web', 'portico')],
  });
  const body = {
    kind: 'Status',
    message: 'unable to create new content in namespace going because it is being terminated',
    reason: 'Forbidden',
    details: { causes: [{ reason: 'NamespaceTerminating' }] },
    code: 403,
  };
  harness.api.fail(
    { resource: 'events', namespace: 'going', times: 100 },
    { kind: 'body', status: 403, contentType: 'application/json', body: JSON.stringify(body) },
  );
  const a = await harness.addReplica('a', REPLICA);
  await harness.until(() => events(harness).length === 1);
  await harness.advance(60_000);
  expect(harness.writes()).toHaveLength(2);
  expect(a.logLines.filter((line) => line.startsWith('Events'))).toEqual([]);
});
