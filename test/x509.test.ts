import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { signCertificate } from '../src/controller/x509.ts';

const content = {
  subject: [
    ['organizationName', 'Bücher'],
    ['commonName', 'app.test'],
  ],
  issuer: [['commonName', 'authority']],
  notBefore: new Date('2049-12-31T23:59:59Z'),
  notAfter: new Date('2050-01-01T00:00:00Z'),
  dnsNames: ['app.test', '*.example.com'],
  isAuthority: false,
  serverOnly: true,
} as const;
const ecdsa = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

it.each([
  ['ECDSA', ecdsa, rsa],
  ['RSA', rsa, ecdsa],
])('a certificate signed with %s is read as it was written', (_, issuer, own) => {
  const certificate = new X509Certificate(signCertificate(content, own.privateKey, issuer.privateKey));
  expect(certificate).toMatchObject({
    subject: 'O=Bücher\nCN=app.test',
    issuer: 'CN=authority',
    subjectAltName: 'DNS:app.test, DNS:*.example.com',
    validFromDate: content.notBefore,
    validToDate: content.notAfter,
    keyUsage: ['1.3.6.1.5.5.7.3.1'],
    ca: false,
  });
  expect(certificate.publicKey.equals(own.publicKey)).toBe(true);
  expect(certificate.verify(issuer.publicKey)).toBe(true);
});

it('the certificate of an authority says so', () => {
  const authority = { ...content, dnsNames: [], isAuthority: true, serverOnly: false };
  const pem = signCertificate(authority, ecdsa.privateKey, ecdsa.privateKey);
  expect(new X509Certificate(pem)).toMatchObject({ ca: true, subjectAltName: undefined });
});

it('every length is as short as it can be', () => {
  for (let letters = 1; letters <= 63; letters++) {
    const names = ['a'.repeat(letters), 'b'.repeat(letters), 'c'.repeat(letters)];
    const pem = signCertificate({ ...content, dnsNames: names }, ecdsa.privateKey, ecdsa.privateKey);
    const der = new X509Certificate(pem).raw;
    expect(longLengths(der).filter((length) => length < 0x100)).toEqual([]);
  }
});

/** Those that are written in two bytes, of the constructed values of some DER. */
function longLengths(der: Buffer): readonly number[] {
  const found: number[] = [];
  for (let at = 0; at + 1 < der.length;) {
    const [tag = 0, first = 0] = der.subarray(at);
    const size = first < 0x80 ? 0 : first & 0x7f;
    const length = size === 0 ? first : der.readUIntBE(at + 2, size);
    if (size === 2) found.push(length);
    const content = at + 2 + size;
    const isConstructed = (tag & 0x20) !== 0;
    if (isConstructed) found.push(...longLengths(der.subarray(content, content + length)));
    at = content + length;
  }
  return found;
}
