import { TOO_COSTLY } from '../http/regex/first-match.ts';
import { normalizeRulePath } from '../http/path.ts';
import { namespaceOf } from '../model/objects.ts';
import { firstPattern } from './path-automata.ts';
import { findPath } from './path-tree.ts';
import type { HostPatterns, HostRoutes, PatternList, Route } from './table.ts';

/** The route that a host has for a path; null where no rule takes it. */
export function findRoute({ paths, patterns }: HostRoutes, path: string): Route | null | typeof TOO_COSTLY {
  const route = findPath(paths, path);
  return patterns === undefined ? route : findPattern(patterns, route, path);
}

/**
 * The best of the route that the tree of paths has and the first regular expression of each namespace: the one that begins
 * with the longer literal text, a slash at its end not counted. Of equals the older Ingress is the best; within a namespace
 * `/a/.*` comes before the plain path `/a`, and that before `/a.*`. So no namespace takes what another one has by writing a
 * long expression.
 */
function findPattern(
  { lists, ages }: HostPatterns,
  plain: Route | null,
  path: string,
): Route | null | typeof TOO_COSTLY {
  let best = plain;
  let length = plain === null ? -1 : lengthOf(normalizeRulePath(plain.path) ?? '');
  /** How long the literal text may be of an expression that nobody knows about: following its list cost too much. */
  let unknown = -1;
  for (const list of lists) {
    const found = firstPattern(list, path);
    if (found === TOO_COSTLY) unknown = Math.max(unknown, longestLiteral(list, path));
    else {
      const entry = list.entries[found];
      if (entry === undefined) continue;
      const { literal } = entry.pattern;
      const own = lengthOf(literal);
      const isBetter = (other: Route): boolean =>
        namespaceOf(other.ingress) === list.namespace
          ? literal.endsWith('/')
          : (ages.get(entry.route.ingress) ?? Infinity) < (ages.get(other.ingress) ?? Infinity);
      if (best !== null && (own < length || (own === length && !isBetter(best)))) continue;
      best = entry.route;
      length = own;
    }
  }
  return unknown >= 0 && unknown >= length ? TOO_COSTLY : best;
}

function lengthOf(literal: string): number {
  return literal.endsWith('/') ? literal.length - 1 : literal.length;
}

/** The longest literal text of a list with which a path begins. */
function longestLiteral({ entries }: PatternList, path: string): number {
  const lower = path.toLowerCase();
  let longest = -1;
  for (const { pattern } of entries) {
    if (lower.startsWith(pattern.literal)) longest = Math.max(longest, lengthOf(pattern.literal));
  }
  return longest;
}
