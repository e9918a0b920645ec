import { createHmac, randomBytes } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import type { PasswordVerdict } from '../policies/policy.ts';
import { isCheap, passwordMatches } from '../passwords/password-hash.ts';
import type { PasswordAnswer, PasswordQuestion } from './threads/password-worker.ts';

export interface PasswordChecksSettings {
  /** The thread that hashes; asked for when there is something to hash. */
  readonly connect: () => MessagePort;
  readonly now: () => number;
}

/** What was found out holds for so long. */
const FRESH_MS = 5 * 60_000;
/** Of one namespace, and when there are more than `MANY` in all, only `FEW` of each. */
const MOST = 1_000;
const MANY = 10_000;
const FEW = 50;
/** Hashed at a time, or waiting for it. */
const WAITING_OF_NAMESPACE = 8;
const WAITING = 64;
const LONGEST_WAIT_MS = 10_000;

interface Known {
  readonly matches: boolean;
  readonly until: number;
}

/**
 * Compares passwords with hashes for the policies of one data-plane thread. What takes longer than microseconds is hashed
 * by another thread, a few at a time for each namespace, and remembered by a digest under a key that nobody else has.
 */
export class PasswordChecks {
  readonly #connect: () => MessagePort;
  readonly #now: () => number;
  readonly #key = randomBytes(32);
  readonly #known = new Map<string, Map<string, Known>>();
  #knownCount = 0;
  readonly #waiting = new Map<string, number>();
  /** By number, and by what is asked: two requests with the same password wait for one answer. */
  readonly #pending = new Map<number, (verdict: PasswordVerdict) => void>();
  readonly #asked = new Map<string, Promise<PasswordVerdict>>();
  #port: MessagePort | null = null;
  #nextId = 0;

  constructor({ connect, now }: PasswordChecksSettings) {
    this.#connect = connect;
    this.#now = now;
  }

  /** Whether a password is that of a hash; a promise only where it has to be hashed. Never throws or rejects. */
  check(namespace: string, hash: string, password: Buffer): PasswordVerdict | Promise<PasswordVerdict> {
    if (isCheap(hash)) return passwordMatches(hash, password) ? 'right' : 'wrong';
    const id = createHmac('sha256', this.#key).update(`${hash}\0`).update(password).digest('base64');
    const known = this.#known.get(namespace)?.get(id);
    if (known && this.#now() < known.until) return known.matches ? 'right' : 'wrong';
    const asked = this.#asked.get(`${namespace} ${id}`);
    if (asked) return asked;
    const waiting = this.#waiting.get(namespace) ?? 0;
    if (waiting >= WAITING_OF_NAMESPACE || this.#pending.size >= WAITING) return 'busy';
    const answer = this.#ask({ namespace, hash, password }, id).finally(() => {
      this.#asked.delete(`${namespace} ${id}`);
      this.#release(namespace);
    });
    this.#waiting.set(namespace, waiting + 1);
    this.#asked.set(`${namespace} ${id}`, answer);
    return answer;
  }

  async #ask(check: Omit<PasswordQuestion, 'id'>, digest: string): Promise<PasswordVerdict> {
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<PasswordVerdict>();
    const timer = setTimeout(() => resolve('busy'), LONGEST_WAIT_MS);
    this.#pending.set(id, resolve);
    this.#port ??= this.#open();
    this.#port.postMessage({ id, ...check } satisfies PasswordQuestion);
    const verdict = await promise;
    clearTimeout(timer);
    this.#pending.delete(id);
    if (verdict !== 'busy') this.#remember(check.namespace, digest, verdict === 'right');
    return verdict;
  }

  #open(): MessagePort {
    const port = this.#connect();
    port.on('message', ({ id, matches }: PasswordAnswer) =>
      this.#pending.get(id)?.(matches ? 'right' : 'wrong'),
    );
    // The thread that hashes has ended; the next question starts another.
    port.on('close', () => {
      this.#port = null;
      for (const resolve of this.#pending.values()) resolve('busy');
    });
    port.unref();
    return port;
  }

  #remember(namespace: string, digest: string, matches: boolean): void {
    const ofNamespace = this.#known.get(namespace) ?? new Map<string, Known>();
    this.#known.set(namespace, ofNamespace);
    this.#knownCount += ofNamespace.delete(digest) ? 0 : 1;
    ofNamespace.set(digest, { matches, until: this.#now() + FRESH_MS });
    const room = this.#knownCount > MANY ? FEW : MOST;
    // The oldest come first.
    for (const oldest of ofNamespace.keys()) {
      if (ofNamespace.size <= room) break;
      ofNamespace.delete(oldest);
      this.#knownCount--;
    }
  }

  #release(namespace: string): void {
    const left = (this.#waiting.get(namespace) ?? 1) - 1;
    if (left > 0) this.#waiting.set(namespace, left);
    else this.#waiting.delete(namespace);
  }
}
