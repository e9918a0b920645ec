import { expect, test } from 'vitest';
import { createComplaints } from '../../src/publish/log-once.ts';
import { openEventDesk } from '../../src/publish/event-recorder.ts';
import { startTerm } from '../../src/publish/leadership.ts';
import { resourceOfObject } from '../support/api-server-resources.ts';
import type { ApiObject } from '../support/api-server.ts';
import { OTHER_CLASS, OUR_CLASS, type Town, ingressOf, objectsOf, openTown, service } from './fixture.ts';

const JOIN = { events: true, addresses: null };

function events(town: Town): ApiObject[] {
  return [...objectsOf(town.api, 'events')];
}
function notes(town: Town): unknown[] {
  return events(town).map(({ note }) => note);
}

test('a missing Service becomes one Event on the Ingress, and Ingresses of others get none', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, OTHER_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/theirs', 'nginx')],
  });
  const { compilation } = await town.join('a', JOIN);
  await town.until(() => events(town).length > 0);
  await town.pass(120_000);
  const [event, ...more] = events(town);
  expect(more).toEqual([]);
  const [problem] = [...(compilation()?.problems.shards ?? [])].flatMap((shard) =>
    [...shard.values()].flat(),
  );
  const ingress = objectsOf(town.api, 'ingresses').find(({ metadata }) => metadata.name === 'web');
  expect(event).toMatchObject({
    apiVersion: 'events.k8s.io/v1',
    reason: problem?.code,
    note: `${problem?.field}: ${problem?.message}`,
    type: 'Warning',
    regarding: { kind: 'Ingress', namespace: 'shop', name: 'web', uid: ingress?.metadata.uid },
    reportingInstance: 'a',
  });
  expect(problem?.code).toBe('ServiceNotFound');
  expect(town.writes()).toHaveLength(1);
});

test('a problem that comes back is counted in the series of its Event', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const { compilation } = await town.join('a', JOIN);
  const missing = (): boolean =>
    compilation()?.problems.size === 1 && compilation()?.snapshot.services.size === 0;
  await town.until(() => missing() && events(town).length === 1);
  town.api.apply(service('shop/web'));
  await town.until(() => !missing());
  await town.pass(1_000);
  town.api.delete('Service', 'shop/web');
  await town.until(missing);
  await town.pass(5_000);
  const series = (): unknown => events(town).find(({ reason }) => reason === 'ServiceNotFound')?.['series'];
  expect(series()).toBe(undefined);
  await town.until(() => series() !== undefined);
  expect(series()).toEqual({ count: 2, lastObservedTime: expect.stringMatching(/\.\d{6}Z$/) });
  expect(town.writes().filter(({ method }) => method === 'PATCH')).toHaveLength(1);
});

test('a problem that stays is told once an hour, anew when the Event has expired', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const { compilation, call } = await town.join('a', { events: false, addresses: null });
  await town.until(() => compilation() !== null);
  const { clock } = town;
  // A leader for hours, without the renewals of hours.
  const term = startTerm({ call, clock, leftMs: () => 1e9, callTimeoutMs: 5_000, onLost: () => {} });
  const complaints = createComplaints(() => {});
  const reporter = { controller: 'portico.dev/ingress-controller', instance: 'a' };
  const desk = openEventDesk({ term, clock, random: () => 0.5, complaints, reporter });
  const latest = compilation();
  if (latest) desk.advance(latest);
  const methods = (): string[] => town.writes().map(({ method }) => method);
  await town.until(() => methods().length === 1);
  await town.idle();
  const leap = async (minutes: number): Promise<void> => {
    for (let n = 0; n < minutes; n++) {
      clock.advance(60_000);
      await town.idle();
    }
  };

  await leap(59);
  expect(methods()).toEqual(['POST']);
  await leap(2);
  expect(methods()).toEqual(['POST', 'PATCH']);
  const [event] = events(town);
  expect(event?.['series']).toMatchObject({ count: 2 });
  town.api.store.delete(
    resourceOfObject({ apiVersion: 'events.k8s.io/v1', kind: 'Event' }),
    `shop/${event?.metadata.name}`,
  );
  await leap(61);
  expect(methods()).toEqual(['POST', 'PATCH', 'PATCH', 'POST']);
  expect(events(town)).toHaveLength(1);
  term.end();
});

