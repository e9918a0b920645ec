import { type SecureContext, type SecureContextOptions, createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { KeyPair } from '../../model/secrets.ts';
import { get } from '../../model/sharded-map.ts';
import { type ArrivalPort, byHostKey, routesAt } from '../../routing/gateway-routes.ts';
import { hostReference } from '../../routing/host-certificate.ts';
import { normalizeHost, routesFor } from '../../routing/match.ts';
import type { RouteTable } from '../../routing/table.ts';
import { EMPTY_TABLE, type MapUpdate } from '../../routing/table-update.ts';

/** What every TLS connection of a thread is set up with. Plain data: it is copied into the thread. */
export interface TlsSettings {
  readonly minVersion: TlsVersion;
  /** The newest one unless said. */
  readonly maxVersion?: TlsVersion;
  /** As OpenSSL spells them, TLS 1.3 suites among them. */
  readonly ciphers: string;
  /** Used where there is no default certificate; null where Ingresses have no TLS port. */
  readonly selfSigned: KeyPair | null;
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

/** A resumed session must belong to the same service, whatever certificate it was begun with. */
const SESSION_ID_CONTEXT = 'portico';
/** Half of the time that a ticket key is in use, so that few clients return with a ticket that no thread understands. */
const SESSION_LIFETIME_SECONDS = 6 * 60 * 60;

const NOWHERE: ArrivalPort = {};

interface Made {
  readonly pair: KeyPair;
  readonly options: SecureContextOptions;
  /** Null when OpenSSL refuses the certificate as too weak for these settings: it is not used then. */
  readonly context: SecureContext | null;
}

/** The certificates of a thread: contexts are made once for each, when the first handshake wants it. */
export class CertificateStore {
  readonly #flags: TlsSettings;
  #settings: TlsSettings;
  readonly #keys = new Map<string, KeyPair>();
  readonly #made = new Map<string, Made>();
  #table = EMPTY_TABLE;
  #ticketKey: Buffer | null = null;
  #standard: Made | null = null;
  /** Without a certificate. */
  #bare: SecureContextOptions | null = null;
  /** With the key for tickets that is in use now: contexts outlive it, and never need their own. */
  #shown = new WeakMap<Made, SecureContextOptions>();

  constructor(settings: TlsSettings) {
    this.#flags = settings;
    this.#settings = settings;
  }

  /** Takes keys that changed or are gone; the next handshake is served by them, open connections are left alone. */
  change(update: MapUpdate<KeyPair>): void {
    for (const [secret, pair] of update) {
      this.#made.delete(secret);
      if (pair === null) this.#keys.delete(secret);
      else this.#keys.set(secret, pair);
    }
  }

  /** Takes the references of a new table, and its hosts, which say whose references count. */
  adopt(table: RouteTable): void {
    const isSame = isDeepStrictEqual(table.globals?.tls, this.#table.globals?.tls);
    this.#table = table;
    if (isSame) return;
    this.#settings = { ...this.#flags, ...table.globals?.tls };
    this.#made.clear();
    this.#forgetShown();
  }

  /** Whether the name that a client asks for decides whether there is a handshake at all. */
  get rejectsUnknownHosts(): boolean {
    return this.#table.globals?.rejectsUnknownHosts === true;
  }

  /** Tickets are made, and understood, with this key from now on: 48 random bytes that all threads share. */
  rotate(ticketKey: Uint8Array): void {
    this.#ticketKey = Buffer.from(ticketKey);
    this.#forgetShown();
  }

  #forgetShown(): void {
    this.#standard = null;
    this.#bare = null;
    this.#shown = new WeakMap();
  }

  /**
   * For clients that name no host, or one without a certificate. Also decides which tickets are understood. Null when
   * OpenSSL accepts the settings with no certificate. Without a certificate where a Gateway has none for such clients.
   */
  standard(arrival: ArrivalPort = NOWHERE): SecureContextOptions | null {
    const ofGateway = this.#madeForGateway('', arrival);
    if (ofGateway === null) return (this.#bare ??= this.#withTickets(this.#common()));
    if (ofGateway !== undefined) return this.#shownOf(ofGateway);
    const made = this.#standardMade();
    return made && made.options;
  }

  /** For the host that a client names (SNI, RFC 6066 3): precise, then wildcard; undefined leaves it to the standard one. */
  named(serverName: string, arrival: ArrivalPort = NOWHERE): SecureContext | undefined {
    const ofGateway = this.#madeForGateway(serverName, arrival);
    const made = ofGateway === undefined ? this.#madeFor(serverName) : ofGateway;
    return made?.context ?? undefined;
  }

  /** What is shown to a client that names this host, or none, for servers that ask it for more; the same until it changes. */
  shown(serverName: string | null, arrival: ArrivalPort = NOWHERE): SecureContextOptions | null {
    const ofGateway = this.#madeForGateway(serverName, arrival);
    const made =
      ofGateway === undefined
        ? (serverName !== null && this.#madeFor(serverName)) || this.#standardMade()
        : ofGateway;
    return made && this.#shownOf(made);
  }

  /** Whether a client that names this host, or none, may be shown anything: a Gateway may have no certificate for it. */
  has(serverName: string | null, arrival: ArrivalPort): boolean {
    const ofGateway = this.#madeForGateway(serverName, arrival);
    return ofGateway === undefined ? this.#serves(serverName) : ofGateway !== null;
  }

  #serves(serverName: string | null): boolean {
    if (!this.rejectsUnknownHosts) return true;
    const host = normalizeHost(serverName ?? '') ?? '';
    const routes = host === '' ? null : routesFor(this.#table, host);
    return (routes !== null && routes !== this.#table.hostless) || this.#madeFor(host) !== undefined;
  }

  #shownOf(made: Made): SecureContextOptions {
    let options = this.#shown.get(made);
    if (!options) {
      options = this.#withTickets(made.options);
      this.#shown.set(made, options);
    }
    return options;
  }

  #withTickets(options: SecureContextOptions): SecureContextOptions {
    return { ...options, ...(this.#ticketKey && { ticketKeys: this.#ticketKey }) };
  }

  /**
   * At a port where Gateways listen, by the listener that has the name. Null where it has none, and undefined where the
   * name is none of a Gateway.
   */
  #madeForGateway(serverName: string | null, arrival: ArrivalPort): Made | null | undefined {
    const port = arrival.portKey === undefined ? undefined : get(this.#table.ports, arrival.portKey);
    if (!port) return arrival.gatewayOnly ? null : undefined;
    const host = normalizeHost(serverName ?? '') ?? '';
    const isGateways = arrival.gatewayOnly || routesAt(this.#table, arrival, host)?.gateway !== undefined;
    if (!isGateways) return undefined;
    const secret = byHostKey(port.certificates, host);
    return (secret !== null && this.#madeOf(secret)) || null;
  }

  #standardMade(): Made | null {
    const secret = get(this.#table.certificates, '')?.secret;
    const pair = (secret && this.#keys.get(secret)) || this.#settings.selfSigned;
    if (!pair) return null;
    if (this.#standard?.pair !== pair) this.#standard = this.#make(pair);
    return this.#standard.context && this.#standard;
  }

  #madeFor(serverName: string): Made | undefined {
    const host = normalizeHost(serverName);
    if (host === null || host === '') return undefined;
    const secret = hostReference(this.#table, host, routesFor(this.#table, host))?.secret;
    return secret ? this.#madeOf(secret) : undefined;
  }

  /** Undefined when OpenSSL does not accept it. */
  #madeOf(secret: string): Made | undefined {
    const pair = this.#keys.get(secret);
    if (!pair) return undefined;
    let made = this.#made.get(secret);
    if (made?.pair !== pair) this.#made.set(secret, (made = this.#make(pair)));
    return made.context ? made : undefined;
  }

  /** Whatever certificate there is. */
  #common(): SecureContextOptions {
    const { minVersion, maxVersion, ciphers } = this.#settings;
    return {
      minVersion: `TLSv${minVersion}`,
      ...(maxVersion && { maxVersion: `TLSv${maxVersion}` }),
      ciphers,
      sessionIdContext: SESSION_ID_CONTEXT,
      sessionTimeout: SESSION_LIFETIME_SECONDS,
    };
  }

  #make(pair: KeyPair): Made {
    const options = this.#withTickets({ cert: pair.certificate, key: pair.key, ...this.#common() });
    try {
      return { pair, options, context: createSecureContext(options) };
    } catch {
      // This is on the way of a handshake: no client must be able to end the thread.
      return { pair, options, context: null };
    }
  }
}
