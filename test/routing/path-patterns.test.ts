import { array, assert, constantFrom, property, uniqueArray } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyChanges, type ObjectChange, snapshotOf } from '../../src/model/snapshot.ts';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { decide } from '../../src/routing/decide.ts';
import { explain } from '../../src/routing/explanation.ts';
import { match } from '../../src/routing/match.ts';
import { countTable } from '../../src/routing/table-view.ts';
import { applyTableUpdate, tableUpdate } from '../../src/routing/table-update.ts';
import { TENANT_LIMITS } from '../../src/routing/tenant-limits.ts';
import { CASE_SETTINGS } from '../support/cases.ts';
import { OUR_CLASS } from './arbitrary-cluster.ts';
import { examples } from '../support/examples.ts';

const USE_REGEX = { 'nginx.ingress.kubernetes.io/use-regex': 'true' };

interface Asked {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly pathType?: string;
  /** The day of its creation. */
  readonly day?: number;
}

/** An Ingress for host a.test. */
function ingress(
  key: string,
  paths: readonly string[],
  { annotations = {}, pathType = 'ImplementationSpecific', day = 1 }: Asked = {},
): ObjectChange {
  const [namespace, name] = key.split('/');
  const backend = { service: { name: 'web', port: { number: 80 } } };
  const http = { paths: paths.map((path) => ({ path, pathType, backend })) };
  const creationTimestamp = `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`;
  const object = {
    metadata: { namespace, name, creationTimestamp, annotations },
    spec: { ingressClassName: 'portico', rules: [{ host: 'a.test', http }] },
  };
  return { kind: 'Ingress', key, object } as unknown as ObjectChange;
}

const compiled = (...objects: readonly ObjectChange[]): Compilation =>
  compile(snapshotOf([OUR_CLASS, ...objects]), CASE_SETTINGS);

const routeAt = ({ table }: Compilation, path: string): string | undefined =>
  match(table, 'a.test', path)?.path;

const ask = ({ table }: Compilation, target: string): unknown => {
  const decision = decide(table, { method: 'GET', host: 'a.test', target });
  return decision.kind === 'refuse' ? decision.reason : decision.kind;
};

const codesOf = (compilation: Compilation): readonly string[] =>
  listProblems(compilation).flatMap(({ code }) => (code.startsWith('Service') ? [] : code));

describe('the paths of a namespace on a host', () => {
  const expressions = [
    ...[
      '/',
      '/a',
      '/a/',
      '/a.*',
      '/A/b',
      '/[ab]+',
      '/[^/]+/b',
      '/(a|b)/c',
      '/.*b$',
      '/b{2}',
      '/a/(.*)',
      '/b',
      '/bb',
    ],
    ...['/\\w+', '/(?i:B)/', '/a?b?c?'],
  ];
  const paths = ['/', '/a', '/A', '/a/b', '/ab', '/b/c', '/B/b', '/bb', '/x/b', '/abc', '/c', '/a/b/c', '/-'];

  test('are tried by the length of their text, then by the text, and the first that matches wins', () => {
    assert(
      property(uniqueArray(constantFrom(...expressions)), array(constantFrom(...paths)), (texts, some) => {
        const compilation = compiled(ingress('b/web', texts, { annotations: USE_REGEX }));
        const ordered = texts.toSorted((x, y) => y.length - x.length || (x < y ? 1 : -1));
        for (const path of some) {
          const first = ordered.find((text) =>
            new RegExp(`^${text.replace('(?i:B)', '[bB]')}`, 'i').test(path),
          );
          expect(routeAt(compilation, path), path).toBe(first);
        }
      }),
      { numRuns: examples(38) },
    );
  });

  test('become regular expressions when one Ingress asks, and plain paths again when it does not', () => {
    const plain = ingress('b/plain', ['/shop'], { pathType: 'Prefix' });
    const before = compiled(plain);
    const asking = ingress('b/regex', ['/x'], { annotations: USE_REGEX });
    const during = compile(applyChanges(before.snapshot, [asking]), CASE_SETTINGS, before);
    const removed = { kind: 'Ingress', key: 'b/regex', object: null } as unknown as ObjectChange;
    const after = compile(applyChanges(during.snapshot, [removed]), CASE_SETTINGS, during);
    expect([before, during, after].map((each) => routeAt(each, '/SHOPPING'))).toEqual([
      undefined,
      '/shop',
      undefined,
    ]);
    const scratch = compile(during.snapshot, CASE_SETTINGS);
    expect(during.table.hosts).toEqual(scratch.table.hosts);
    expect(countTable(during.table).routes).toBe(2);
    const sent = structuredClone(tableUpdate(before.table, during.table));
    expect(match(applyTableUpdate(before.table, sent), 'a.test', '/Shop')?.path).toBe('/shop');
  });

  test('may have so many instructions; the youngest Ingress is left out', () => {
    const { patternsSizePerHostAndNamespace, patternSize } = TENANT_LIMITS;
    const paths = Array.from(
      { length: Math.floor(patternsSizePerHostAndNamespace / 400) },
      (_, i) => `/${i}${'a'.repeat(395)}`,
    );
    expect(patternSize).toBeGreaterThan(400);
    const compilation = compiled(
      ingress('b/old', paths, { annotations: USE_REGEX }),
      ingress('b/young', [`/young${'b?'.repeat(180)}`], { annotations: USE_REGEX, day: 2 }),
      ingress('c/other', ['/other'], { annotations: USE_REGEX, day: 3 }),
    );
    expect(codesOf(compilation)).toEqual(['HostPatternsTooLarge']);
    expect(routeAt(compilation, `/0${'a'.repeat(395)}`)).toBe(paths[0]);
    expect(routeAt(compilation, '/youngbbb')).toBeUndefined();
    expect(routeAt(compilation, '/other')).toBe('/other');
  });
});

