import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { compileOnce } from './compile-once.ts';
import { formatProblem } from '../model/format-problem.ts';
import { plural } from '../model/plural.ts';
import type { Severity } from '../model/problem.ts';
import { countTable } from '../routing/table-view.ts';

/** `portico check`: prints every problem; the exit code is 1 when one of them is an error. */
export async function runCheck(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  output: 'text' | 'json',
  write: (text: string) => void,
): Promise<number> {
  const compiled = await compileOnce(config, env);
  if (compiled.kind !== 'compiled') {
    console.error(`portico check: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const { compilation, problems, locate } = compiled;
  const counts = countTable(compilation.table);
  const bySeverity = { error: 0, warning: 0, info: 0 };
  for (const problem of problems) bySeverity[problem.severity]++;

  if (output === 'json') {
    const located = problems.map((problem) => ({ ...problem, place: locate(problem) }));
    write(`${JSON.stringify({ ...counts, problems: located }, null, 2)}\n`);
  } else {
    for (const problem of problems)
      write(`${problem.severity}: ${formatProblem(problem, locate(problem))}\n`);
    write(`${plural(counts.routes, 'route')} on ${plural(counts.hosts, 'host')}; ${summary(bySeverity)}\n`);
  }
  return bySeverity.error > 0 ? EXIT.failure : EXIT.ok;
}

/** `1 error, 2 warnings`; what there is none of is left out. */
function summary({ error, warning, info }: Readonly<Record<Severity, number>>): string {
  const counts = [
    ...(error > 0 ? [plural(error, 'error')] : []),
    ...(warning > 0 ? [plural(warning, 'warning')] : []),
    ...(info > 0 ? [plural(info, 'note')] : []),
  ];
  return counts.length === 0 ? 'no problems' : counts.join(', ');
}
