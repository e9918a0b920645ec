import { isIP } from 'node:net';
import { parseCidr } from './trusted-proxies.ts';

/** A set of IP addresses. */
export interface AddressRanges {
  /** For an address as `plainAddress` gives it; false for what is no address. Takes time logarithmic in the ranges. */
  includes(address: string): boolean;
  /** Whether every IPv4 address is in it. */
  readonly hasAllIpv4: boolean;
}

/**
 * The addresses in any of these ranges. IPv4-mapped IPv6 ranges (RFC 4291 2.5.5.2) count as the IPv4 ranges in them.
 * Throws a RangeError for a range that `parseCidr` finds bad: check them first.
 */
export function addressRanges(cidrs: readonly string[]): AddressRanges {
  const ipv4: Range<number>[] = [];
  const ipv6: Range<bigint>[] = [];
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr.kind === 'bad') throw new RangeError(cidr.message);
    if (cidr.family === 'ipv4') {
      ipv4.push(ipv4Range(ipv4Number(cidr.address), cidr.prefix));
      continue;
    }
    const address = ipv6Number(cidr.address);
    if (cidr.prefix >= 96 && address >> 32n === MAPPED) {
      ipv4.push(ipv4Range(Number(address & 0xffff_ffffn), cidr.prefix - 96));
    } else {
      const size = 1n << BigInt(128 - cidr.prefix);
      const from = address - (address % size);
      ipv6.push({ from, end: from + size });
    }
  }
  const numbers = merged(ipv4);
  const bigints = merged(ipv6);
  return {
    includes(address) {
      switch (isIP(address)) {
        case 4:
          return contains(numbers, ipv4Number(address));
        case 6:
          return contains(bigints, ipv6Number(address));
        default:
          return false;
      }
    },
    hasAllIpv4: numbers[0]?.from === 0 && numbers[0].end === 2 ** 32,
  };
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

/** From the first address to that after the last one. */
interface Range<N extends number | bigint> {
  readonly from: N;
  readonly end: N;
}

/** `::ffff:0:0/96`, without the address in it. */
const MAPPED = 0xffffn;

function ipv4Range(address: number, prefix: number): Range<number> {
  const size = 2 ** (32 - prefix);
  const from = address - (address % size);
  return { from, end: from + size };
}

/** In order, those that touch as one. */
function merged<N extends number | bigint>(ranges: readonly Range<N>[]): readonly Range<N>[] {
  const merged: Range<N>[] = [];
  for (const range of ranges.toSorted((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = merged.at(-1);
    if (last === undefined || range.from > last.end) merged.push(range);
    else if (range.end > last.end) merged[merged.length - 1] = { from: last.from, end: range.end };
  }
  return merged;
}

/** By binary search, in ranges that are in order and do not touch. */
function contains<N extends number | bigint>(ranges: readonly Range<N>[], address: N): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    if (range === undefined || address < range.from) high = middle;
    else if (address < range.end) return true;
    else low = middle + 1;
  }
  return false;
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

function ipv6Number(address: string): bigint {
  const [before = '', after = ''] = address.split('::');
  const left = groupsOf(before);
  const right = groupsOf(after);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return [...left, ...zeros, ...right].reduce((number, group) => (number << 16n) | BigInt(group), 0n);
}

/** The groups of 16 bits on one side of `::`; an IPv4 address at the end stands for two. */
function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const number = ipv4Number(group);
    return [Math.floor(number / 0x1_0000), number % 0x1_0000];
  });
}