describe('an expression that costs too much', () => {
  const costly = Array.from({ length: 20 }, (_, i) => `/.*a.{450}x${i}`);
  const path = `/${'ab'.repeat(700)}`;

  test('has its request refused, and no plain path takes it instead', () => {
    const annotations = { 'portico.dev/path-regex': 'true' };
    const compilation = compiled(
      ingress('b/costly', costly, { annotations }),
      ingress('b/plain', ['/'], { pathType: 'Prefix', day: 2 }),
    );
    expect(ask(compilation, path)).toBe('path-too-costly');
    expect(ask(compilation, '/cheap')).toBe('backend-unavailable');
    const { steps } = explain(compilation, { scheme: 'http', host: 'a.test', path });
    expect(steps.join(' ')).toContain('would take too long');
  });

  test('costs other namespaces none of the paths that are theirs', () => {
    const compilation = compiled(
      ingress('a/web', ['/ab'], { pathType: 'Prefix' }),
      ingress('b/costly', costly, { annotations: USE_REGEX, day: 2 }),
      ingress('c/young', ['/ab'.repeat(3)], { annotations: USE_REGEX, day: 3 }),
    );
    const theirs = `/ab/${'ab'.repeat(700)}`;
    expect(ask(compilation, theirs)).toBe('backend-unavailable');
    expect(routeAt(compilation, theirs)).toBe('/ab');
    expect(ask(compilation, `/ab/ab/ab/${'ab'.repeat(700)}`)).toBe('backend-unavailable');
  });
});

test('explain names the expression, and says why others do not take the request', () => {
  const compilation = compiled(
    ingress('b/web', ['/a.*', '/a(/|$)(.*)', '/'], { annotations: USE_REGEX }),
    ingress('c/web', ['/a'], { pathType: 'Prefix', day: 2 }),
  );
  const { steps, otherRules } = explain(compilation, { scheme: 'http', host: 'a.test', path: '/a/b' });
  expect(steps).toContain(
    'The regular expression that takes "/a/b" first is ImplementationSpecific "/a(/|$)(.*)" (Ingress b/web, spec.rules[0].http.paths[1]).',
  );
  expect(otherRules.map(({ route, reason }) => [route.path, reason])).toEqual([
    ['/a.*', 'pattern-order'],
    ['/', 'pattern-order'],
    ['/a', 'pattern-order'],
  ]);
});
