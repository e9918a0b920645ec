import type { TLSSocket } from 'node:tls';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { PresentedCertificate } from '../../http/connection-info.ts';

/** What the client of a connection showed whose handshake asked by `policy`; `now` in milliseconds since the epoch. */
export function presentedCertificate(
  socket: Pick<TLSSocket, 'authorized' | 'getPeerX509Certificate'>,
  policy: ClientAuth,
  now: number,
): PresentedCertificate {
  const { policyId } = policy;
  try {
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return shown(policyId, 'missing', { 'ssl-client-verify': 'NONE' });
    // A resumed session keeps the verdict of its first handshake, and certificates expire meanwhile.
    if (socket.authorized && now <= certificate.validToDate.getTime()) {
      return shown(policyId, 'verified', {
        'ssl-client-verify': 'SUCCESS',
        'ssl-client-subject-dn': distinguishedName(certificate.subject),
        'ssl-client-issuer-dn': distinguishedName(certificate.issuer),
        ...(policy.passCertificate && { 'ssl-client-cert': encodeURIComponent(certificate.toString()) }),
      });
    }
  } catch {
    // What Node cannot read is not good, and must not end the thread.
  }
  return shown(policyId, 'refused', { 'ssl-client-verify': 'FAILED' });
}

function shown(
  policyId: string,
  verdict: PresentedCertificate['verdict'],
  fields: Readonly<Record<string, string>>,
): PresentedCertificate {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return { policyId, verdict, fields, lines: lines.join('') };
}

/**
 * A name as nginx writes it (RFC 4514, which RFC 2253 was before): the last part first, commas between them. Node gives
 * a line for each part, what would be special in it escaped; what is not ASCII is escaped here byte by byte.
 */
export function distinguishedName(lines: string | undefined): string {
  const parts = (lines ?? '').split('\n').filter((part) => part !== '');
  const joined = parts
    .toReversed()
    .map((part) => part.split(' + ').toReversed().join('+'))
    .join(',');
  return joined.replaceAll(/[^ -~]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
