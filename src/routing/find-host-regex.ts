import { firstPattern } from './path-automata.ts';
import { TOO_COSTLY } from '../http/regex/first-match.ts';
import type { HostRegexList, HostRoutes } from './table.ts';

/** What a host has that would take too long to compare with expressions: no path at all, rather than those of others. */
const NOBODYS: HostRoutes = { host: '', namespace: '', paths: [], defaultRoute: null };

/** Instructions looked at for one host and namespace. */
const MAX_WORK = 10_000;

/**
 * The routes of the oldest expression that takes a host; null for none. Asked only for hosts that nothing else takes. How
 * many lists there are is bounded, and each is followed by one automaton.
 */
export function findHostRegex(lists: readonly HostRegexList[], host: string): HostRoutes | null {
  let best: HostRegexList['entries'][number] | null = null;
  let isUnknown = false;
  for (const list of lists) {
    const found = firstPattern(list, host, MAX_WORK);
    if (found === TOO_COSTLY) isUnknown = true;
    else {
      const entry = list.entries[found];
      if (entry !== undefined && (best === null || entry.rank < best.rank)) best = entry;
    }
  }
  return best?.routes ?? (isUnknown ? NOBODYS : null);
}

/** Whether a host is one that was too costly to compare. */
export function isNobodys(routes: HostRoutes | null): boolean {
  return routes === NOBODYS;
}
