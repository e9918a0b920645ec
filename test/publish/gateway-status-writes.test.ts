import { expect, test } from 'vitest';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { asArray, asObject } from '../../src/model/untyped.ts';
import { STATUS_KINDS, wantedStatus } from '../../src/publish/wanted-status.ts';
import type { PortFacts } from '../../src/routing/gateway/serving-facts.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { CASE_SETTINGS, changesOf } from '../support/cases.ts';
import { type ApiObject, objectsOf, startPublisherHarness } from './fixture.ts';

const apiVersion = 'gateway.networking.k8s.io/v1';
const controllerName = 'portico.dev/gateway-controller';
const GATEWAYS = { gatewayController: controllerName };

function object(kind: string, key: string, spec: object, more: object = {}): ApiObject {
  const [namespace, name = ''] = key.includes('/') ? key.split('/') : [undefined, key];
  const creationTimestamp = '2026-01-01T00:00:00Z';
  const metadata = { name, generation: 1, creationTimestamp, ...(namespace && { namespace }) };
  return { apiVersion, kind, metadata, spec, ...more };
}

function route(name: string, more: object = {}): ApiObject {
  return object(
    'HTTPRoute',
    `shop/${name}`,
    { parentRefs: [{ name: 'main' }], hostnames: [`${name}.example`] },
    more,
  );
}

const CLASS = object('GatewayClass', 'portico', { controllerName });
const GATEWAY = object('Gateway', 'shop/main', {
  gatewayClassName: 'portico',
  allowedListeners: { namespaces: { from: 'Same' } },
  listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }],
});
const SET = object('ListenerSet', 'shop/more', {
  parentRef: { name: 'main' },
  listeners: [{ name: 'http', port: 81, protocol: 'HTTP' }],
});
const NODE = { type: 'IPAddress', value: '203.0.113.7' } as const;

/** `Accepted True 1, …` of each entry for a parent, with its controller. */
function parentsOf(route: ApiObject | undefined): readonly string[] {
  return asArray(asObject(route?.['status'])['parents']).map((entry) => {
    const { controllerName: by, conditions } = asObject(entry);
    const said = asArray(conditions)
      .map(asObject)
      .map(({ type, status }) => `${String(type)} ${String(status)}`);
    return [String(by), ...said].join(', ');
  });
}

const OURS = `${controllerName}, Accepted True, ResolvedRefs True`;

test('each status is written once, and nothing after it is right', async () => {
  const routes = Array.from({ length: 20 }, (_, n) => route(`app-${n}`));
  await using harness = await startPublisherHarness({ objects: [CLASS, GATEWAY, SET, ...routes] });
  harness.api.install();
  await harness.addReplica('a', GATEWAYS);
  await harness.until(() => harness.writes().length >= 23);
  await harness.advance(5 * 60_000);
  expect(harness.writes().map(({ path }) => path)).toHaveLength(23);
  expect(new Set(objectsOf(harness.api, 'httproutes').map((each) => parentsOf(each).join()))).toEqual(
    new Set([OURS]),
  );
});

