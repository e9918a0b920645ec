/**
 * CDN-Loop (RFC 8586): each Portico adds its name, so that a request which a route, an ExternalName or a load balancer leads
 * back here again and again is noticed. Without it one request would open connections until none is left for anybody.
 */
const NAME = 'portico';

/** So many Porticos may stand in a row. */
export const MAX_HOPS = 10;

/** How many times a request has been through a Portico, by its CDN-Loop fields, joined with commas. */
export function hopsOf(loop: string | undefined): number {
  if (loop === undefined) return 0;
  return loop.split(',').filter((entry) => (entry.split(';', 1)[0] ?? '').trim() === NAME).length;
}

/** What a request goes on with. */
export function nextLoop(loop: string | undefined): string {
  return loop === undefined || loop === '' ? NAME : `${loop}, ${NAME}`;
}
