import { createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Secret } from './objects.ts';
import { type SecretData, secretDataOf, secretValue } from './secret-data.ts';

/** The `ca.crl` of a Secret: which certificates their authorities have revoked (RFC 5280 5). */
export type RevocationList =
  | { readonly kind: 'none' }
  /** `digest` is another one when the list says something else. */
  | { readonly kind: 'list'; readonly digest: string }
  /** `reason` continues the name of the Secret. */
  | { readonly kind: 'refused'; readonly reason: string };

const MOST_LISTS = 64;
const PEM_LIST = /-----BEGIN X509 CRL-----[\sA-Za-z0-9+/=]+?-----END X509 CRL-----/g;

const known = new WeakMap<Secret, RevocationList>();

/** Read once per object. */
export function readRevocationList(secret: Secret): RevocationList {
  let read = known.get(secret);
  if (!read) known.set(secret, (read = parse(secretDataOf(secret))));
  return read;
}

/** The lists as PEM, one for each authority. */
export function revocationLists(data: SecretData): readonly string[] {
  return secretValue(data, 'ca.crl')?.toString('latin1').match(PEM_LIST) ?? [];
}

function parse(data: SecretData): RevocationList {
  if (!Object.hasOwn(data, 'ca.crl')) return { kind: 'none' };
  const lists = revocationLists(data);
  if (lists.length > MOST_LISTS)
    return {
      kind: 'refused',
      reason: `has ${lists.length} lists in its ca.crl, and at most ${MOST_LISTS} are used`,
    };
  try {
    if (lists.length === 0) throw new Error('empty');
    createSecureContext({ crl: [...lists] });
  } catch {
    return { kind: 'refused', reason: 'has a ca.crl that is not a PEM certificate revocation list' };
  }
  return { kind: 'list', digest: createHash('sha256').update(lists.join('')).digest('base64url') };
}
