import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CIPHERS, CertificateStore } from '../../../src/proxy/tls/certificate-store.ts';
import { mapOf } from '../../../src/model/sharded-map.ts';
import { createDefaultCertificate } from '../../../src/controller/default-certificate.ts';
import type { CertificateReference } from '../../../src/routing/table.ts';
import { tableOf } from '../../support/proxy.ts';
import { authority } from '../../support/tls-proxy.ts';

const selfSigned = createDefaultCertificate(Date.now());
const [one, two] = [authority().issue(['one.test']), authority().issue(['two.test'])];

function certificates(ciphers = DEFAULT_CIPHERS): CertificateStore {
  const made = new CertificateStore({ minVersion: '1.2', ciphers, selfSigned });
  const reference = (host: string): [string, CertificateReference] => [
    host,
    { host, secret: `shop/${host}`, ingress: 'shop/web', namespace: 'default' },
  ];
  const hosts = tableOf(['one.test', 'two.test'].map((host) => ({ host, ports: [] })));
  made.change([
    ['shop/one.test', one],
    ['shop/two.test', two],
  ]);
  made.adopt({ ...hosts, certificates: mapOf([reference('one.test'), reference('two.test')]) });
  return made;
}

describe('the certificates of a thread', () => {
  it('are set up once each, however many handshakes there are', () => {
    const made = certificates();
    const [first, second, standard] = [made.named('one.test'), made.named('two.test'), made.standard()];
    expect(first).toBeDefined();
    expect(made.named('one.test')).toBe(first);
    expect(made.named('ONE.test.')).toBe(first);
    expect(made.standard()).toBe(standard);

    made.change([['shop/one.test', two]]);
    expect(made.named('one.test')).not.toBe(first);
    expect(made.named('two.test')).toBe(second);
    expect(made.standard()).toBe(standard);

    made.rotate(randomBytes(48));
    expect(made.standard()).not.toBe(standard);
    expect(made.named('two.test')).toBe(second);

    made.change([['shop/two.test', null]]);
    expect(made.named('two.test')).toBeUndefined();
  });

  it('are shown by other servers too, with the ticket key that is in use', () => {
    const made = certificates();
    const [key, next] = [randomBytes(48), randomBytes(48)];
    made.rotate(key);
    const first = made.shown('one.test');
    expect(first).toMatchObject({ cert: one.certificate, ticketKeys: key });
    expect(made.shown('ONE.test.')).toBe(first);
    expect(made.shown(null)).toMatchObject({ cert: selfSigned.certificate, ticketKeys: key });
    expect(made.shown('other.test')).toBe(made.shown(null));
    made.rotate(next);
    expect(made.shown('one.test')).toMatchObject({ cert: one.certificate, ticketKeys: next });
    made.change([['shop/one.test', two]]);
    expect(made.shown('one.test')).toMatchObject({ cert: two.certificate, ticketKeys: next });
    expect(certificates('DEFAULT@SECLEVEL=5').shown('one.test')).toBeNull();
  });

  it('are left out where OpenSSL takes them for too weak, without ending the thread', () => {
    const strict = certificates('DEFAULT@SECLEVEL=5');
    expect(strict.named('one.test')).toBeUndefined();
    expect(strict.standard()).toBeNull();
  });

  it.each(['', '.', '*', '*.', '\0', 'a'.repeat(70_000), '..', '__proto__'])('have none for %j', (name) => {
    expect(certificates().named(name)).toBeUndefined();
  });
});
