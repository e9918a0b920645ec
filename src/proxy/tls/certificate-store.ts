import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls';
import type { KeyPair } from '../../model/secrets.ts';
import { get } from '../../model/sharded-map.ts';
import { hostReference } from '../../routing/host-certificate.ts';
import { normalizeHost, routesFor } from '../../routing/match.ts';
import type { RouteTable } from '../../routing/table.ts';
import { EMPTY_TABLE, type MapUpdate } from '../../routing/table-update.ts';

/** What every TLS connection of a thread is set up with. Plain data: it is copied into the thread. */
export interface TlsSettings {
  readonly minVersion: TlsVersion;
  /** As OpenSSL spells them, TLS 1.3 suites among them. */
  readonly ciphers: string;
  /** Self-signed; stands in where there is no default certificate. */
  readonly standIn: KeyPair;
}

export const TLS_VERSIONS = ['1.2', '1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** Forward secrecy and authenticated encryption only, so that it makes no matter who chooses. */
export const DEFAULT_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** The certificates of a thread: contexts are made once for each, when the first handshake wants it. */
export interface Certificates {
  /** Takes keys that changed or are gone; the next handshake is served by them, open connections are left alone. */
  change(update: MapUpdate<KeyPair>): void;
  /** Takes the references of a new table, and its hosts, which say whose references count. */
  adopt(table: RouteTable): void;
  /** Tickets are made, and understood, with this key from now on: 48 random bytes that all threads share. */
  rotate(ticketKey: Uint8Array): void;
  /**
   * For clients that name no host, or one without a certificate. Also decides which tickets are understood. Null when
   * OpenSSL makes nothing of the settings with any certificate.
   */
  standard(): SecureContextOptions | null;
  /** For the host that a client names (SNI, RFC 6066 3): precise, then wildcard; undefined leaves it to the standard one. */
  named(serverName: string): SecureContext | undefined;
  /** What is shown to a client that names this host, or none, for servers that ask it for more; the same until it changes. */
  shown(serverName: string | null): SecureContextOptions | null;
}

/** A resumed session must belong to the same service, whatever certificate it was begun with. */
const SESSION_ID_CONTEXT = 'portico';
/** Half of the time that a ticket key is in use, so that few clients come back with a ticket nobody understands. */
const SESSION_LIFETIME_SECONDS = 6 * 60 * 60;

interface Made {
  readonly pair: KeyPair;
  readonly options: SecureContextOptions;
  /** Null when OpenSSL takes the certificate for too weak for these settings: as good as none. */
  readonly context: SecureContext | null;
}

export function createCertificates(settings: TlsSettings): Certificates {
  const keys = new Map<string, KeyPair>();
  const made = new Map<string, Made>();
  let table = EMPTY_TABLE;
  let ticketKey: Buffer | null = null;
  let standard: Made | null = null;
  /** With the key for tickets that is in use now: contexts outlive it, and never need their own. */
  let shown = new WeakMap<Made, SecureContextOptions>();

  const make = (pair: KeyPair): Made => {
    const options: SecureContextOptions = {
      cert: pair.certificate,
      key: pair.key,
      minVersion: `TLSv${settings.minVersion}`,
      ciphers: settings.ciphers,
      sessionIdContext: SESSION_ID_CONTEXT,
      sessionTimeout: SESSION_LIFETIME_SECONDS,
      ...(ticketKey && { ticketKeys: ticketKey }),
    };
    try {
      return { pair, options, context: createSecureContext(options) };
    } catch {
      // This is on the way of a handshake: no client must be able to end the thread.
      return { pair, options, context: null };
    }
  };

  /** Undefined when OpenSSL makes nothing of it. */
  const madeOf = (secret: string): Made | undefined => {
    const pair = keys.get(secret);
    if (!pair) return undefined;
    let entry = made.get(secret);
    if (entry?.pair !== pair) made.set(secret, (entry = make(pair)));
    return entry.context ? entry : undefined;
  };

  const madeFor = (serverName: string): Made | undefined => {
    const host = normalizeHost(serverName);
    if (host === null || host === '') return undefined;
    const secret = hostReference(table, host, routesFor(table, host))?.secret;
    return secret ? madeOf(secret) : undefined;
  };

  const certificates: Certificates = {
    change(update) {
      for (const [secret, pair] of update) {
        made.delete(secret);
        if (pair === null) keys.delete(secret);
        else keys.set(secret, pair);
      }
    },
    adopt(next) {
      table = next;
    },
    rotate(key) {
      ticketKey = Buffer.from(key);
      standard = null;
      shown = new WeakMap();
    },
    standard() {
      const secret = get(table.certificates, '')?.secret;
      const pair = (secret && keys.get(secret)) || settings.standIn;
      if (standard?.pair !== pair) standard = make(pair);
      return standard.context && standard.options;
    },
    named: (serverName) => madeFor(serverName)?.context ?? undefined,
    shown(serverName) {
      const entry = (serverName !== null && madeFor(serverName)) || (certificates.standard() && standard);
      if (!entry) return null;
      let options = shown.get(entry);
      if (!options) {
        options = { ...entry.options, ...(ticketKey && { ticketKeys: ticketKey }) };
        shown.set(entry, options);
      }
      return options;
    },
  };
  return certificates;
}
