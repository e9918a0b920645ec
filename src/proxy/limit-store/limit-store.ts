import { type Socket, connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ClusterLimits, ClusterVerdict } from '../../policies/limits/cluster-limits.ts';
import { GCRA_SCRIPT, GCRA_SCRIPT_SHA } from './gcra-script.ts';
import { type Reply, ReplyReader, encodeCommand } from './resp.ts';

/** A server that speaks RESP2: Redis, or Valkey. */
export interface LimitStoreAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Empty for the default user. */
  readonly username: string;
  /** Empty without one. */
  readonly password: string;
  readonly database: number;
}

export interface LimitStoreUser {
  /** Milliseconds on a clock that only goes forward. */
  monotonicMs(): number;
  /** The store cannot be used any more, or for the first time. Told once until `onBack`. */
  onAway(reason: string): void;
  onBack(): void;
}

const MOST_WAIT_MS = 50;
/** A store that answers nothing for so long is connected to anew. */
const SILENCE_MS = 1_000;
const CONNECT_MS = 1_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** Requests that wait; what comes beyond them is not asked. */
const MOST_ASKED = 4_096;

/** A command that was sent, and whom its reply is for; nobody once they have waited too long. */
interface Asked {
  readonly sinceMs: number;
  settle: ((verdict: ClusterVerdict) => void) | null;
}

/**
 * The store that replicas count their clients in together, over one connection. What is asked in one turn of the event
 * loop is sent at once. While the store is away, and when it does not answer in time, the verdict is `unavailable`.
 */
export class LimitStore implements ClusterLimits {
  readonly #address: LimitStoreAddress;
  readonly #user: LimitStoreUser;
  readonly #maxWaitMs: number;
  #socket: Socket | null = null;
  #isReady = false;
  #isAway = false;
  #reader = new ReplyReader();
  /** In the order of their commands. */
  #asked: Asked[] = [];
  #batch = '';
  #retryMs = FIRST_RETRY_MS;
  #retry: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #closed = false;
  /** Requests for which it could not be asked in time. */
  misses = 0;

  /** `maxWaitMs`: how long a request waits for it at most. */
  constructor(address: LimitStoreAddress, user: LimitStoreUser, maxWaitMs = MOST_WAIT_MS) {
    this.#maxWaitMs = maxWaitMs;
    this.#address = address;
    this.#user = user;
    this.#connect();
  }

  /**
   * Asks for all keys at once; `rates` has the interval and the tolerance of each, in microseconds. Resolves within
   * `maxWaitMs` and a turn of the loop, and never rejects.
   */
  take(keys: readonly string[], rates: readonly number[]): Promise<ClusterVerdict> {
    if (!this.#isReady || this.#asked.length >= MOST_ASKED) {
      this.misses++;
      return Promise.resolve(UNAVAILABLE);
    }
    return new Promise((resolve) => {
      const settle = (verdict: ClusterVerdict): void => {
        if (verdict.kind === 'unavailable') this.misses++;
        resolve(verdict);
      };
      this.#ask(['EVALSHA', GCRA_SCRIPT_SHA, String(keys.length), ...keys, ...rates.map(String)], settle);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#lose('');
  }

  #connect(): void {
    const { host, port, tls } = this.#address;
    const socket = tls ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
    this.#socket = socket;
    this.#reader = new ReplyReader();
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.setTimeout(CONNECT_MS, () => this.#lose('it does not take the connection in time'));
    socket.once(tls ? 'secureConnect' : 'connect', () => this.#greet());
    socket.on('data', (bytes: string) => this.#received(bytes));
    socket.on('error', (error) => this.#lose(error.message));
    socket.on('close', () => this.#lose('it closed the connection'));
    socket.unref();
  }

  #greet(): void {
    const { username, password, database } = this.#address;
    if (password !== '') this.#ask(['AUTH', ...(username === '' ? [] : [username]), password], null);
    if (database !== 0) this.#ask(['SELECT', String(database)], null);
    this.#ask(['SCRIPT', 'LOAD', GCRA_SCRIPT], () => {
      this.#socket?.setTimeout(0);
      this.#isReady = true;
      this.#retryMs = FIRST_RETRY_MS;
      if (this.#isAway) this.#user.onBack();
      this.#isAway = false;
    });
  }

  #ask(words: readonly string[], settle: Asked['settle']): void {
    if (this.#batch === '') setImmediate(() => this.#send());
    this.#batch += encodeCommand(words);
    this.#asked.push({ sinceMs: this.#user.monotonicMs(), settle });
    this.#watch ??= setTimeout(() => this.#look(), this.#maxWaitMs).unref();
  }

  #send(): void {
    const batch = this.#batch;
    this.#batch = '';
    if (batch !== '') this.#socket?.write(batch);
  }

  /** Nobody waits longer than they should. */
  #look(): void {
    this.#watch = undefined;
    const now = this.#user.monotonicMs();
    for (const asked of this.#asked) {
      if (asked.sinceMs + this.#maxWaitMs > now) break;
      if (this.#isReady) this.#settle(asked, UNAVAILABLE);
    }
    const oldest = this.#asked[0];
    if (!oldest) return;
    if (oldest.sinceMs + SILENCE_MS < now) return this.#lose('it does not answer');
    const next = this.#asked.find(({ settle }) => settle !== null)?.sinceMs ?? now;
    this.#watch = setTimeout(() => this.#look(), Math.max(1, next + this.#maxWaitMs - now)).unref();
  }

  #received(bytes: string): void {
    const replies = this.#reader.read(bytes);
    if (replies === null) return this.#lose('it does not speak RESP2');
    for (const [index, reply] of replies.entries()) {
      const asked = this.#asked[index];
      if (asked === undefined) return this.#lose('it sent a reply that nobody asked for');
      if (!this.#replied(asked, reply)) return;
    }
    this.#asked.splice(0, replies.length);
  }

  /** False when the connection was given up. */
  #replied(asked: Asked, reply: Reply): boolean {
    switch (reply.kind) {
      case 'integer':
        this.#settle(asked, reply.value <= 0 ? PASSES : { kind: 'wait', ms: reply.value / 1_000 });
        return true;
      case 'text':
        this.#settle(asked, UNAVAILABLE);
        return true;
      case 'error':
        if (!this.#isReady || !reply.message.startsWith('NOSCRIPT')) {
          this.#lose(`it says: ${reply.message.slice(0, 200)}`);
          return false;
        }
        // It was started anew, or its scripts were flushed.
        this.#settle(asked, UNAVAILABLE);
        this.#ask(['SCRIPT', 'LOAD', GCRA_SCRIPT], null);
        return true;
      default:
        return reply satisfies never;
    }
  }

  #settle(asked: Asked, verdict: ClusterVerdict): void {
    const { settle } = asked;
    asked.settle = null;
    settle?.(verdict);
  }

  #lose(reason: string): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.destroy();
    this.#isReady = false;
    this.#batch = '';
    clearTimeout(this.#watch);
    this.#watch = undefined;
    const asked = this.#asked;
    this.#asked = [];
    if (this.#closed) return;
    if (!this.#isAway) this.#user.onAway(reason);
    this.#isAway = true;
    for (const each of asked) this.#settle(each, UNAVAILABLE);
    this.#retry = setTimeout(() => this.#connect(), this.#retryMs * (0.5 + Math.random() / 2)).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }
}

const PASSES: ClusterVerdict = { kind: 'passes' };
const UNAVAILABLE: ClusterVerdict = { kind: 'unavailable' };
