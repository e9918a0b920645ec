import type { Claims, PathClaim } from './ingress/claims.ts';

/**
 * The order of the rules that could take the same request, best first: the longer path, Exact, the older Ingress, its
 * key. Length is taken of the path as it is matched, so that neither `/a//b` nor `/a/b/` is longer than `/a/b`: what
 * takes the same requests is decided by age. Within one Ingress the path that is written longer comes first, then
 * Prefix before ImplementationSpecific, then the place in the Ingress.
 */
export function byPrecedence(a: PathClaim, b: PathClaim): number {
  return (
    b.at.length - a.at.length ||
    isExact(b) - isExact(a) ||
    a.age - b.age ||
    compareText(a.route.ingress, b.route.ingress) ||
    b.route.path.length - a.route.path.length ||
    compareText(b.route.pathType, a.route.pathType) ||
    a.order - b.order
  );
}

function isExact({ route }: PathClaim): number {
  return Number(route.pathType === 'Exact');
}

/** The older Ingress first, then by `namespace/name`. */
export function byAge(a: Claims, b: Claims): number {
  return a.age - b.age || compareText(a.ingress, b.ingress);
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
