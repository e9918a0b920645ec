import { BlockList, isIP, isIPv6 } from 'node:net';
import { plainAddress } from './address.ts';

/** Whether the X-Forwarded-* fields of a peer are trusted. */
export interface TrustedProxies {
  includes(address: string): boolean;
}

export type ParsedCidr =
  | {
      readonly kind: 'ok';
      readonly address: string;
      readonly prefix: number;
      readonly family: 'ipv4' | 'ipv6';
    }
  | { readonly kind: 'bad'; readonly message: string };

/** Reads `10.0.0.0/8`, `fd00::/8` or a single address. The message of a bad one says what would do. */
export function parseCidr(text: string): ParsedCidr {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  if (isIP(address) === 0 || address.includes('%')) {
    return {
      kind: 'bad',
      message: `"${text}" is not an address range: write it like 10.0.0.0/8 or fd00::/8`,
    };
  }
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  const widest = family === 'ipv6' ? 128 : 32;
  const digits = slash < 0 ? String(widest) : text.slice(slash + 1);
  const prefix = Number(digits);
  if (!/^\d{1,3}$/.test(digits) || prefix > widest) {
    return { kind: 'bad', message: `"${text}" has a bad prefix length: it is a number from 0 to ${widest}` };
  }
  return { kind: 'ok', address, prefix, family };
}

/** The peers inside these ranges. Throws a RangeError for a range that `parseCidr` finds bad: check them first. */
export function trustedProxies(cidrs: readonly string[]): TrustedProxies {
  if (cidrs.length === 0) return { includes: () => false };
  const list = new BlockList();
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr.kind === 'bad') throw new RangeError(cidr.message);
    list.addSubnet(cidr.address, cidr.prefix, cidr.family);
  }
  return {
    includes(address) {
      // An IPv4 peer of a listener on `::` shows up as ::ffff:10.0.0.1.
      const plain = plainAddress(address);
      return plain !== '' && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
    },
  };
}
