import type { Compilation } from '../routing/compile/compile.ts';
import { readTlsSecret } from '../model/secrets.ts';
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

/** How many hosts have a sample of their own. */
const MAX_HOSTS = 10_000;
const MAX_HOSTS_OF_NAMESPACE = 2_000;
/** No object of Kubernetes can have this name. */
const OTHER = '_other';

/**
 * The same within the limits. Those beyond are one for each namespace, or one for all: the host `_other`, with the
 * certificate that expires first. May be interrupted after each.
 */
export function* boundedExpiries(
  all: Iterable<CertificateExpiry>,
): Generator<void, readonly CertificateExpiry[]> {
  const own: CertificateExpiry[] = [];
  const others = new Map<string, CertificateExpiry>();
  const hostsOfNamespace = new Map<string, number>();
  for (const expiry of all) {
    yield;
    const [namespace = ''] = expiry.secret.split('/', 1);
    const hosts = hostsOfNamespace.get(namespace) ?? 0;
    const isFull = own.length >= MAX_HOSTS;
    if (!isFull && hosts < MAX_HOSTS_OF_NAMESPACE) {
      hostsOfNamespace.set(namespace, hosts + 1);
      own.push(expiry);
      continue;
    }
    const secret = `${isFull ? OTHER : namespace}/${OTHER}`;
    const notAfter = Math.min(expiry.notAfter, others.get(secret)?.notAfter ?? Infinity);
    others.set(secret, { host: OTHER, secret, notAfter });
  }
  return [...own, ...others.values()];
}
