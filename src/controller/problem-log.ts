import type { Logger } from 'pino';
import type { Problem } from '../model/problem.ts';
import { type SourceLocation, formatProblem, problemSubject } from '../model/format-problem.ts';

/** How many problems are spelled out at once; the rest are counted. */
const SPELLED_OUT = 20;

/** Says each problem once when it comes and once when it is gone. */
export interface ProblemLog {
  /** What one object had before and has now. */
  changed(
    changes: Iterable<{ readonly before: readonly Problem[]; readonly after: readonly Problem[] }>,
  ): void;
}

export function createProblemLog(
  logger: Logger,
  locate: (problem: Problem) => SourceLocation | null,
): ProblemLog {
  return {
    changed(changes) {
      const come = new Map<string, Problem>();
      const gone = new Map<string, Problem>();
      for (const { before, after } of changes) {
        const had = new Map(before.map((problem) => [JSON.stringify(problem), problem]));
        const has = new Map(after.map((problem) => [JSON.stringify(problem), problem]));
        for (const [id, problem] of has) if (!had.has(id)) come.set(id, problem);
        const still = new Set(after.map(subjectAndCode));
        for (const [id, problem] of had) {
          if (!has.has(id) && !still.has(subjectAndCode(problem))) gone.set(id, problem);
        }
      }
      spellOut(logger, come.values(), come.size, (problem) => {
        const level = problem.severity === 'warning' ? 'warn' : problem.severity;
        logger[level](formatProblem(problem, locate(problem)));
      });
      spellOut(logger, gone.values(), gone.size, (problem) => {
        logger.info(`resolved: ${subjectAndCode(problem)}`);
      });
    },
  };
}

/** `Ingress shop/web spec.rules[0].host (HostInvalid)` */
function subjectAndCode(problem: Problem): string {
  return `${problemSubject(problem)} (${problem.code})`;
}

function spellOut(
  logger: Logger,
  problems: Iterable<Problem>,
  total: number,
  say: (problem: Problem) => void,
): void {
  let said = 0;
  for (const problem of problems) {
    if (said++ === SPELLED_OUT) break;
    say(problem);
  }
  if (total > SPELLED_OUT) logger.warn(`and ${total - SPELLED_OUT} more; portico check lists them all`);
}