test('the next leader does not repeat what its predecessor reported', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  const a = await town.join('a', JOIN);
  await town.until(() => events(town).length === 1);
  const b = await town.join('b', JOIN);
  await a.publisher.stop();
  await town.until(() => b.publisher.leading());
  await town.pass(60_000);
  expect(events(town)).toHaveLength(1);
  expect(events(town)[0]).toMatchObject({ reportingInstance: 'a' });
  expect(town.writes()).toHaveLength(2);
});

test('500 broken Ingresses are reported at a limited rate', async () => {
  const ingresses = Array.from({ length: 500 }, (_, n) => ingressOf(`shop/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...ingresses] });
  const a = await town.join('a', JOIN);
  await town.until(() => a.publisher.leading());
  const startedAt = town.clock.wallMs();
  await town.pass(20_000);
  const seconds = (town.clock.wallMs() - startedAt) / 1000;
  expect(notes(town).length).toBeGreaterThan(50);
  expect(notes(town).length).toBeLessThanOrEqual(26 + 5 * seconds);
});

test('an object that changes its mind all the time is not heard all the time', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('shop/web', 'portico')] });
  await town.join('a', JOIN);
  await town.until(() => events(town).length === 1);
  for (let n = 0; n < 60; n++) {
    const { spec, ...rest } = ingressOf('shop/web', 'portico');
    const text = JSON.stringify(spec).replace('"name":"web"', `"name":"web-${n}"`);
    town.api.apply({ ...rest, spec: JSON.parse(text) as object });
    await town.pass(1_000);
  }
  expect(town.writes().length).toBeGreaterThan(10);
  expect(town.writes().length).toBeLessThanOrEqual(26);
});

test('without the right to Events it is said once, and statuses are written all the same', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, ingressOf('shop/web', 'portico'), ingressOf('shop/api', 'portico')],
  });
  town.api.forbid('events');
  const a = await town.join('a', { events: true });
  await town.until(() => town.status('shop/web') !== '' && town.status('shop/api') !== '');
  await town.pass(200_000);
  expect(town.writes('events')).toHaveLength(1);
  expect(a.said.filter((line) => line.startsWith('Events:'))).toEqual([
    expect.stringMatching(
      /"create" and "patch" on resource "events" in API group "events.k8s.io".*serving goes on.*forbidden/,
    ),
  ]);
  town.api.allow('events');
  await town.until(() => events(town).length === 2);
});

test('a namespace with many problems does not delay the Event of another', async () => {
  const many = Array.from({ length: 60 }, (_, n) => ingressOf(`a/web-${n}`, 'portico'));
  await using town = await openTown({ objects: [OUR_CLASS, ...many, ingressOf('b/web', 'portico')] });
  await town.join('a', JOIN);
  const turn = (): number => town.writes('events').findIndex(({ path }) => path.includes('/namespaces/b/'));
  await town.until(() => turn() >= 0);
  expect(turn()).toBeLessThan(3);
});

test('a namespace that refuses Events does not stop those of another', async () => {
  await using town = await openTown({ objects: [OUR_CLASS, ingressOf('a/web', 'portico')] });
  const body = {
    kind: 'Status',
    status: 'Failure',
    reason: 'Forbidden',
    message: 'exceeded quota',
    code: 403,
  };
  town.api.fail(
    { resource: 'events', namespace: 'a', times: 100 },
    { kind: 'body', status: 403, contentType: 'application/json', body: JSON.stringify(body) },
  );
  const a = await town.join('a', JOIN);
  await town.until(() => a.said.some((line) => line.startsWith('Events:')));
  town.api.apply(ingressOf('b/web', 'portico'));
  await town.until(() => events(town).length === 1);
  expect(events(town)[0]?.metadata.namespace).toBe('b');
});

test('a namespace that is being deleted takes no Events, which is no missing right', async () => {
  await using town = await openTown({
    objects: [OUR_CLASS, ingressOf('going/web', 'portico'), ingressOf('shop/web', 'portico')],
  });
  const body = {
    kind: 'Status',
    message: 'unable to create new content in namespace going because it is being terminated',
    reason: 'Forbidden',
    details: { causes: [{ reason: 'NamespaceTerminating' }] },
    code: 403,
  };
  town.api.fail(
    { resource: 'events', namespace: 'going', times: 100 },
    { kind: 'body', status: 403, contentType: 'application/json', body: JSON.stringify(body) },
  );
  const a = await town.join('a', JOIN);
  await town.until(() => events(town).length === 1);
  await town.pass(60_000);
  expect(town.writes()).toHaveLength(2);
  expect(a.said.filter((line) => line.startsWith('Events'))).toEqual([]);
});
