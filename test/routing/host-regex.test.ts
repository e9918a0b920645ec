import { describe, expect, it } from 'vitest';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { decide } from '../../src/routing/decide.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import { EMPTY_TABLE, applyTableUpdate, tableUpdate } from '../../src/routing/table-update.ts';
import { TENANT_LIMITS } from '../../src/routing/tenant-limits.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';
import { seededRandom } from '../support/random.ts';

function ingress(namespace: string, alias: string, day = 1, host = `${namespace}.example.com`): string {
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: ${namespace}
  creationTimestamp: '2026-01-${String(day).padStart(2, '0')}T00:00:00Z'
  annotations: { portico.dev/host-aliases: '${alias}' }
spec:
  ingressClassName: portico
  rules:
    - ${host === '' ? '' : `host: ${host}\n      `}http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }
`;
}

const objects = (...manifests: readonly string[]): readonly ObjectChange[] =>
  parseManifests([INGRESS_CLASS, ...manifests].join('---\n'));

function whose(table: RouteTable, host: string): string | null {
  return decide(table, { method: 'GET', target: '/', host }).route?.ingress ?? null;
}

describe('hosts that are regular expressions', () => {
  it('are those of the oldest Ingresses, of as many namespaces as a request may cost', () => {
    const { hostRegexNamespaces } = TENANT_LIMITS;
    const many = Array.from({ length: hostRegexNamespaces + 1 }, (_, n) =>
      ingress(`ns${n}`, `~^n${n}-[a-z]+$`, n === hostRegexNamespaces ? 2 : 1),
    );
    const compilation = compile(snapshotOf(objects(...many)), CASE_SETTINGS);
    expect(compilation.table.hostRegexes).toHaveLength(hostRegexNamespaces);
    expect(whose(compilation.table, 'n0-abc')).toBe('ns0/web');
    expect(whose(compilation.table, `n${hostRegexNamespaces}-abc`)).toBeNull();
    const problems = listProblems(compilation).filter(({ code }) => code === 'TooManyHostRegexes');
    expect(problems.map(({ object }) => object.namespace)).toEqual([`ns${hostRegexNamespaces}`]);
  });

  it('of a namespace are as large as its limit lets them be', () => {
    const large = `${'(a|b)'.repeat(30)}$`;
    const manifests = ['a', 'b', 'c', 'd'].map((text) => `~^${text}${large}`).join();
    const compilation = compile(snapshotOf(objects(ingress('shop', manifests))), CASE_SETTINGS);
    const [list] = compilation.table.hostRegexes;
    const size = list?.entries.reduce((sum, { pattern }) => sum + pattern.size, 0) ?? 0;
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(TENANT_LIMITS.hostRegexSizePerNamespace);
    expect(listProblems(compilation).map(({ code }) => code)).toContain('TooManyHostRegexes');
  });

  it('leave a host that would take too long to nobody, and cost other namespaces nothing', () => {
    const hostile = ['a', 'b'].map((end) => `~[ab]${end}[ab.]{70}$`).join();
    const manifests = objects(
      ingress('hostile', hostile),
      ingress('shop', '~^shop-'),
      ingress('open', '', 1, ''),
    );
    const { table } = compile(snapshotOf(manifests), CASE_SETTINGS);
    const random = seededRandom(7);
    const label = (): string => Array.from({ length: 56 }, () => (random() < 0.5 ? 'a' : 'b')).join('');
    const hosts = Array.from({ length: 20 }, () => `${label()}.${label()}.${label()}.${label()}`);
    const found = hosts.map((host) => whose(table, host));
    // Neither open to the rules without a host, nor a fault.
    expect(found).toContain(null);
    expect(hosts.map((host) => whose(table, `shop-${host}`))).toEqual(hosts.map(() => 'shop/web'));
    expect(whose(table, 'zzz.example.com')).toBe('open/web');
  });

  it('change with their Ingress, on the threads too', () => {
    let snapshot = snapshotOf(objects(ingress('shop', '~^a-')));
    let compilation = compile(snapshot, CASE_SETTINGS);
    let thread = applyTableUpdate(EMPTY_TABLE, tableUpdate(null, compilation.table));
    for (const alias of ['~^b-', '~^b-,~^c-', 'd.example.com', '~^a-']) {
      snapshot = applyChanges(snapshot, parseManifests(ingress('shop', alias)));
      const after = compile(snapshot, CASE_SETTINGS, compilation);
      thread = applyTableUpdate(thread, tableUpdate(compilation.table, after.table));
      compilation = after;
      expect(thread.hostRegexes).toEqual(compile(snapshot, CASE_SETTINGS).table.hostRegexes);
    }
    expect(whose(thread, 'a-1')).toBe('shop/web');
    const gone = applyChanges(snapshot, [
      { kind: 'Ingress', key: 'shop/web', object: undefined } as ObjectChange,
    ]);
    expect(compile(gone, CASE_SETTINGS, compilation).hostRegexes.scopes.size).toBe(0);
  });
});
