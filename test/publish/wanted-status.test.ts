import { expect, it } from 'vitest';
import { mergeEntries } from '../../src/publish/gateway-status.ts';
import { wantedStatus } from '../../src/publish/wanted-status.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { asArray, asObject } from '../../src/model/untyped.ts';
import { CASE_SETTINGS, parseManifests } from '../support/cases.ts';

const NOW = '2026-06-01T00:00:00Z';
const OTHER = { type: 'Other', status: 'True', reason: 'Theirs', message: '', observedGeneration: 1 };

const MANIFESTS = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: main, namespace: shop, generation: 3 }
spec:
  gatewayClassName: portico
  listeners: [{ name: http, port: 80, protocol: HTTP }, { name: bad, port: 90, protocol: QUIC }]
status:
  conditions:
    - { type: Accepted, status: "True", reason: Accepted, lastTransitionTime: "2020-01-01T00:00:00Z", observedGeneration: 2 }
    - ${JSON.stringify(OTHER)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop, generation: 7 }
spec:
  parentRefs: [{ name: main, sectionName: http }, { name: main, sectionName: none }, { name: theirs }]
  rules: [{ backendRefs: [{ name: gone, port: 80 }] }]
status:
  parents: [{ parentRef: { name: theirs }, controllerName: example.com/other, conditions: [] }]
`;

const compilation = compile(snapshotOf(parseManifests(MANIFESTS)), {
  ...CASE_SETTINGS,
  gatewayController: 'portico.dev/gateway-controller',
});
const facts = {
  nodeAddresses: [{ type: 'IPAddress', value: '192.0.2.7' }],
  ports: null,
} as const;

/** `Accepted False/NoMatchingParent 7` */
function conditionsOf(status: unknown): readonly string[] {
  return asArray(asObject(status)['conditions']).map((each) => {
    const { type, status: is, reason, observedGeneration } = asObject(each);
    return `${String(type)} ${String(is)}/${String(reason)} ${String(observedGeneration)}`;
  });
}

it('tells a Gateway of its addresses and listeners, and keeps what others and time have said', () => {
  const status = wantedStatus('Gateway shop/main', compilation, facts, NOW);
  expect(status?.['addresses']).toEqual(facts.nodeAddresses);
  expect(conditionsOf(status)).toEqual([
    'Accepted True/ListenersNotValid 3',
    'Other True/Theirs 1',
    'Programmed True/Programmed 3',
    'ResolvedRefs True/ResolvedRefs 3',
  ]);
  const accepted = asArray(status?.['conditions']).map(asObject)[0];
  expect(accepted?.['lastTransitionTime']).toBe('2020-01-01T00:00:00Z');
  expect(
    asArray(status?.['listeners']).map((each) => [asObject(each)['attachedRoutes'], ...conditionsOf(each)]),
  ).toEqual([
    [1, 'Accepted True/Accepted 3', 'Programmed True/Programmed 3', 'ResolvedRefs True/ResolvedRefs 3'],
    [
      0,
      'Accepted False/UnsupportedProtocol 3',
      'Programmed False/Invalid 3',
      'ResolvedRefs True/ResolvedRefs 3',
    ],
  ]);
});

it('tells a route of each of its parents that is ours, and leaves those of others alone', () => {
  const parents = asArray(wantedStatus('HTTPRoute shop/web', compilation, facts, NOW)?.['parents']);
  expect(parents.map((each) => [asObject(each)['controllerName'], asObject(each)['parentRef']])).toEqual([
    ['example.com/other', { name: 'theirs' }],
    ['portico.dev/gateway-controller', { name: 'main', sectionName: 'http' }],
    ['portico.dev/gateway-controller', { name: 'main', sectionName: 'none' }],
  ]);
  expect(parents.map(conditionsOf)).toEqual([
    [],
    ['Accepted True/Accepted 7', 'ResolvedRefs False/BackendNotFound 7'],
    ['Accepted False/NoMatchingParent 7', 'ResolvedRefs False/BackendNotFound 7'],
  ]);
});

it('says of a port that cannot be bound why it is not served', () => {
  const failed = {
    ...facts,
    ports: { failures: new Map([[':80', 'EADDRINUSE']]), bound: new Set<string>() },
  };
  const [http] = asArray(wantedStatus('Gateway shop/main', compilation, failed, NOW)?.['listeners']);
  expect(conditionsOf(http)[0]).toBe('Accepted False/PortUnavailable 3');
});

it('adds no more entries than the API allows beside those of others', () => {
  const others = Array.from({ length: 14 }, (_, n) => ({
    ancestorRef: { name: `gw-${n}` },
    controllerName: 'example.com/other',
    conditions: [],
  }));
  const ours = Array.from({ length: 5 }, (_, n) => ({ ref: { name: `our-${n}` }, conditions: [] }));
  const context = { generation: 1, now: NOW };
  const merged = mergeEntries(others, 'ancestorRef', ours, 'portico.dev/gateway-controller', context);
  expect(merged).toHaveLength(16);
  expect(merged.slice(0, 14)).toEqual(others);
});

it('leaves its entries and conditions where they are, so that two controllers agree on an order', () => {
  const controller = 'portico.dev/gateway-controller';
  const context = { generation: 1, now: NOW };
  const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' } as const;
  const wanted = [{ ref: { name: 'main' }, conditions: [accepted] }];
  const [ours] = mergeEntries([], 'parentRef', wanted, controller, context).map(asObject);
  const written = { ...ours, conditions: [...asArray(ours?.['conditions']), OTHER] };
  const theirs = { parentRef: { name: 'theirs' }, controllerName: 'example.com/other', conditions: [] };
  for (const present of [
    [written, theirs],
    [theirs, written],
  ]) {
    expect(mergeEntries(present, 'parentRef', wanted, controller, context)).toEqual(present);
  }
});
