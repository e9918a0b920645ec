import { BlockList, isIPv6 } from 'node:net';
import { expect, test } from 'vitest';
import { addressRanges, hasAllIpv4, rangeList } from '../../src/http/address-ranges.ts';
import { plainAddress } from '../../src/http/address.ts';
import { seededRandom } from '../support/random.ts';

test.each([
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0', '::a00:1', '', 'office']],
  ['10.1.2.3/8', ['10.200.0.1'], ['11.0.0.1']],
  ['192.0.2.1', ['192.0.2.1'], ['192.0.2.0', '192.0.2.2']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['::', '::1']],
  ['::/0', ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '1::2'], ['10.0.0.1']],
  [
    '2001:db8::/32',
    ['2001:db8::', '2001:DB8:ffff::1', '2001:db8:1:2:3:4:5:6'],
    ['2001:db9::', '2001:db7:ffff::'],
  ],
  ['2001:db8::1:0:0:1', ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], ['2001:db8::1:0:0:2']],
  // RFC 4291 2.5.5.2: what is mapped is an IPv4 address.
  ['::ffff:10.0.0.0/104', ['10.9.8.7'], ['11.0.0.1', '::ffff:0:1']],
  ['64:ff9b::10.0.0.0/104', ['64:ff9b::a01:203'], ['10.1.2.3']],
])('%s', (range, inside, outside) => {
  const { includes } = addressRanges(rangeList([range]));
  expect(inside.filter((address) => !includes(address))).toEqual([]);
  expect(outside.filter((address) => includes(address))).toEqual([]);
});

test('all of IPv4 is told, however it is put together', () => {
  expect(hasAllIpv4(rangeList(['0.0.0.0/0']))).toBe(true);
  expect(hasAllIpv4(rangeList(['128.0.0.0/1', '::1', '0.0.0.0/2', '64.0.0.0/2', '9.9.9.9']))).toBe(true);
  expect(hasAllIpv4(rangeList(['::ffff:0.0.0.0/96']))).toBe(true);
  expect(hasAllIpv4(rangeList(['128.0.0.0/1', '0.0.0.0/2', '::/0']))).toBe(false);
  expect(hasAllIpv4(rangeList([]))).toBe(false);
});

test('finds the same as a list of rules that is scanned', () => {
  const random = seededRandom(17);
  const upTo = (end: number): number => Math.floor(random() * end);
  // Close together, so that ranges touch, overlap and hold one another.
  const ipv4 = (): string => `10.0.${upTo(4)}.${upTo(256)}`;
  const ipv6 = (): string => `2001:db8:${upTo(3).toString(16)}::${upTo(1024).toString(16)}`;
  for (let round = 0; round < 60; round++) {
    const cidrs = Array.from({ length: upTo(24) }, () =>
      random() < 0.5 ? `${ipv4()}/${20 + upTo(13)}` : `${ipv6()}/${110 + upTo(19)}`,
    );
    const scanned = new BlockList();
    for (const cidr of cidrs) {
      const [address = '', prefix] = cidr.split('/');
      scanned.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4');
    }
    const { includes } = addressRanges(rangeList(cidrs));
    for (let i = 0; i < 60; i++) {
      const address = plainAddress(random() < 0.5 ? ipv4() : ipv6());
      const expected = scanned.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
      expect(includes(address), `${address} in ${cidrs.join(',')}`).toBe(expected);
    }
  }
});
