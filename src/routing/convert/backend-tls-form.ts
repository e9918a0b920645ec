import type { PolicyConfigs } from '../../policies/registry.ts';
import { type ConversionNote, note } from './conversion.ts';
import type { NamedPort } from './convert-backends.ts';

/** TLS to the endpoints of a Service port, which are verified. */
export interface BackendTls {
  readonly to: NamedPort;
  /** What certificates must be for, and what is asked for. */
  readonly hostname: string;
  /** PEM. */
  readonly caCertificates: string;
  readonly notes: readonly ConversionNote[];
}

/** What a BackendTLSPolicy can say of the TLS of a route: only what is verified, by a name. Null for everything else. */
export function backendTlsOf(configs: PolicyConfigs): Omit<BackendTls, 'to'> | null {
  const transport = configs['backend-transport'];
  const tls = configs['upstream-tls'];
  if (transport?.protocol !== 'https') return null;
  const notes = [
    note('differs', 'TLS to the Pods: the BackendTLSPolicy holds for every route to the Service port.'),
  ];
  if (tls) {
    const { clientSecret, caCertificates, name, ciphers } = tls;
    if (clientSecret !== null || caCertificates === null || name === null || ciphers !== null) return null;
    const text =
      'TLS to the Pods: versions, the depth of chains and the server name are what the implementation uses.';
    return { hostname: name, caCertificates, notes: [...notes, note('differs', text)] };
  }
  const { serverName, caCertificates } = transport;
  return serverName === null || caCertificates === null
    ? null
    : { hostname: serverName, caCertificates, notes };
}
