/**
 * The hostname that a listener and a route have in common; null where there is none. Empty is all hosts, and `*.suffix` any
 * number of labels before the suffix.
 */
export function commonHostname(listener: string, route: string): string | null {
  if (containsHost(listener, route)) return route;
  if (containsHost(route, listener)) return listener;
  return null;
}

/** Whether every host of the one hostname is a host of the other. */
export function containsHost(outer: string, inner: string): boolean {
  if (outer === '' || outer === inner) return true;
  return outer.startsWith('*.') && inner.endsWith(outer.slice(1)) && inner.length >= outer.length;
}

/** The more specific hostname first: precise ones, then the longer, those for all hosts last. */
export function bySpecificity(a: string, b: string): number {
  const isWildcard = (hostname: string): number => Number(hostname === '' || hostname.startsWith('*.'));
  return isWildcard(a) - isWildcard(b) || b.length - a.length;
}
