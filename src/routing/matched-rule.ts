import type { MatchedRule } from '../http/request-view.ts';
import { normalizePath, originForm } from '../http/path.ts';
import { patternGroups } from './path-automata.ts';
import type { Route } from './table.ts';

/** What policies are told of the rule that took a request; null for a default backend, and where there is no route. */
export function matchedRule(route: Route | null, target: string): MatchedRule | null {
  if (route === null || route.pathType === 'DefaultBackend') return null;
  const { path, pattern } = route;
  const requestPath = normalizePath(originForm(target)) ?? '/';
  return {
    path,
    isPattern: pattern !== undefined,
    requestPath,
    groups: () => (pattern === undefined ? null : patternGroups(pattern, requestPath)),
  };
}
