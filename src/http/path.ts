/**
 * Paths in the one form in which they are compared: unreserved characters decoded, everything that may not
 * stand in a path encoded, hex digits in upper case, dot segments resolved, repeated slashes merged. `%2F` stays
 * as it is. Only matching uses this form; what is forwarded are the bytes of the client.
 */

const SLASH = 0x2f;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const DOT = 0x2e;

/** What a character does in a path: 0 must be encoded, 1 stands for itself, 2 is unreserved (RFC 3986, 2.3). */
const CHARACTERS = new Uint8Array(256);
for (const reserved of "/!$&'()*+,;=:@") CHARACTERS[reserved.charCodeAt(0)] = 1;
for (const unreserved of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~') {
  CHARACTERS[unreserved.charCodeAt(0)] = 2;
}

/**
 * The path of a request target (origin form, RFC 9112, 3.2.1) in the form the table is matched against, without
 * the query. Null is for a 400: no leading slash, a bad percent-encoding, a NUL, or a climb above the root. A
 * target that is in this form already is returned as it is; one that only has a query costs one substring.
 */
export function normalizePath(target: string): string | null {
  if (target.charCodeAt(0) !== SLASH) return null;
  let previous = 0;
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code === QUESTION) return target.slice(0, i);
    // A segment that starts with a dot may be a dot segment, and two slashes in a row are to be merged.
    const plain = CHARACTERS[code] && !(previous === SLASH && (code === SLASH || code === DOT));
    if (!plain) return normalizeSlowly(target);
    previous = code;
  }
  return target;
}

/** The path of a rule in the same form. Rules are written in UTF-8 and may hold a `?`, which then is literal. */
export function normalizeRulePath(path: string): string | null {
  if (path === '') return '/';
  const bytes = Buffer.from(path.replaceAll('?', '%3F'), 'utf8').toString('latin1');
  return normalizePath(bytes);
}

/** The authority of a target in absolute-form; empty for any other. */
export function authorityOf(target: string): string {
  return /^https?:\/\/([^/?#]*)/i.exec(target)?.[1] ?? '';
}

/** A target that was decided on, without the scheme and host of absolute-form (RFC 9112, 3.2.2). */
export function originForm(target: string): string {
  if (target.charCodeAt(0) === SLASH) return target;
  const rest = target.replace(/^https?:\/\/[^/?#]*/i, '');
  return rest.charCodeAt(0) === SLASH ? rest : `/${rest}`;
}

function normalizeSlowly(target: string): string | null {
  const query = target.indexOf('?');
  const encoded = recode(query < 0 ? target : target.slice(0, query));
  return encoded === null ? null : resolveSegments(encoded);
}

function recode(path: string): string | null {
  let recoded = '';
  for (let i = 0; i < path.length; i++) {
    let code = path.charCodeAt(i);
    const escaped = code === PERCENT;
    if (escaped) {
      const hex = path.slice(i + 1, i + 3);
      if (!/^[0-9a-f]{2}$/i.test(hex)) return null;
      code = Number.parseInt(hex, 16);
      i += 2;
    }
    // A character above 0xFF is no byte: no client can have sent it.
    if (code === 0 || code > 0xff) return null;
    const standsForItself = escaped ? CHARACTERS[code] === 2 : CHARACTERS[code] !== 0;
    recoded += standsForItself ? String.fromCharCode(code) : percentEncode(code);
  }
  return recoded;
}

function percentEncode(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

function resolveSegments(path: string): string | null {
  const resolved: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue;
    if (segment !== '..') resolved.push(segment);
    else if (resolved.pop() === undefined) return null;
  }
  const last = segments.at(-1);
  const isDirectory = last === '' || last === '.' || last === '..';
  if (resolved.length === 0) return '/';
  return `/${resolved.join('/')}${isDirectory ? '/' : ''}`;
}
