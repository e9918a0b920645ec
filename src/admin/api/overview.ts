import type { Overview } from './answers.ts';
import { isConflict } from './problem-list.ts';
import type { ServedRoute } from './route-list.ts';
import type { Problem } from '../../model/problem.ts';
import type { Backend } from '../../routing/table.ts';

export type OverviewCounts = Pick<
  Overview,
  'hosts' | 'routes' | 'backends' | 'lastResort' | 'problems' | 'conflicts'
>;

export interface Lists {
  readonly routes: readonly ServedRoute[];
  readonly backends: readonly Backend[];
  readonly problems: readonly Problem[];
}

/** Counts what is listed. `routes` are in the order of their hosts. */
export function* countAll({ routes, backends, problems }: Lists): Generator<void, OverviewCounts> {
  let hosts = 0;
  let before = '';
  for (const { kind, host, listener } of routes) {
    const name = `${listener} ${host}`;
    if (kind === 'http' && (name !== before || hosts === 0)) hosts++;
    before = name;
    yield;
  }
  let lastResort = 0;
  for (const backend of backends) {
    if (backend.lastResort) lastResort++;
    yield;
  }
  const bySeverity = { error: 0, warning: 0, info: 0 };
  let conflicts = 0;
  for (const problem of problems) {
    bySeverity[problem.severity]++;
    if (isConflict(problem)) conflicts++;
    yield;
  }
  return {
    hosts,
    routes: routes.length,
    backends: backends.length,
    lastResort,
    problems: bySeverity,
    conflicts,
  };
}
