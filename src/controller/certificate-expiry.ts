import type { Compilation } from '../routing/compile/compile.ts';
import { readTlsSecret } from '../routing/secrets.ts';
import { get, values } from '../model/sharded-map.ts';

export interface CertificateExpiry {
  /** Empty for the default certificate. */
  readonly host: string;
  /** `namespace/name` */
  readonly secret: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** When the certificate of each TLS host expires; hosts that are served the default one are left out. */
export function* certificateExpiries({ table, snapshot }: Compilation): Generator<CertificateExpiry> {
  for (const { host, secret } of values(table.certificates)) {
    const object = secret === null ? undefined : get(snapshot.secrets, secret);
    const read = object && readTlsSecret(object);
    if (secret !== null && read?.kind === 'certificate') yield { host, secret, notAfter: read.notAfter };
  }
}
