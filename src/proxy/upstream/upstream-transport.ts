import type { BackendTransportConfig } from '../../policies/backend-transport.ts';
import type { Backend, Route } from '../../routing/table.ts';
import { type UpstreamTls, upstreamTls } from './upstream-tls.ts';

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

/** As the Ingress says, or else the Service. */
export function upstreamTransport({ policies }: Route, backend: Backend): UpstreamTransport {
  const config = policies?.configs['backend-transport'];
  const protocol = config?.protocol ?? backend.protocol;
  switch (protocol) {
    case 'http':
      return HTTP;
    case 'https':
      return { http2: false, grpc: false, tls: tlsOf(config, backend) };
    case 'h2c':
      return H2C;
    case 'grpc':
      return GRPC;
    case 'grpcs':
      return { http2: true, grpc: true, tls: tlsOf(config, backend) };
    default:
      return protocol satisfies never;
  }
}

const UNVERIFIED = upstreamTls(null, null);
/** A config is the same object for as long as its Ingress says the same. */
const known = new WeakMap<BackendTransportConfig, UpstreamTls>();
/** The same for names, whose certificates are for the name unless the config has another one. */
const ofNames = new WeakMap<Backend, WeakMap<object, UpstreamTls>>();
const NO_CONFIG = {};

function tlsOf(config: BackendTransportConfig | undefined, backend: Backend): UpstreamTls {
  if (backend.externalName) return tlsOfName(config, backend, backend.externalName.host);
  if (config === undefined) return UNVERIFIED;
  let tls = known.get(config);
  if (!tls) known.set(config, (tls = upstreamTls(config.caCertificates, config.serverName)));
  return tls;
}

function tlsOfName(config: BackendTransportConfig | undefined, backend: Backend, host: string): UpstreamTls {
  let byConfig = ofNames.get(backend);
  if (!byConfig) ofNames.set(backend, (byConfig = new WeakMap()));
  let tls = byConfig.get(config ?? NO_CONFIG);
  if (!tls) {
    tls = upstreamTls(config?.caCertificates ?? null, config?.serverName ?? host);
    byConfig.set(config ?? NO_CONFIG, tls);
  }
  return tls;
}
