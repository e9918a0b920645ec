import { isIP } from 'node:net';
import { parseCidr } from './trusted-proxies.ts';

/** A set of IP addresses as plain data, for a config of a policy: it is made with the table, and never for a request. */
export interface RangeList {
  /** Beginnings and ends by turns, in order; both belong to their range, and no range touches another. */
  readonly ipv4: readonly number[];
  /** The same, each address as its 32 hexadecimal digits; ranges do not overlap. */
  readonly ipv6: readonly string[];
}

/** A set of IP addresses. */
export interface AddressRanges {
  /** For an address as `plainAddress` gives it; false for what is no address. Takes time logarithmic in the ranges. */
  includes(address: string): boolean;
}

/**
 * The addresses in any of these ranges. IPv4-mapped IPv6 ranges (RFC 4291 2.5.5.2) count as the IPv4 ranges in them.
 * Throws a RangeError for a range that `parseCidr` finds bad: check them first.
 */
export function rangeList(cidrs: readonly string[]): RangeList {
  const ipv4: Range<number>[] = [];
  const ipv6: Range<string>[] = [];
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr.kind === 'bad') throw new RangeError(cidr.message);
    if (cidr.family === 'ipv4') {
      ipv4.push(ipv4Range(ipv4Number(cidr.address), cidr.prefix));
      continue;
    }
    const digits = ipv6Digits(cidr.address);
    if (cidr.prefix >= 96 && digits.startsWith(MAPPED)) {
      ipv4.push(ipv4Range(Number.parseInt(digits.slice(MAPPED.length), 16), cidr.prefix - 96));
    } else ipv6.push(ipv6Range(digits, cidr.prefix));
  }
  return {
    ipv4: merged(ipv4, (last, first) => first <= last + 1),
    ipv6: merged(ipv6, (last, first) => first <= last),
  };
}

/** Finds addresses in a list. */
export function addressRanges({ ipv4, ipv6 }: RangeList): AddressRanges {
  return {
    includes(address) {
      switch (isIP(address)) {
        case 4:
          return contains(ipv4, ipv4Number(address));
        case 6:
          return contains(ipv6, ipv6Digits(address));
        default:
          return false;
      }
    },
  };
}

/** Whether every IPv4 address is in it. */
export function hasAllIpv4({ ipv4 }: RangeList): boolean {
  return ipv4[0] === 0 && ipv4[1] === 2 ** 32 - 1;
}

/** What a client is told apart by: its IPv4 address, or the /64 network of its IPv6 address, of which one client has all. */
export function subnetOf(address: string): string {
  if (!address.includes(':')) return address;
  const [before = '', after = ''] = address.split('::');
  const left = before === '' ? [] : before.split(':');
  const right = after === '' ? [] : after.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  const network = [...left, ...zeros, ...right].slice(0, 4);
  return network.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
}

interface Range<A extends number | string> {
  readonly first: A;
  readonly last: A;
}

/** `::ffff:0:0/96`, without the address in it. */
const MAPPED = `${'0'.repeat(20)}ffff`;

function ipv4Range(address: number, prefix: number): Range<number> {
  const size = 2 ** (32 - prefix);
  const first = address - (address % size);
  return { first, last: first + size - 1 };
}

function ipv6Range(digits: string, prefix: number): Range<string> {
  if (prefix === 128) return { first: digits, last: digits };
  const whole = digits.slice(0, prefix >> 2);
  const rest = 0xf >> (prefix & 3);
  const digit = Number.parseInt(digits.charAt(prefix >> 2), 16);
  const end = (from: number, filler: string): string => `${whole}${from.toString(16)}`.padEnd(32, filler);
  return { first: end(digit & ~rest, '0'), last: end(digit | rest, 'f') };
}

/** In order, those that `meet` as one. */
function merged<A extends number | string>(
  ranges: readonly Range<A>[],
  meet: (last: A, first: A) => boolean,
): readonly A[] {
  const ends: A[] = [];
  for (const { first, last } of ranges.toSorted((a, b) =>
    a.first < b.first ? -1 : a.first > b.first ? 1 : 0,
  )) {
    const before = ends.at(-1);
    if (before === undefined || !meet(before, first)) ends.push(first, last);
    else if (last > before) ends[ends.length - 1] = last;
  }
  return ends;
}

/** By binary search for the first range that does not end before the address. */
function contains<A extends number | string>(ends: readonly A[], address: A): boolean {
  let low = 0;
  let high = ends.length >>> 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const last = ends[2 * middle + 1];
    if (last !== undefined && last < address) low = middle + 1;
    else high = middle;
  }
  const first = ends[2 * low];
  return first !== undefined && first <= address;
}

function ipv4Number(address: string): number {
  let number = 0;
  let byte = 0;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === 0x2e) {
      number = number * 256 + byte;
      byte = 0;
    } else byte = byte * 10 + code - 0x30;
  }
  return number * 256 + byte;
}

/** All 32 hexadecimal digits of an address, in lower case. */
function ipv6Digits(address: string): string {
  const [before = '', after = ''] = address.split('::');
  const left = groupDigits(before);
  const right = groupDigits(after);
  return `${left}${'0'.repeat(32 - left.length - right.length)}${right}`;
}

/** Those of the groups of 16 bits on one side of `::`; an IPv4 address at the end stands for two. */
function groupDigits(text: string): string {
  if (text === '') return '';
  let digits = '';
  for (const group of text.split(':')) {
    digits += group.includes('.')
      ? ipv4Number(group).toString(16).padStart(8, '0')
      : group.toLowerCase().padStart(4, '0');
  }
  return digits;
}
