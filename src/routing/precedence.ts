import type { Claims, PathClaim } from './ingress/claims.ts';
import type { PathType } from './table.ts';

const PATH_TYPES: readonly (PathType | 'DefaultBackend')[] = [
  'Exact',
  'Prefix',
  'ImplementationSpecific',
  'DefaultBackend',
];

/**
 * The order of the rules that could take the same request, best first: the longer path, Exact before Prefix
 * before ImplementationSpecific, the older Ingress, its key, the place in the Ingress. Length is taken of the
 * path as it is matched, so that `/a//b` is no longer than `/a/b`.
 */
export function byPrecedence(a: PathClaim, b: PathClaim): number {
  return (
    b.at.length - a.at.length ||
    PATH_TYPES.indexOf(a.route.pathType) - PATH_TYPES.indexOf(b.route.pathType) ||
    a.age - b.age ||
    compareText(a.route.ingress, b.route.ingress) ||
    a.order - b.order
  );
}

/** The older Ingress first, then by `namespace/name`. */
export function byAge(a: Claims, b: Claims): number {
  return a.age - b.age || compareText(a.ingress, b.ingress);
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
