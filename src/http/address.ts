import { SocketAddress, isIP } from 'node:net';

/**
 * An address as it is written everywhere: IPv4-mapped IPv6 as IPv4, no zone, no port, no brackets.
 * Empty when it is none.
 */
export function plainAddress(text: string | undefined): string {
  if (text === undefined) return '';
  let address = text.trim();
  if (address.startsWith('[')) address = address.slice(1, Math.max(address.indexOf(']'), 1));
  else if (address.includes('.') && /^[\d.]+:\d+$/.test(address))
    address = address.slice(0, address.indexOf(':'));
  const zone = address.indexOf('%');
  if (zone > 0) address = address.slice(0, zone);
  if (!isIP(address)) return '';
  return address.includes(':') ? (mappedAddress(address) ?? address) : address;
}

/** The IPv4 address in an IPv4-mapped one (RFC 4291 2.5.5.2), however it is spelled: `0:0:0:0:0:ffff:c000:201`. */
function mappedAddress(address: string): string | null {
  if (!/ffff:/i.test(address)) return null;
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  return /^::ffff:([\d.]+)$/.exec(canonical)?.[1] ?? null;
}
