import { type KeyObject, createPublicKey, randomBytes, sign } from 'node:crypto';

/** What a certificate says. */
export interface CertificateContent {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DNS names that it is for; none in that of an authority. */
  readonly dnsNames: readonly string[];
  /** It may sign other certificates. */
  readonly isAuthority: boolean;
  /** It is good for servers only; without it, for everything. */
  readonly serverOnly: boolean;
}

/** Parts of a name, the most general one first. */
export type DistinguishedName = readonly (readonly [part: NamePart, value: string])[];
export type NamePart = keyof typeof NAME_PARTS;

const NAME_PARTS = { commonName: '2.5.4.3', organizationName: '2.5.4.10' } as const;
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const SHA256_WITH_RSA = '1.2.840.113549.1.1.11';

/**
 * A certificate of version 3 (RFC 5280 4.1) in PEM for the key pair of `key`, signed with `issuerKey`: RSA, or ECDSA with
 * P-256. Its serial number is random.
 */
export function signCertificate(content: CertificateContent, key: KeyObject, issuerKey: KeyObject): string {
  const algorithm =
    issuerKey.asymmetricKeyType === 'rsa'
      ? sequence(objectId(SHA256_WITH_RSA), der(TAG.null))
      : sequence(objectId(ECDSA_WITH_SHA256));
  const signed = sequence(
    der(context(0), integer(2)),
    // 4.1.2.2: positive, and hard to guess.
    der(TAG.integer, Buffer.from([1]), randomBytes(15)),
    algorithm,
    name(content.issuer),
    sequence(time(content.notBefore), time(content.notAfter)),
    name(content.subject),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(context(3), sequence(...extensions(content))),
  );
  const certificate = sequence(signed, algorithm, bits(0, sign('sha256', signed, issuerKey)));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** RFC 5280 4.2.1. */
function extensions({ isAuthority, dnsNames, serverOnly }: CertificateContent): Buffer[] {
  const basicConstraints = isAuthority ? sequence(der(TAG.boolean, Buffer.from([0xff]))) : sequence();
  // digitalSignature; of an authority keyCertSign and cRLSign too.
  const keyUsage = isAuthority ? bits(1, Buffer.from([0x86])) : bits(7, Buffer.from([0x80]));
  const names = dnsNames.map((dnsName) => der(0x82, Buffer.from(dnsName, 'latin1')));
  return [
    extension('2.5.29.19', basicConstraints),
    extension('2.5.29.15', keyUsage),
    ...(names.length > 0 ? [extension('2.5.29.17', sequence(...names))] : []),
    ...(serverOnly ? [extension('2.5.29.37', sequence(objectId('1.3.6.1.5.5.7.3.1')))] : []),
  ];
}

const extension = (id: string, value: Buffer): Buffer => sequence(objectId(id), der(TAG.octets, value));

const name = (parts: DistinguishedName): Buffer =>
  sequence(
    ...parts.map(([part, value]) =>
      der(TAG.set, sequence(objectId(NAME_PARTS[part]), der(TAG.utf8, Buffer.from(value)))),
    ),
  );

/** RFC 5280 4.1.2.5: with two digits of the year until 2049. */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replaceAll(/\D/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? der(TAG.utcTime, Buffer.from(digits.slice(2)))
    : der(TAG.generalizedTime, Buffer.from(digits));
}

// The rest is DER (X.690).

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  null: 0x05,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
const context = (number: number): number => 0xa0 | number;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const length = value.length;
  // As short as it can be (X.690 10.1): Go takes no other certificate.
  const long = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  const head = length < 0x80 ? [tag, length] : [tag, ...long];
  return Buffer.concat([Buffer.from(head), value]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(TAG.sequence, ...parts);
const integer = (value: number): Buffer => der(TAG.integer, Buffer.from([value]));
const bits = (unused: number, value: Uint8Array): Buffer => der(TAG.bits, Buffer.from([unused]), value);

function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const octets = [40 * first + second, ...others].flatMap((number) => {
    const groups = [number & 0x7f];
    for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128)) {
      groups.unshift(0x80 | (rest & 0x7f));
    }
    return groups;
  });
  return der(TAG.objectId, Buffer.from(octets));
}
