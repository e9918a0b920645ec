import { randomBytes } from 'node:crypto';
import { type ConnectionOptions, type TLSSocket, connect } from 'node:tls';
import { policyBinder } from '../../src/policies/bound-policies.ts';
import type { BoundPolicy } from '../../src/policies/policy.ts';
import { strictTransportSecurity } from '../../src/policies/strict-transport-security.ts';
import { clientPolicies } from '../../src/proxy/tls/client-policies.ts';
import { type HttpsRedirect, decide } from '../../src/routing/decide.ts';
import type { Resolve } from '../../src/proxy/balance/name-resolver.ts';
import { externalNames } from './external-names.ts';
import { createEndpoints } from '../../src/proxy/balance/endpoint-pool.ts';
import type { Engine, EngineFactory } from '../../src/proxy/engine.ts';
import type { ExchangeRecord } from '../../src/proxy/exchange-record.ts';
import { trustedProxies } from '../../src/http/forwarded.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/proxy/limits.ts';
import { DEFAULT_CIPHERS, CertificateStore } from '../../src/proxy/tls/certificate-store.ts';
import { HandshakeCounters } from '../../src/proxy/tls/handshake-counters.ts';
import type { SecretData } from '../../src/model/secret-data.ts';
import type { KeyPair } from '../../src/model/secrets.ts';
import { mapOf } from '../../src/model/sharded-map.ts';
import type { CertificateReference, RouteTable } from '../../src/routing/table.ts';
import { type Authority, createAuthority } from './certificates.ts';
import { type Site, tableOf } from './proxy.ts';
import { policyThread } from './policy-thread.ts';
import { type Wire, wire } from './wire.ts';
import { happens } from './until.ts';

let shared: Authority | null = null;
let selfSigned: KeyPair | null = null;

/** The authority of all tests of a file: making keys takes a while. */
export function authority(): Authority {
  return (shared ??= createAuthority());
}

export interface TlsSite extends Site {
  /** Under the name of the site's host, or of the wildcard that is given. */
  readonly secret?: string | null;
  readonly tlsHost?: string;
}

export interface TlsProxySettings {
  readonly keys?: Readonly<Record<string, KeyPair>>;
  readonly limits?: Partial<Limits>;
  readonly trustedProxies?: readonly string[];
  readonly proxyProtocolFrom?: readonly string[];
  readonly proxyProtocolHttpsPorts?: readonly number[];
  readonly redirect?: HttpsRedirect;
  readonly hsts?: string;
  /** Policies that act on every exchange. */
  readonly everywhere?: readonly BoundPolicy[];
  /** The Secret of the default certificate. */
  readonly defaultSecret?: string;
  /** What name servers say of ExternalNames. */
  readonly resolve?: Resolve;
  /** The data of Secrets that policies use. */
  readonly secrets?: ReadonlyMap<string, SecretData>;
  /** The clock of the engine. */
  readonly now?: () => number;
}

/** An engine in this process with a plain port and a TLS port. */
export interface TlsProxy extends AsyncDisposable {
  readonly engine: Engine;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly certificates: CertificateStore;
  readonly exchanges: readonly ExchangeRecord[];
  readonly handshakes: HandshakeCounters;
  /** What threw and was contained. */
  readonly faults: readonly unknown[];
  /** Swaps the table. */
  adopt(sites: readonly TlsSite[]): void;
}

export async function startTlsProxy(
  factory: EngineFactory,
  sites: readonly TlsSite[],
  settings: TlsProxySettings = {},
): Promise<TlsProxy> {
  selfSigned ??= authority().issue(['self-signed.test']);
  const { defaultSecret } = settings;
  let table = secureTableOf(sites, defaultSecret);
  const certificates = new CertificateStore({ minVersion: '1.2', ciphers: DEFAULT_CIPHERS, selfSigned });
  certificates.rotate(randomBytes(48));
  certificates.change(Object.entries(settings.keys ?? {}));
  certificates.adopt(table);
  const endpoints = createEndpoints({ random: () => 0, externalNames: externalNames(settings.resolve) });
  endpoints.adopt(table);
  const exchanges: ExchangeRecord[] = [];
  const faults: unknown[] = [];
  const handshakes = new HandshakeCounters();
  const engine = factory({
    handshakes,
    replacingBackend: () => null,
    decide: (request) => decide(table, request, settings.redirect ?? null),
    endpoints,
    limits: { ...DEFAULT_LIMITS, ...settings.limits },
    trustedProxies: trustedProxies(settings.trustedProxies ?? []),
    proxyProtocolFrom: trustedProxies(settings.proxyProtocolFrom ?? []),
    proxyProtocolHttpsPorts: settings.proxyProtocolHttpsPorts ?? [],
    certificates,
    clientPolicies: clientPolicies(() => table),
    secret: (key) => settings.secrets?.get(key),
    policies: policyBinder(policyThread(Date.now), [
      ...(settings.everywhere ?? []),
      ...(settings.hsts === undefined ? [] : [strictTransportSecurity(settings.hsts)]),
    ]),
    onFault: (fault) => void faults.push(fault),
    onComplete: (exchange) => void exchanges.push(exchange),
    now: settings.now ?? Date.now,
  });
  const address = { host: '127.0.0.1', port: 0, reusePort: false };
  const { port: httpPort } = await engine.listen(address);
  const { port: httpsPort } = await engine.listen({ ...address, scheme: 'https' });
  return {
    engine,
    httpPort,
    httpsPort,
    certificates,
    exchanges,
    handshakes,
    faults,
    adopt(next) {
      table = secureTableOf(next, defaultSecret);
      certificates.adopt(table);
      engine.close(endpoints.adopt(table));
    },
    async [Symbol.asyncDispose]() {
      await engine.drain(0);
    },
  };
}

function secureTableOf(sites: readonly TlsSite[], defaultSecret: string | undefined): RouteTable {
  const references = sites.flatMap((site): [string, CertificateReference][] => {
    if (site.secret === undefined) return [];
    const host = site.tlsHost ?? site.host ?? 'app.test';
    return [[host, { host, secret: site.secret, ingress: 'default/app', namespace: 'default' }]];
  });
  if (defaultSecret) references.push(['', { host: '', secret: defaultSecret, ingress: '', namespace: '' }]);
  return { ...tableOf(sites), certificates: mapOf(references) };
}

/** A connection whose handshake is done. */
export interface SecureClient extends Disposable {
  readonly socket: TLSSocket;
  readonly wire: Wire;
  /** The first name of the certificate that was shown. */
  readonly shown: string;
}

/** Shakes hands as a browser would, without judging the certificate; rejects when that fails. */
export async function secureClient(
  port: number,
  servername: string | null,
  options: ConnectionOptions = {},
): Promise<SecureClient> {
  const name = servername === null ? {} : { servername };
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...name, ...options });
  await happens(socket, 'secureConnect');
  // A resumed session shows no certificate again.
  const subject = socket.getPeerCertificate().subject as { CN?: string } | undefined;
  return {
    socket,
    wire: wire(socket),
    shown: subject?.CN ?? '',
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
