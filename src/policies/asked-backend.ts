import type { BackendTransportConfig } from './backend-transport.ts';
import type { UpstreamTlsConfig } from './upstream-tls.ts';

/** A backend of the table that a policy asks, or sends copies to. */
export interface AskedBackend {
  /** Its key. */
  readonly backend: string;
  /** How it is spoken to, where something else than its Service says so; absent otherwise. */
  readonly transport?: AskedTransport;
}

/** The configs of policies that say how endpoints are spoken to. */
export interface AskedTransport {
  readonly 'backend-transport'?: BackendTransportConfig;
  readonly 'upstream-tls'?: UpstreamTlsConfig;
}
