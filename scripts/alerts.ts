/**
 * `node scripts/alerts.ts` writes docs/reference/alerts.md from deploy/helm/portico/alerts.yaml; a test says when that has been
 * forgotten.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import { parse } from 'yaml';

const ALERTS = join(import.meta.dirname, '../deploy/helm/portico/alerts.yaml');
export const ALERTS_PAGE = join(import.meta.dirname, '../docs/reference/alerts.md');

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: 'info' | 'warning' | 'critical' };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly cause: string;
    readonly fix: string;
    readonly runbook_url: string;
  };
}

export interface AlertGroup {
  readonly name: string;
  readonly rules: readonly AlertRule[];
}

export function alertGroups(): readonly AlertGroup[] {
  return (parse(readFileSync(ALERTS, 'utf8')) as { groups: AlertGroup[] }).groups;
}

/** The page as it should be. */
export async function alertsPage(): Promise<string> {
  const groups = alertGroups();
  const page = [
    '# Alerts',
    '',
    '<!-- Written by `node scripts/alerts.ts` from deploy/helm/portico/alerts.yaml. -->',
    '',
    'The chart installs these as a PrometheusRule, with `metrics.prometheusRule.enabled=true`. The annotation `fix` of each says what to',
    'do, and `runbook_url` leads to this page. `metrics.prometheusRule.disabled` takes the names of those that you do not want. Without',
    'the Prometheus Operator, put the `groups` of `deploy/helm/portico/alerts.yaml` into a rule file of Prometheus.',
    '',
    'They ask for the labels that the ServiceMonitor or PodMonitor of the chart makes. `exported_namespace` is the namespace of the',
    'Ingress: Prometheus renames the label `namespace` of a metric where the Pod that is scraped has one. With `honorLabels` it does not.',
    '',
    '| Alert | Severity | When |',
    '| --- | --- | --- |',
    ...groups
      .flatMap(({ rules }) => rules)
      .map(
        ({ alert, labels, annotations }) =>
          `| [${alert}](#${alert.toLowerCase()}) | ${labels.severity} | ${shown(annotations.summary)} |`,
      ),
    ...groups
      .flatMap(({ rules }) => rules)
      .flatMap((rule) => [
        '',
        `## ${rule.alert}`,
        '',
        `${shown(rule.annotations.summary)}. ${shown(rule.annotations.description)}`,
        '',
        `- **Cause**: ${shown(rule.annotations.cause)}`,
        `- **Fix**: ${shown(rule.annotations.fix)}`,
        '',
        '```promql',
        `${rule.expr.trim()}${rule.for === undefined ? '' : `  # for ${rule.for}`}`,
        '```',
      ]),
    '',
  ];
  return formatted('page.md', page.join('\n'));
}

/** Names in the place of what Prometheus fills in. */
function shown(text: string): string {
  return text
    .replaceAll(
      /\{\{ \$labels\.exported_namespace \}\}\/\{\{ \$labels\.ingress \}\}\{\{ \$labels\.route \}\}/g,
      'NAMESPACE/NAME',
    )
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) =>
      label.replace('exported_', '').toUpperCase(),
    )
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, 'N');
}

if (import.meta.main) await writeFile(ALERTS_PAGE, await alertsPage());