test('500 routes whose status is right are not written when another Portico begins to lead', async () => {
  const written = [CLASS, GATEWAY, ...Array.from({ length: 500 }, (_, n) => route(`app-${n}`))];
  const compilation = compile(snapshotOf(changesOf(written)), CASE_SETTINGS);
  const facts = { nodeAddresses: [NODE], ports: null };
  const right = written.map((each): ApiObject => {
    const { kind, metadata } = each;
    const key = [metadata.namespace, metadata.name].filter(Boolean).join('/');
    const known = STATUS_KINDS.find((status) => status === kind) ?? 'HTTPRoute';
    return { ...each, status: wantedStatus(`${known} ${key}`, compilation, facts, '2026-01-02T00:00:00Z') };
  });
  // One more that nobody wrote yet shows that the others were looked at.
  await using harness = await startPublisherHarness({ objects: [...right, route('new')] });
  harness.api.install();
  await harness.addReplica('a', GATEWAYS);
  await harness.until(() => harness.writes().length > 0);
  await harness.advance(60_000);
  const paths = harness.writes().map(({ path }) => path.replace(/^.*\/shop\//, ''));
  expect(paths.toSorted()).toEqual(['gateways/main/status', 'httproutes/new/status']);
});

test('two controllers that write one status at the same time end with the entries of both', async () => {
  await using harness = await startPublisherHarness({ objects: [CLASS, GATEWAY, route('web')] });
  harness.api.install();
  const theirs = { parentRef: { name: 'other' }, controllerName: 'example.com/other', conditions: [] };
  let conflicts = 0;
  harness.api.fail(
    {
      verb: 'patch',
      resource: 'httproutes',
      when() {
        // Theirs arrives just before ours, twice.
        if (conflicts++ < 2) {
          const [now] = objectsOf(harness.api, 'httproutes');
          const mark = { ...theirs, conditions: [{ type: `Round-${conflicts}`, status: 'True' }] };
          if (now) harness.api.apply({ ...now, status: { parents: [mark] } });
        }
        return false;
      },
    },
    { kind: 'reset' },
  );
  await harness.addReplica('a', GATEWAYS);
  const parents = (): readonly string[] => parentsOf(objectsOf(harness.api, 'httproutes')[0]);
  await harness.until(() => parents().length === 2);
  await harness.advance(10 * 60_000);
  expect(parents()).toEqual(['example.com/other, Round-2 True', OURS]);
  expect(harness.writes('httproutes')).toHaveLength(3);
});

test('of two leaders the one that was stopped in its tracks writes nothing more', async () => {
  await using harness = await startPublisherHarness({ objects: [CLASS, GATEWAY, route('web')] });
  harness.api.install();
  const at = (ip: string) => ({ ...GATEWAYS, addresses: { kind: 'fixed', addresses: [{ ip }] } }) as const;
  const addressOf = (): unknown =>
    asObject(asArray(asObject(objectsOf(harness.api, 'gateways')[0]?.['status'])['addresses'])[0])['value'];
  const a = await harness.addReplica('a', at('203.0.113.7'));
  await harness.until(() => addressOf() === '203.0.113.7');
  const b = await harness.addReplica('b', at('203.0.113.8'));
  await harness.advance(5_000);
  a.clock.pause();
  await harness.until(() => b.publisher.leading() && addressOf() === '203.0.113.8');
  // What changed meanwhile is the business of the new leader alone.
  harness.api.apply(route('new'));
  a.clock.resume();
  await harness.advance(60_000);
  expect([addressOf(), a.publisher.leading()]).toEqual(['203.0.113.8', false]);
  expect(harness.writes('gateways')).toHaveLength(3);
  expect(harness.writes('httproutes')).toHaveLength(2);
});

test('a Gateway is programmed when every thread listens on its port, and is told nothing before', async () => {
  await using harness = await startPublisherHarness({ objects: [CLASS, GATEWAY] });
  harness.api.install();
  let ports: PortFacts = { failures: new Map(), bound: new Set() };
  const { publisher } = await harness.addReplica('a', { ...GATEWAYS, portFacts: () => ports });
  const programmed = (): readonly unknown[] => {
    const { conditions } = asObject(objectsOf(harness.api, 'gateways')[0]?.['status']);
    const found = asArray(conditions)
      .map(asObject)
      .find(({ type }) => type === 'Programmed');
    return [found?.['status'], found?.['reason']];
  };
  await harness.until(() => harness.writes('gatewayclasses').length > 0);
  await harness.advance(1_000);
  expect(harness.writes('gateways')).toEqual([]);
  // What takes long is told.
  await harness.until(() => programmed()[1] === 'Pending');
  ports = { failures: new Map(), bound: new Set([':80']) };
  publisher.changed();
  await harness.until(() => programmed()[0] === 'True');
  ports = { failures: new Map([[':80', 'EADDRINUSE']]), bound: new Set() };
  publisher.changed();
  await harness.until(() => programmed()[0] === 'False');
  expect(programmed()[1]).toBe('Invalid');
});
