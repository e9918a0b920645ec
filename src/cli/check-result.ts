import type { SourceLocation } from '../model/format-problem.ts';
import type { Problem } from '../model/problem.ts';
import type { LeftOut } from '../routing/left-out.ts';
import type { TableCounts } from '../routing/table-view.ts';

/** How `check` can print. */
export const CHECK_OUTPUTS = ['text', 'json', 'github', 'sarif', 'junit'] as const;
export type CheckOutput = (typeof CHECK_OUTPUTS)[number];

export interface CheckedProblem extends Problem {
  readonly place: SourceLocation | null;
}

/** What `check` found. */
export interface CheckResult {
  readonly counts: TableCounts;
  readonly problems: readonly CheckedProblem[];
  readonly leftOut: readonly LeftOut[];
  /** Whether there is a problem that fails the check. */
  readonly fails: (problem: Problem) => boolean;
}
