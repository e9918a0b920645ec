import { describe, expect, it } from 'vitest';
import { snapshotOf } from '../../../src/model/snapshot.ts';
import { decide } from '../../../src/routing/decide.ts';
import { type Compilation, compile } from '../../../src/routing/compile/compile.ts';
import { hostReference } from '../../../src/routing/host-certificate.ts';
import { routesFor } from '../../../src/routing/match.ts';
import { CASE_SETTINGS, INGRESS_CLASS, loadCase, parseManifests } from '../../support/cases.ts';

function compiled(name: string): Compilation {
  const { objects, settings } = loadCase(name);
  return compile(snapshotOf(objects), settings);
}

describe('TLS of hosts that others had first', () => {
  const { table } = compiled('tls-foreign-host');

  it.each<[string, string, 'forward' | 'redirect']>([
    ['a host whose namespace asks for none, whatever others write', 'a.corp.test', 'forward'],
    ['a host of the wildcard rule', 'x.corp.test', 'redirect'],
    ['another host of the wildcard rule', 'y.corp.test', 'redirect'],
    ['a host that a wildcard entry covers', 'one.e.test', 'redirect'],
    ['a host that it does not cover', 'a.b.e.test', 'forward'],
    ['a host that only the default backend takes', 'free.test', 'redirect'],
    ['another one', 'other.test', 'forward'],
  ])('%s: %s %s', (_, host, kind) => {
    const request = { method: 'GET', target: '/d', host, scheme: 'http' } as const;
    expect(decide(table, request, { port: 443 }).kind).toBe(kind);
  });

  it('shows no certificate of another namespace', () => {
    const ingressOf = (host: string): string | undefined =>
      hostReference(table, host, routesFor(table, host))?.ingress;
    expect(['a.corp.test', 'x.corp.test', 'z.corp.test', 'two.e.test'].map(ingressOf)).toEqual([
      undefined,
      'd/wildcard',
      'd/wildcard',
      'e/covers',
    ]);
  });

  it('follows a host to the namespace that has it next', () => {
    const ingress = (namespace: string, year: number): string => `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, namespace: ${namespace}, creationTimestamp: '${year}-01-01T00:00:00Z' }
spec:
  ingressClassName: portico
  tls: [{ hosts: [x.corp.test] }]
  rules: [{ host: '*.corp.test' }]
`;
    const snapshot = (...ingresses: string[]): ReturnType<typeof snapshotOf> =>
      snapshotOf(parseManifests(INGRESS_CLASS + ingresses.join('')));
    const both = compile(snapshot(ingress('a', 2020), ingress('b', 2021)), CASE_SETTINGS);
    const reference = ({ table: of }: Compilation): unknown =>
      hostReference(of, 'x.corp.test', routesFor(of, 'x.corp.test'))?.namespace;
    expect(reference(both)).toBe('a');
    expect(reference(compile(snapshot(ingress('b', 2021)), CASE_SETTINGS, both))).toBe('b');
    expect(reference(compile(snapshot(ingress('a', 2022), ingress('b', 2021)), CASE_SETTINGS, both))).toBe(
      'b',
    );
  });
});
