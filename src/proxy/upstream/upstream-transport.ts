import type { BackendTransportConfig } from '../../policies/backend-transport.ts';
import type { Backend, Route } from '../../routing/table.ts';
import { type UpstreamTls, upstreamTls } from './upstream-tls.ts';

/** How the pods behind a route are spoken to. */
export interface UpstreamWay {
  readonly http2: boolean;
  /** They are declared to serve gRPC, whose streams may be silent for long. */
  readonly grpc: boolean;
  /** Null in clear text. */
  readonly tls: UpstreamTls | null;
}

const HTTP: UpstreamWay = { http2: false, grpc: false, tls: null };
const H2C: UpstreamWay = { http2: true, grpc: false, tls: null };
const GRPC: UpstreamWay = { http2: true, grpc: true, tls: null };

/** As the Ingress says, or else the Service. */
export function upstreamWay({ policies }: Route, backend: Backend): UpstreamWay {
  const config = policies?.configs['backend-transport'];
  const protocol = config?.protocol ?? backend.protocol;
  switch (protocol) {
    case 'http':
      return HTTP;
    case 'https':
      return { http2: false, grpc: false, tls: tlsOf(config) };
    case 'h2c':
      return H2C;
    case 'grpc':
      return GRPC;
    case 'grpcs':
      return { http2: true, grpc: true, tls: tlsOf(config) };
    default:
      return protocol satisfies never;
  }
}

const UNVERIFIED = upstreamTls(null, null);
/** A config is the same object for as long as its Ingress says the same. */
const known = new WeakMap<BackendTransportConfig, UpstreamTls>();

function tlsOf(config: BackendTransportConfig | undefined): UpstreamTls {
  if (config === undefined) return UNVERIFIED;
  let tls = known.get(config);
  if (!tls) known.set(config, (tls = upstreamTls(config.caCertificates, config.serverName)));
  return tls;
}
