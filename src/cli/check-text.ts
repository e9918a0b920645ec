import { formatProblem } from '../model/format-problem.ts';
import { plural } from '../model/plural.ts';
import type { Severity } from '../model/problem.ts';
import type { CheckResult, CheckedProblem } from './check-result.ts';

/** With fewer problems their lines are the summary. */
const SUMMARY_FROM = 10;
const MAX_NAMESPACES = 5;

/** A line for each problem, before them a summary by code if they are many, and the totals at the end. */
export function textReport({ counts, problems }: CheckResult): string {
  const lines = problems.map((each) => `${each.severity}: ${formatProblem(each, each.place)}`);
  const totals = `${plural(counts.routes, 'route')} on ${plural(counts.hosts, 'host')}; ${bySeverity(problems)}`;
  const summary = problems.length < SUMMARY_FROM ? [] : [totals, ...summaryOf(problems), ''];
  return [...summary, ...lines, totals, ''].join('\n');
}

/** `  12 errors    ServiceNotFound  in shop (10), web (2)`, most first. */
function summaryOf(problems: readonly CheckedProblem[]): readonly string[] {
  const byCode = [...Map.groupBy(problems, ({ code, severity }) => `${severity} ${code}`).values()];
  const rows = byCode
    .toSorted((a, b) => b.length - a.length)
    .map((group) => {
      const [{ severity, code } = { severity: 'error', code: '' } as const] = group;
      return [plural(group.length, NOUNS[severity]), code, `in ${namespacesOf(group)}`];
    });
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const [first, second] = [width(0), width(1)];
  return rows.map(
    ([count = '', code = '', where = '']) => `  ${count.padEnd(first)}  ${code.padEnd(second)}  ${where}`,
  );
}

const NOUNS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };

function namespacesOf(problems: readonly CheckedProblem[]): string {
  const counts = [...Map.groupBy(problems, ({ object }) => object.namespace ?? object.name)]
    .map(([namespace, group]) => ({ namespace, count: group.length }))
    .sort((a, b) => b.count - a.count);
  const named = counts.slice(0, MAX_NAMESPACES).map(({ namespace, count }) => `${namespace} (${count})`);
  const more = counts.length - named.length;
  return [...named, ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
}

/** `1 error, 2 warnings`; what there is none of is left out. */
function bySeverity(problems: readonly CheckedProblem[]): string {
  const counts = (['error', 'warning', 'info'] as const).flatMap((severity) => {
    const count = problems.filter((each) => each.severity === severity).length;
    return count === 0 ? [] : plural(count, NOUNS[severity]);
  });
  return counts.length === 0 ? 'no problems' : counts.join(', ');
}
