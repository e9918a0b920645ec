import type { BackendKey } from '../../routing/table.ts';
import { NameAddresses } from './name-addresses.ts';

/** What the name servers say of a name, as the control thread tells every thread that asks. */
export interface NameAnswer {
  readonly host: string;
  /** Each may be connected to; none when the name does not resolve. */
  readonly addresses: readonly string[];
  /** For how long it holds, in milliseconds. */
  readonly freshForMs: number;
}

/** The ExternalNames of the current table, in one thread. A name is asked for when a request wants it, and only then. */
export interface ExternalNames {
  /**
   * Null once there was an answer; before that a promise that resolves with the first, or when none came in time. Asks
   * again when the last answer has run out; requests do not wait for that.
   */
  pending(host: string, backend: BackendKey): Promise<void> | null;
  /** Undefined when no backend has the name. */
  get(host: string): NameAddresses | undefined;
  answered(answer: NameAnswer): void;
  /** A backend with this name is in the table. */
  keep(host: string): void;
  release(host: string): void;
}

export interface ExternalNamesSettings {
  /** Asks the control thread; `answered` is called when it knows. */
  readonly ask: (host: string, backend: BackendKey) => void;
  readonly now: () => number;
}

/** The control thread answers sooner than this, if by a failure. */
const LONGEST_WAIT_MS = 10_000;

interface Entry {
  readonly addresses: NameAddresses;
  readonly first: PromiseWithResolvers<void>;
  known: boolean;
  uses: number;
  freshUntil: number;
  /** When it was asked for without an answer so far, or null. */
  askedAt: number | null;
}

export function createExternalNames({ ask, now }: ExternalNamesSettings): ExternalNames {
  const entries = new Map<string, Entry>();

  function settle(entry: Entry): void {
    entry.known = true;
    entry.first.resolve();
  }

  return {
    pending(host, backend) {
      const entry = entries.get(host);
      if (!entry) return null;
      const at = now();
      if (at >= entry.freshUntil && (entry.askedAt === null || at >= entry.askedAt + LONGEST_WAIT_MS)) {
        entry.askedAt = at;
        if (!entry.known) setTimeout(() => settle(entry), LONGEST_WAIT_MS).unref();
        ask(host, backend);
      }
      return entry.known ? null : entry.first.promise;
    },
    get: (host) => entries.get(host)?.addresses,
    answered({ host, addresses, freshForMs }) {
      const entry = entries.get(host);
      if (!entry) return;
      entry.addresses.addresses = addresses;
      entry.freshUntil = now() + freshForMs;
      entry.askedAt = null;
      settle(entry);
    },
    keep(host) {
      const entry = entries.get(host);
      if (entry) entry.uses++;
      else {
        const first = Promise.withResolvers<void>();
        const addresses = new NameAddresses();
        entries.set(host, { addresses, first, known: false, uses: 1, freshUntil: 0, askedAt: null });
      }
    },
    release(host) {
      const entry = entries.get(host);
      if (!entry || --entry.uses > 0) return;
      entries.delete(host);
      entry.first.resolve();
    },
  };
}
