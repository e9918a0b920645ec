import { type KeyObject, X509Certificate, sign } from 'node:crypto';

/** A revocation list (RFC 5280 5.1) in PEM, of an authority with P-256 whose name is this common name alone. */
export function revocationListOf(commonName: string, key: KeyObject, revoked: readonly string[]): string {
  const algorithm = sequence(objectId('2a8648ce3d040302'));
  const serials = revoked.map((pem) => Buffer.from(new X509Certificate(pem).serialNumber, 'hex'));
  const list = sequence(
    der(0x02, Buffer.from([1])),
    algorithm,
    sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(commonName))))),
    time(-1),
    time(1),
    ...(serials.length > 0
      ? [sequence(...serials.map((serial) => sequence(der(0x02, serial), time(-1))))]
      : []),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', list, key));
  const lines =
    sequence(list, algorithm, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN X509 CRL-----', ...lines, '-----END X509 CRL-----', ''].join('\n');
}

function time(hours: number): Buffer {
  const digits = new Date(Date.now() + hours * 3_600_000).toISOString().replaceAll(/\D/g, '');
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`));
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const objectId = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const head = length < 0x80 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), value]);
}
