/**
 * Names of query parameters whose values look like credentials, in lower case; a `*` in front stands for anything. The
 * values of header fields and cookies with these names are left out of the access log, too.
 */
export const CREDENTIAL_NAMES: readonly string[] = [
  ...['*token', '*secret', '*password', '*passwd', '*signature', '*credential', '*credentials'],
  ...['apikey', 'api-key', 'api_key', 'x-api-key', 'auth', 'authorization', 'proxy-authorization', 'code'],
  ...['cookie', 'jwt', 'key', 'pass', 'pwd', 'session', 'sid', 'sig', 'x-amz-credential'],
];

const REDACTED = 'REDACTED';

/** Longer names are no name that anything is called. */
const LONGEST_NAME = 100;

/** Which values are left out of what is logged or shown. */
export class Redaction {
  readonly #names = new Set<string>();
  readonly #endings: string[] = [];

  /** As `CREDENTIAL_NAMES` has them. */
  constructor(names: readonly string[]) {
    for (const name of names) {
      if (name.startsWith('*')) this.#endings.push(name.slice(1).toLowerCase());
      else this.#names.add(name.toLowerCase());
    }
  }

  /** Whether the value of this name is left out, whatever the letter case. */
  covers(name: string): boolean {
    const lower = name.toLowerCase();
    return this.#names.has(lower) || this.#endings.some((ending) => lower.endsWith(ending));
  }

  /** The value, or what stands in its place. */
  shown(name: string, value: string): string {
    return this.covers(name) ? REDACTED : value;
  }

  /** A request target or URL without the values of such parameters, and without a user before its host. Linear in its length. */
  target(target: string): string {
    const start = target.indexOf('?');
    const head = withoutUser(start < 0 ? target : target.slice(0, start));
    if (start < 0) return head;
    return `${head}?${this.query(target.slice(start + 1))}`;
  }

  /** The same for a query alone. */
  query(query: string): string {
    let redacted = '';
    let kept = 0;
    let end = 0;
    for (let equals = query.indexOf('='); equals >= 0; equals = query.indexOf('=', end)) {
      const name = query.slice(startOfParameter(query, equals, end), equals);
      end = endOfParameter(query, equals);
      if (!this.#coversParameter(name)) continue;
      redacted += `${query.slice(kept, equals + 1)}${REDACTED}`;
      kept = end;
    }
    return kept === 0 ? query : redacted + query.slice(kept);
  }

  /** `user[password]` is how some servers nest parameters. */
  #coversParameter(encoded: string): boolean {
    const name = decoded(encoded);
    if (!name.includes('[')) return this.covers(name);
    return name.split(/[[\]]+/).some((part) => part !== '' && this.covers(part));
  }
}

/** What looks like a credential anywhere. */
export const CREDENTIALS = new Redaction(CREDENTIAL_NAMES);

/** A request target or URL without the values of what looks like a credential. */
export function redactTarget(target: string): string {
  return CREDENTIALS.target(target);
}

/** Some servers take semicolons for ampersands. */
function separates(code: number): boolean {
  return code === AMPERSAND || code === SEMICOLON;
}

function startOfParameter(query: string, at: number, least: number): number {
  let start = at;
  while (start > least && !separates(query.charCodeAt(start - 1))) start--;
  return start;
}

function endOfParameter(query: string, at: number): number {
  let end = at;
  while (end < query.length && !separates(query.charCodeAt(end))) end++;
  return end;
}

const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;

/** `https://user:password@host/` */
function withoutUser(url: string): string {
  if (url.startsWith('/') || !url.includes('@')) return url;
  return url.replace(/^([a-z][a-z0-9+.-]{0,20}:\/\/)[^/]*@/i, `$1${REDACTED}@`);
}

function decoded(name: string): string {
  if (name.length > LONGEST_NAME) return '';
  if (!name.includes('%')) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
