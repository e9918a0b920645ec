import { describe, expect, it } from 'vitest';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { difference } from '../../src/model/sharded-map.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { OwnedIngresses } from '../../src/publish/owned-ingresses.ts';
import { tableUpdate } from '../../src/routing/table-update.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';

function app(n: number, path = '/', address = '10.0.0.1'): string {
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: app-${n}, namespace: shop }
spec:
  ingressClassName: portico
  rules:
    - host: app-${n}.example.com
      http:
        paths:
          - { path: '${path}', pathType: Prefix, backend: { service: { name: app-${n}, port: { number: 80 } } } }
---
apiVersion: v1
kind: Service
metadata: { name: app-${n}, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: app-${n}-1, namespace: shop, labels: { kubernetes.io/service-name: app-${n} } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: ['${address}'] }]
`;
}

const manifests = [INGRESS_CLASS, ...Array.from({ length: 200 }, (_, n) => app(n))].join('---\n');
const before = compile(snapshotOf(parseManifests(manifests)), CASE_SETTINGS);

function after(changed: string): typeof before {
  return compile(applyChanges(before.snapshot, parseManifests(changed)), CASE_SETTINGS, before);
}

describe('what a change touches', () => {
  it('is one backend when an endpoint changes', () => {
    const { table } = after(app(7, '/', '10.0.0.2'));
    expect([...difference(before.table.backends, table.backends)].map(([key]) => key)).toEqual([
      'shop/app-7:80',
    ]);
    expect({ ...table, backends: null, generation: 0 }).toEqual({
      ...before.table,
      backends: null,
      generation: 0,
    });
    expect(table.hosts).toBe(before.table.hosts);
    expect(table.generation).toBe(before.snapshot.generation + 1);
  });

  it('is one host when an Ingress changes', () => {
    const { table } = after(app(7, '/v2'));
    expect([...difference(before.table.hosts, table.hosts)].map(([key]) => key)).toEqual([
      'app-7.example.com',
    ]);
    expect(table.backends).toBe(before.table.backends);
  });

  it('is nothing when only labels, status or resourceVersion change', () => {
    const written = app(7).replaceAll('namespace: shop', "namespace: shop, resourceVersion: '99'");
    const next = after(written);
    expect(next.snapshot).not.toBe(before.snapshot);
    expect(next.table).toBe(before.table);
    expect(next.problems).toBe(before.problems);
  });

  it('is what is said of a Service when only canaries name it from now on', () => {
    const idle = app(7).replace("[{ addresses: ['10.0.0.1'] }]", '[]');
    const ordinary = after(idle);
    const asCanary = idle.replace('shop }', "shop, annotations: { portico.dev/canary: 'true' } }");
    const [ingress] = parseManifests(asCanary);
    const next = compile(applyChanges(ordinary.snapshot, ingress ? [ingress] : []), CASE_SETTINGS, ordinary);
    const said = (from: typeof before): string[] => listProblems(from).map(({ code }) => code);
    expect(said(ordinary)).toEqual(['NoEndpoints', 'NoEndpoints']);
    expect(said(next)).toEqual(['CanaryWithoutMain']);
  });

  it('is the Ingresses of a namespace when its labels change, where these are selected by', () => {
    const settings = { ...CASE_SETTINGS, namespaceSelector: { matchLabels: { team: 'a' } } };
    const labelled = (team: string): string => `apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: ${team} } }
`;
    const objects = parseManifests([INGRESS_CLASS, app(1), labelled('a')].join('---\n'));
    const selected = compile(snapshotOf(objects), settings);
    const relabel = (from: typeof before, team: string): typeof before =>
      compile(applyChanges(from.snapshot, parseManifests(labelled(team))), settings, from);
    const not = relabel(selected, 'b');
    expect([selected, not, relabel(not, 'a')].map(({ table }) => table.hosts.size)).toEqual([1, 0, 1]);
    const owned = new OwnedIngresses();
    owned.advance(selected);
    expect([...owned.advance(not)]).toEqual(['shop/app-1']);
    expect(owned.released('shop/app-1')).toBeDefined();
  });

  it('makes an update for threads that holds it and nothing else', () => {
    const update = tableUpdate(before.table, after(app(7, '/', '10.0.0.2')).table);
    expect(update).toMatchObject({ kind: 'changes', hosts: [], wildcards: [], globs: [], certificates: [] });
    expect(update.kind === 'changes' && update.backends.length).toBe(1);
    expect(update).not.toHaveProperty('hostless');
  });
});

describe('one change among 2,000 Ingresses', () => {
  it('reads the objects of one backend, or one Ingress, and shares all the others', () => {
    const read = new Set<string>();
    const noted = <C extends ObjectChange>(change: C): C => {
      const object = new Proxy(change.object as object, {
        get(target, field) {
          // Metadata is read when the snapshot sorts its slices; all else by what compiles.
          if (field !== 'metadata') read.add(`${change.kind} ${change.key}`);
          return Reflect.get(target, field) as unknown;
        },
      });
      return { ...change, object };
    };
    const one = JSON.stringify([...parseManifests(app(0))]);
    const many = Array.from({ length: 2_000 }, (_, n) => {
      return JSON.parse(one.replaceAll('app-0', `app-${n}`)) as ObjectChange[];
    });
    const objects = [...parseManifests(INGRESS_CLASS), ...many.flat()].map(noted);
    const first = compile(snapshotOf(objects), CASE_SETTINGS);
    const changed = [...parseManifests(app(7, '/', '10.0.0.2'))].filter(
      ({ kind }) => kind === 'EndpointSlice',
    );
    const snapshot = applyChanges(first.snapshot, changed.map(noted));
    expect(read.size).toBe(6_001);
    read.clear();

    const second = compile(snapshot, CASE_SETTINGS, first);
    expect([...read].toSorted()).toEqual(['EndpointSlice shop/app-7-1', 'Service shop/app-7']);
    const backends = [...difference(first.backends, second.backends)].map(([key]) => key);
    expect(backends).toEqual(['shop/app-7:80']);
    for (const part of ['asked', 'claims', 'scopes', 'certificates', 'keys', 'problems'] as const) {
      expect(second[part], part).toBe(first[part]);
    }
    for (const index of Object.keys(first.indexes) as (keyof typeof first.indexes)[]) {
      expect(second.indexes[index], index).toBe(first.indexes[index]);
    }

    const [ingress] = parseManifests(app(7, '/v2'));
    const edited = applyChanges(snapshot, ingress ? [noted(ingress)] : []);
    read.clear();
    const third = compile(edited, CASE_SETTINGS, second);
    expect([...read]).toEqual(['Ingress shop/app-7']);
    expect(third.backends).toBe(second.backends);
  });
});
