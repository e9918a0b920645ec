import type { ObjectKey } from '../../model/objects.ts';
import { type SecretData, secretValue } from '../../model/secret-data.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import type { Backend, Route } from '../../routing/table.ts';
import { type TlsTerms, type UpstreamTls, upstreamTls } from './tls-terms.ts';

/** How the upstreams behind a route are spoken to. */
export interface UpstreamTransport {
  readonly http2: boolean;
  /** They are declared to serve gRPC, whose streams may be silent for long. */
  readonly grpc: boolean;
  /** Null in clear text. */
  readonly tls: UpstreamTls | null;
}

const HTTP: UpstreamTransport = { http2: false, grpc: false, tls: null };
const H2C: UpstreamTransport = { http2: true, grpc: false, tls: null };
const GRPC: UpstreamTransport = { http2: true, grpc: true, tls: null };

/** The data of a Secret that a policy names. */
type SecretOf = (key: ObjectKey) => SecretData | undefined;

/**
 * As the Ingress says, or else the Service. `secretOf` is asked for the certificate that is shown, if any, and `isSecure`
 * says whether the connection of the client has TLS.
 */
export function upstreamTransport(
  { policies }: Pick<Route, 'policies'>,
  backend: Backend,
  secretOf: SecretOf = () => undefined,
  isSecure = false,
): UpstreamTransport {
  const protocol = policies?.configs['backend-transport']?.protocol ?? backend.protocol;
  switch (protocol) {
    case 'http':
      return HTTP;
    case 'auto_http':
      return isSecure ? { http2: false, grpc: false, tls: tlsOf(policies, backend, secretOf) } : HTTP;
    case 'https':
      return { http2: false, grpc: false, tls: tlsOf(policies, backend, secretOf) };
    case 'h2c':
      return H2C;
    case 'grpc':
      return GRPC;
    case 'grpcs':
      return { http2: true, grpc: true, tls: tlsOf(policies, backend, secretOf) };
    default:
      return protocol satisfies never;
  }
}

interface KnownTls {
  readonly tls: UpstreamTls;
  /** Of the Secret that it was made with: the same object for as long as it says the same. */
  readonly client: SecretData | undefined;
}

/** A policy set is the same object for as long as its Ingress says the same; a name has certificates of its own. */
const known = new WeakMap<object, WeakMap<object, KnownTls>>();
const NO_POLICIES = {};
const NO_NAME = {};

function tlsOf(policies: PolicySet | null, backend: Backend, secretOf: SecretOf): UpstreamTls {
  const key = policies ?? NO_POLICIES;
  let byBackend = known.get(key);
  if (!byBackend) known.set(key, (byBackend = new WeakMap()));
  const ofName = backend.externalName ? backend : NO_NAME;
  const clientSecret = policies?.configs['upstream-tls']?.clientSecret ?? null;
  const client = clientSecret === null ? undefined : secretOf(clientSecret);
  let found = byBackend.get(ofName);
  if (!found || found.client !== client) {
    found = { tls: upstreamTls(termsOf(policies, backend, client)), client };
    byBackend.set(ofName, found);
  }
  return found.tls;
}

function termsOf(policies: PolicySet | null, backend: Backend, client: SecretData | undefined): TlsTerms {
  const transport = policies?.configs['backend-transport'];
  const tls = policies?.configs['upstream-tls'];
  const external = backend.externalName?.host ?? null;
  const serverName = transport?.serverName ?? (tls?.sendsName ? tls.name : null) ?? external;
  const verifiedName = transport?.serverName ?? tls?.name ?? external;
  const pem = (name: string): string => (client && secretValue(client, name)?.toString('latin1')) ?? '';
  return {
    caCertificates: transport?.caCertificates ?? tls?.caCertificates ?? null,
    ...(tls?.trustsSystem && { trustsSystem: true }),
    ...(tls?.names && { names: tls.names }),
    serverName,
    verifiedName,
    depth: tls?.depth ?? null,
    client: client ? { certificate: pem('tls.crt'), key: pem('tls.key') } : null,
    ciphers: tls?.ciphers ?? null,
    ...(tls && { minVersion: tls.minVersion, maxVersion: tls.maxVersion }),
  };
}
