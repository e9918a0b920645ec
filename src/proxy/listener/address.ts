import { isIP } from 'node:net';

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
  if (/^::ffff:[\d.]+$/i.test(address)) address = address.slice(7);
  return isIP(address) ? address : '';
}
