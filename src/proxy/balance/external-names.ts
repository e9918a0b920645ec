import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { serviceOf } from '../../routing/backends.ts';
import type { BackendKey } from '../../routing/table.ts';
import { NameAddresses } from './name-addresses.ts';

/** What the name servers say of a name, as the control thread tells every thread that asks. */
export interface NameAnswer {
  readonly host: string;
  /** Who asked. Others may have got another answer: a namespace can have too many names in use. */
  readonly namespace: string;
  /** Each may be connected to; none when the name does not resolve. */
  readonly addresses: readonly string[];
  /** For how long it holds, in milliseconds. */
  readonly freshForMs: number;
}

/**
 * The ExternalNames of the current table, in one thread. A name is asked for when a request wants it, and only then.
 * Namespaces that have the same name share nothing: what becomes of the one tells nobody anything of the other.
 */
export interface ExternalNames {
  /**
   * Null once there was an answer; before that a promise that resolves with the first, or when none came in time. Asks
   * again when the last answer has run out; requests do not wait for that.
   */
  pending(host: string, backend: BackendKey): Promise<void> | null;
  /** The same for a name that no Service has, as that of an authentication server. */
  pendingFor(host: string, namespace: string): Promise<void> | null;
  /** Undefined when no backend of the namespace has the name. */
  get(host: string, namespace: string): NameAddresses | undefined;
  /** Of some namespace that has the name, where it does not matter which. */
  find(host: string): NameAddresses | undefined;
  answered(answer: NameAnswer): void;
  /** A backend of the namespace with this name is in the table. */
  keep(host: string, namespace: string): void;
  release(host: string, namespace: string): void;
}

/** A name, and who wants it. */
export interface WantedName {
  readonly host: string;
  readonly namespace: string;
  /** The Service that has it; null where an annotation names it. */
  readonly service: ObjectKey | null;
}

export interface ExternalNamesSettings {
  /** Asks the control thread; `answered` is called when it knows. */
  readonly ask: (name: WantedName) => void;
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
  const entries = new Map<string, Map<string, Entry>>();

  function settle(entry: Entry): void {
    entry.known = true;
    entry.first.resolve();
  }

  function pending(host: string, namespace: string, service: ObjectKey | null): Promise<void> | null {
    const entry = entries.get(host)?.get(namespace);
    if (!entry) return null;
    const at = now();
    if (at >= entry.freshUntil && (entry.askedAt === null || at >= entry.askedAt + LONGEST_WAIT_MS)) {
      entry.askedAt = at;
      if (!entry.known) setTimeout(() => settle(entry), LONGEST_WAIT_MS).unref();
      ask({ host, namespace, service });
    }
    return entry.known ? null : entry.first.promise;
  }

  return {
    pending: (host, backend) => pending(host, namespaceOf(backend), serviceOf(backend)),
    pendingFor: (host, namespace) => pending(host, namespace, null),
    get: (host, namespace) => entries.get(host)?.get(namespace)?.addresses,
    find(host) {
      const all = [...(entries.get(host)?.values() ?? [])].map(({ addresses }) => addresses);
      return all.find(({ addresses }) => addresses.length > 0) ?? all[0];
    },
    answered({ host, namespace, addresses, freshForMs }) {
      const entry = entries.get(host)?.get(namespace);
      if (!entry) return;
      entry.addresses.addresses = addresses;
      entry.freshUntil = now() + freshForMs;
      entry.askedAt = null;
      settle(entry);
    },
    keep(host, namespace) {
      const ofHost = entries.get(host) ?? new Map<string, Entry>();
      entries.set(host, ofHost);
      const entry = ofHost.get(namespace);
      if (entry) entry.uses++;
      else {
        const first = Promise.withResolvers<void>();
        const addresses = new NameAddresses();
        ofHost.set(namespace, { addresses, first, known: false, uses: 1, freshUntil: 0, askedAt: null });
      }
    },
    release(host, namespace) {
      const ofHost = entries.get(host);
      const entry = ofHost?.get(namespace);
      if (!ofHost || !entry || --entry.uses > 0) return;
      ofHost.delete(namespace);
      if (ofHost.size === 0) entries.delete(host);
      entry.first.resolve();
    },
  };
}
