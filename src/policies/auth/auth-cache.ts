import { createHash } from 'node:crypto';
import type { HeaderField } from '../../http/head-edit.ts';

/** What an authentication server answered, without what nobody uses of it. */
export interface AuthAnswer {
  readonly status: number;
  readonly fields: readonly HeaderField[];
}

/** For how long answers with some statuses hold. */
export interface CacheRule {
  /** Empty for every status. */
  readonly statuses: readonly number[];
  readonly forMs: number;
}

/** As ingress-nginx has it without `auth-cache-duration`. */
export const DEFAULT_RULES: readonly CacheRule[] = [{ statuses: [200, 202, 401], forMs: 5 * 60_000 }];

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  M: 30 * 86_400_000,
  y: 365 * 86_400_000,
};
const MAX_RULES = 16;
const RULE = /^(?:(any|\d{3}(?: \d{3})*) )?(\d{1,6})(ms|[smhdwMy])?$/;

/** Reads `200 202 401 5m`, or several of them with commas; null for anything else. */
export function parseCacheRules(text: string): readonly CacheRule[] | null {
  const items = text.split(',', MAX_RULES + 1);
  if (items.length > MAX_RULES) return null;
  const rules: CacheRule[] = [];
  for (const item of items) {
    const [, statuses, count, unit = 's'] = RULE.exec(item.trim().replace(/ +/g, ' ')) ?? [];
    if (count === undefined) return null;
    // Without statuses nginx means these.
    const listed = statuses === undefined ? [200, 301, 302] : statuses.split(' ').map(Number);
    rules.push({ statuses: statuses === 'any' ? [] : listed, forMs: Number(count) * (UNIT_MS[unit] ?? 0) });
  }
  return rules;
}

const MOST_ENTRIES = 1_000;
const MOST_BYTES = 1024 * 1024;
const ENTRY_BYTES = 256;

interface Entry {
  readonly answer: AuthAnswer;
  readonly until: number;
  readonly bytes: number;
}

/**
 * The answers of an authentication server for the requests of one policy on one thread. The keys are digests: they are
 * made of cookies and tokens. What is oldest makes room.
 */
export class AuthCache {
  readonly #rules: readonly CacheRule[];
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(rules: readonly CacheRule[]) {
    this.#rules = rules;
  }

  /** A text of any length as a key. */
  static key(...parts: readonly string[]): string {
    return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
  }

  get(key: string, now: number): AuthAnswer | null {
    const entry = this.#entries.get(key);
    if (!entry) return null;
    if (now < entry.until) return entry.answer;
    this.#delete(key, entry);
    return null;
  }

  /** Keeps an answer that may be kept. `fields` are all that came; of these only `answer.fields` are used later. */
  put(key: string, answer: AuthAnswer, fields: readonly HeaderField[], now: number): void {
    const rule = this.#rules.find(
      ({ statuses }) => statuses.length === 0 || statuses.includes(answer.status),
    );
    const forMs = rule && isShareable(fields) ? (maxAgeMs(fields) ?? rule.forMs) : 0;
    if (forMs <= 0) return;
    const bytes = answer.fields.reduce((sum, field) => sum + field.join().length, ENTRY_BYTES);
    const before = this.#entries.get(key);
    if (before) this.#delete(key, before);
    this.#entries.set(key, { answer, until: now + forMs, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= MOST_ENTRIES && this.#bytes <= MOST_BYTES) break;
      this.#delete(oldest, entry);
    }
  }

  #delete(key: string, { bytes }: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= bytes;
  }
}

/** As nginx judges: a cookie is for one client, `Vary` is for keys that we do not have, and a server may say no. */
function isShareable(fields: readonly HeaderField[]): boolean {
  return !fields.some(([name, value]) => {
    const lower = name.toLowerCase();
    if (lower === 'set-cookie' || lower === 'vary') return true;
    return lower === 'cache-control' && /\b(?:no-cache|no-store|private)\b/i.test(value);
  });
}

function maxAgeMs(fields: readonly HeaderField[]): number | null {
  const control = fields.find(([name]) => name.toLowerCase() === 'cache-control')?.[1] ?? '';
  const seconds = /\bs-maxage=(\d{1,9})/i.exec(control)?.[1] ?? /\bmax-age=(\d{1,9})/i.exec(control)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}
