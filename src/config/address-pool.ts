import type { PortRange } from '../routing/gateway/service-ports.ts';
import { parseCidr } from '../http/trusted-proxies.ts';
import type { Parse } from './flag-values.ts';

const MOST_ADDRESSES = 1_024;

/** In place of addresses: each Gateway has a Service. */
export const SERVICE = 'service';

/** One IP address, or the IPv4 addresses of a range: `10.0.0.8/29` stands for eight; or `service`. */
export const addressPool: Parse<readonly string[]> = (given) => {
  if (given === SERVICE) return { value: [SERVICE] };
  const cidr = parseCidr(given);
  if (cidr.kind === 'bad') return { error: `${cidr.message}, or write service` };
  const { address, prefix, family } = cidr;
  if (family === 'ipv6') {
    return prefix === 128
      ? { value: [address] }
      : { error: `"${given}" is a range of IPv6 addresses: give them one by one` };
  }
  const size = 2 ** (32 - prefix);
  if (size > MOST_ADDRESSES) return { error: `"${given}" has more than ${MOST_ADDRESSES} addresses` };
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = number - (number % size);
  return {
    value: Array.from({ length: size }, (_, index) => {
      const each = first + index;
      return [24, 16, 8, 0].map((bits) => Math.floor(each / 2 ** bits) % 256).join('.');
    }),
  };
};

/** `20000-22047` */
export const portRange: Parse<PortRange> = (given) => {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(given)?.map(Number) ?? [];
  if (first === undefined || last === undefined || first < 1 || last > 65_535 || first > last)
    return { error: `"${given}" is not a range of ports: write the first and the last, as in 20000-22047` };
  return { value: { first, last } };
};
