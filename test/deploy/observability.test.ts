import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ALERTS_PAGE, alertGroups } from '../../scripts/alerts.ts';
import { DASHBOARD } from '../../scripts/dashboards.ts';
import { type DocumentedFamily, documentedFamilies } from '../../scripts/metrics.ts';
import { isConflict } from '../../src/admin/api/problem-list.ts';
import { readPromql } from './promql.ts';

const families = new Map((await documentedFamilies()).map((family) => [family.name, family]));

/** What a scrape adds: the labels of its target, and the namespace of the metric beside that of the Pod. */
const OF_TARGET = ['pod', 'le'];
const RENAMED = { exported_namespace: 'namespace' };

function familyOf(metric: string): DocumentedFamily | undefined {
  return families.get(metric) ?? families.get(metric.replace(/_(bucket|sum|count)$/, ''));
}

/** What a query asks for that there is not. */
function missingIn(expr: string): readonly string[] {
  const { metrics, labels } = readPromql(expr);
  const found = [...metrics].map(familyOf);
  const known = new Set([...found.flatMap((family) => [...(family?.labels ?? [])]), ...OF_TARGET]);
  const ours = [...labels].map((label) => RENAMED[label as keyof typeof RENAMED] ?? label);
  return [
    ...[...metrics].filter((metric) => !familyOf(metric)),
    ...ours.filter((label) => !known.has(label)),
  ];
}

test('a query that is none, or asks for what there is not, is found', () => {
  expect(() => missingIn('sum by (pod (portico_routes)')).toThrow('not PromQL');
  expect(missingIn('rate(portico_nothing_total{status="5xx"}[5m])')).toEqual([
    'portico_nothing_total',
    'status',
  ]);
  expect(missingIn('sum by (exported_namespace) (portico_requests_total{status="5xx"})')).toEqual([]);
});

describe('the alerts', () => {
  const rules = alertGroups().flatMap((group) => group.rules);

  test.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (_, rule) => {
    expect(missingIn(rule.expr)).toEqual([]);
    // Prometheus fills in values of labels that the result has.
    const texts = Object.values(rule.annotations).join(' ');
    for (const [, label = ''] of texts.matchAll(/\$labels\.(\w+)/g)) expect(rule.expr).toContain(label);
    const { summary, description, cause, fix, runbook_url: runbook } = rule.annotations;
    for (const text of [summary, description, cause, fix]) expect(text.trim()).not.toBe('');
    const [, anchor = ''] = runbook.split('#');
    expect(readFileSync(ALERTS_PAGE, 'utf8').toLowerCase()).toContain(`\n## ${anchor}\n`);
  });

  test('have names of their own', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  test('tell of the reasons that are conflicts, and of no others', () => {
    const troubles = readFileSync('docs/troubleshoot.md', 'utf8');
    const reasons = [...troubles.matchAll(/^\| (`.*?`) +\|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`(\w+)`/g)].map(([, reason = '']) => reason),
    );
    const { expr = '' } = rules.find(({ alert }) => alert === 'PorticoConflicts') ?? {};
    const [, pattern = ''] = /reason=~"(.*?)"/.exec(expr) ?? [];
    const matching = reasons.filter((reason) => new RegExp(`^(?:${pattern})$`).test(reason));
    const object = { kind: 'Ingress', name: '' };
    const conflicts = reasons.filter((code) =>
      isConflict({ code, object, severity: 'error', field: '', message: '' }),
    );
    expect(conflicts.length).toBeGreaterThan(3);
    expect(matching.toSorted()).toEqual(conflicts.toSorted());
  });
});

describe('the dashboard', () => {
  interface Panel {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string }[];
  }
  const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as { panels: readonly Panel[] };

  test.each(panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)))(
    '%s: %s',
    (_, expr) => {
      const filledIn = expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(namespace|pod)/g, '.*');
      expect(missingIn(filledIn)).toEqual([]);
    },
  );

  test('has panels that do not cover each other', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBeLessThanOrEqual(24);
  });
});
