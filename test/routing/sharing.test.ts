import { describe, expect, it } from 'vitest';
import { compile } from '../../src/routing/compile/compile.ts';
import { difference } from '../../src/model/sharded-map.ts';
import { applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
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

  it('makes an update for threads that holds it and nothing else', () => {
    const update = tableUpdate(before.table, after(app(7, '/', '10.0.0.2')).table);
    expect(update).toMatchObject({ kind: 'changes', hosts: [], wildcards: [], globs: [], certificates: [] });
    expect(update.kind === 'changes' && update.backends.length).toBe(1);
    expect(update).not.toHaveProperty('hostless');
  });
});
