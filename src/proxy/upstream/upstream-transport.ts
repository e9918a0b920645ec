import type { Backend, Policy, Route } from '../../routing/table.ts';
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
export function upstreamWay({ policy }: Route, backend: Backend): UpstreamWay {
  const protocol = policy.protocol ?? backend.protocol;
  switch (protocol) {
    case 'http':
      return HTTP;
    case 'https':
      return { http2: false, grpc: false, tls: tlsOf(policy) };
    case 'h2c':
      return H2C;
    case 'grpc':
      return GRPC;
    case 'grpcs':
      return { http2: true, grpc: true, tls: tlsOf(policy) };
    default:
      return protocol satisfies never;
  }
}

/** A policy is the same object for as long as its Ingress says the same. */
const known = new WeakMap<Policy, UpstreamTls>();

function tlsOf(policy: Policy): UpstreamTls {
  let tls = known.get(policy);
  if (!tls) known.set(policy, (tls = upstreamTls(policy.authority ?? null, policy.serverName ?? null)));
  return tls;
}
