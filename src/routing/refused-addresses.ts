import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Addresses that are the node itself, reach more than one host, or hand out credentials. */
const SPECIAL = new BlockList();
SPECIAL.addSubnet('0.0.0.0', 8, 'ipv4');
SPECIAL.addSubnet('169.254.0.0', 16, 'ipv4');
SPECIAL.addSubnet('224.0.0.0', 4, 'ipv4');
SPECIAL.addAddress('255.255.255.255', 'ipv4');
SPECIAL.addAddress('::', 'ipv6');
SPECIAL.addSubnet('fe80::', 10, 'ipv6');
SPECIAL.addSubnet('ff00::', 8, 'ipv6');
// Metadata and platform services of Alibaba, Azure and AWS that are not link-local.
SPECIAL.addAddress('100.100.100.200', 'ipv4');
SPECIAL.addAddress('168.63.129.16', 'ipv4');
SPECIAL.addAddress('fd00:ec2::254', 'ipv6');

/**
 * Why no request may be sent to an IP address, or null. Endpoints and names are written by tenants: an address of
 * the node or of a metadata service would let them in where they have no rights. IPv4-mapped IPv6 addresses are
 * judged by the IPv4 address they hold. Ask again for what DNS answers for an ExternalName.
 */
export function refusedAddress(address: string, allowLoopback: boolean): string | null {
  const family = isIP(address);
  if (family === 0) return 'is not an IP address';
  if (address.includes('%')) return 'has a zone, which only this node could resolve';
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (SPECIAL.check(address, type)) return 'is an unspecified, link-local, multicast or metadata address';
  if (!allowLoopback && LOOPBACK.check(address, type)) return 'is a loopback address';
  return null;
}

const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'instance-data',
  'instance-data.ec2.internal',
]);
const LOOPBACK_NAMES = new Set(['localhost', 'ip6-localhost', 'ip6-loopback', 'localhost.localdomain']);

/** Why an ExternalName may not be resolved, or null. `name` is lower case, without a trailing dot. */
export function refusedName(name: string, allowLoopback: boolean): string | null {
  if (isIP(name) !== 0) return refusedAddress(name, allowLoopback);
  if (METADATA_NAMES.has(name)) return 'names a metadata service';
  if (!allowLoopback && (LOOPBACK_NAMES.has(name) || name.endsWith('.localhost')))
    return 'names the loopback';
  // `127.1` and `0x7f000001` are addresses to the resolver of the C library.
  if (/(^|\.)(\d+|0x[0-9a-f]*)$/.test(name))
    return 'is neither a DNS name nor an IP address in its usual form';
  return null;
}
