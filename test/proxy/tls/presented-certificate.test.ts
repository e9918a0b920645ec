import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { distinguishedName } from '../../../src/proxy/tls/presented-certificate.ts';

describe('a distinguished name', () => {
  it.each([
    ['CN=ada', 'CN=ada'],
    ['C=DE\nO=Shop\nCN=ada', 'CN=ada,O=Shop,C=DE'],
    // As `openssl x509 -nameopt RFC2253` has it: an escaped blank at the end, and a part of two.
    ['C=DE\nO=Ä\\, b\\  + UID=q\nCN=client', 'CN=client,UID=q+O=\\C3\\84\\, b\\ ,C=DE'],
    ['CN=a \\+ b', 'CN=a \\+ b'],
    ['CN=\\0D\\0Assl-client-verify: SUCCESS', 'CN=\\0D\\0Assl-client-verify: SUCCESS'],
    ['CN=\u{1f511}', 'CN=\\F0\\9F\\94\\91'],
    ['', ''],
    [undefined, ''],
  ])('%j becomes %j', (lines, expected) => expect(distinguishedName(lines)).toBe(expected));

  it('is fit for a field, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0x10ffff), { maxLength: 80 }), (points) => {
        expect(distinguishedName(String.fromCodePoint(...points))).toMatch(/^[ -~]*$/);
      }),
    );
  });
});
