import type { RequestView } from './request-view.ts';

/** How the cookie of a session is set. It is always HttpOnly. */
export interface SessionCookie {
  readonly name: string;
  /** Null for the path of the rule. */
  readonly path: string | null;
  readonly domain: string | null;
  readonly sameSite: 'None' | 'Lax' | 'Strict' | null;
  /** Leaves `SameSite=None` out for browsers that take it for `Strict`. */
  readonly sameSiteForOldBrowsers: boolean;
  /** Null for requests that came by https. */
  readonly secure: boolean | null;
  /** Seconds; null for neither makes a cookie of the browser's session. */
  readonly expires: number | null;
  readonly maxAge: number | null;
}

/** A path that a cookie can be for. */
export const COOKIE_PATH = /^\/[\x21-\x3a\x3c-\x7e]{0,1023}$/;

/**
 * The value of a Set-Cookie field (RFC 6265 4.1) for a request to a rule with this path. `now` is in milliseconds since the
 * epoch.
 */
export function setCookie(
  cookie: SessionCookie,
  value: string,
  rulePath: string,
  request: RequestView,
  now: number,
): string {
  const { name, domain, expires, maxAge } = cookie;
  const path = cookie.path ?? (COOKIE_PATH.test(rulePath) ? rulePath : '/');
  const parts = [`${name}=${value}`, `Path=${path}`];
  if (domain !== null) parts.push(`Domain=${domain}`);
  if (expires !== null) parts.push(`Expires=${new Date(now + expires * 1000).toUTCString()}`);
  if (maxAge !== null) parts.push(`Max-Age=${maxAge}`);
  if (cookie.secure ?? request.scheme === 'https') parts.push('Secure');
  parts.push('HttpOnly');
  const { sameSite } = cookie;
  const isTooOld =
    sameSite === 'None' && cookie.sameSiteForOldBrowsers && mistakesNone(request.value('user-agent'));
  if (sameSite !== null && !isTooOld) parts.push(`SameSite=${sameSite}`);
  return parts.join('; ');
}

/** What a User-Agent field is looked at. */
const USER_AGENT_LENGTH = 512;

/** Browsers that take `SameSite=None` for `Strict`, or refuse the cookie, as the Chromium project lists them. */
function mistakesNone(field = ''): boolean {
  const agent = field.slice(0, USER_AGENT_LENGTH);
  if (/\(iP[^)]*OS 12[_\d]*[^)]*\) AppleWebKit\//.test(agent)) return true;
  if (/\(Macintosh;[^)]*Mac OS X 10_14[_\d]*[^)]*\) AppleWebKit\//.test(agent)) {
    const isChromium = /Chrom(?:e|ium)\//.test(agent);
    return (/Version\/[^ ]+ .*Safari\//.test(agent) && !isChromium) || agent.endsWith('(KHTML, like Gecko)');
  }
  if (/UCBrowser\/(?:\d|1[01])\.|UCBrowser\/12\.(?:[0-9]|1[0-2])\./.test(agent)) return true;
  const version = Number(/Chrom(?:e|ium)\/(\d{1,4})/.exec(agent)?.[1] ?? Number.NaN);
  return version >= 51 && version <= 66;
}
