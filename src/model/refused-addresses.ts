import { BlockList, isIP } from 'node:net';

type Network = readonly [network: string, prefix: number, ...unknown[]];

/**
 * The one list of addresses that no request is sent to, whether an EndpointSlice holds them, an `externalName` is one of
 * them, or DNS answers them: they are the node itself, reach more than one host, or hand out credentials.
 */
const REFUSED: readonly (readonly [network: string, prefix: number, is: string])[] = [
  ['0.0.0.0', 8, 'an unspecified address'],
  ['169.254.0.0', 16, 'a link-local address'],
  // Of the IETF (RFC 6890); 192.0.0.192 is the metadata service of Oracle Cloud.
  ['192.0.0.0', 24, 'a metadata address'],
  ['100.100.100.200', 32, 'a metadata address'], // Alibaba Cloud
  ['168.63.129.16', 32, 'a metadata address'], // Azure
  ['224.0.0.0', 4, 'a multicast address'],
  ['255.255.255.255', 32, 'the broadcast address'],
  ['::', 128, 'an unspecified address'],
  ['fe80::', 10, 'a link-local address'],
  ['fec0::', 10, 'a site-local address'],
  ['ff00::', 8, 'a multicast address'],
  ['fd00:ec2::', 32, 'a metadata address'], // AWS
  ['fd20:ce::', 32, 'a metadata address'], // Google Cloud
  ['fd00:c1::', 32, 'a metadata address'], // Oracle Cloud
  ['fd00:42::', 32, 'a metadata address'], // Scaleway
  // IPv4 in another form, which routers on the way turn back. Nobody needs these; NAT64 is judged by what it holds.
  ['::', 96, 'an IPv4-compatible address'],
  ['::ffff:0:0:0', 96, 'an IPv4-translated address'],
  ['64:ff9b:1::', 48, 'a local NAT64 address'],
  ['2002::', 16, 'a 6to4 address'],
  ['2001::', 32, 'a Teredo address'],
];

const LOOPBACK_NETWORKS: readonly Network[] = [
  ['127.0.0.0', 8],
  ['::1', 128],
];
const LOOPBACK = listOf(LOOPBACK_NETWORKS);

const lists = REFUSED.map(([network, prefix, is]) => ({ list: listOf([[network, prefix]]), is }));

/** Loopback and all of them in one list: nearly every endpoint is in none, which one look then tells. */
const SPECIAL = listOf([...LOOPBACK_NETWORKS, ...REFUSED]);

/** The first numbers of IPv4 addresses that may be in it: nearly every endpoint has another one, which costs no look. */
const SPECIAL_STARTS = new Set(
  [...LOOPBACK_NETWORKS, ...REFUSED].flatMap(([network, prefix]) =>
    typeOf(network) === 'ipv4' ? startsOf(network, prefix) : [],
  ),
);

/** Addresses that hold an IPv4 address in their last four bytes, which they are judged by: IPv4-mapped ones and NAT64. */
const HOLDS_IPV4 = listOf([
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
]);

/**
 * Why no request may be sent to an IP address, or null. Endpoints and names are written by tenants: an address of the
 * node or of a metadata service would let them in where they have no rights. To be asked again for what DNS answers.
 */
export function refusedAddress(address: string, allowLoopback: boolean): string | null {
  if (isIP(address) === 0) return 'is not an IP address';
  if (address.includes('%')) return 'has a zone, which only this node could resolve';
  const judged = judgedForm(address);
  const type = typeOf(judged);
  if (type === 'ipv4' && !SPECIAL_STARTS.has(judged.slice(0, judged.indexOf('.')))) return null;
  if (!SPECIAL.check(judged, type)) return null;
  if (LOOPBACK.check(judged, type)) return allowLoopback ? null : 'is a loopback address';
  const refused = lists.find(({ list }) => list.check(judged, type));
  return refused ? `is ${refused.is}` : null;
}

/** Whether an IP address is the loopback, in any of its forms. */
export function isLoopbackAddress(address: string): boolean {
  const judged = judgedForm(address);
  return LOOPBACK.check(judged, typeOf(judged));
}

function judgedForm(address: string): string {
  return isIP(address) === 6 && HOLDS_IPV4.check(address, 'ipv6') ? lastFourBytes(address) : address;
}

function listOf(networks: readonly Network[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, typeOf(network));
  return list;
}

/** The first of the four numbers of the addresses of a network. */
function startsOf(network: string, prefix: number): readonly string[] {
  const first = Number.parseInt(network, 10);
  return Array.from({ length: 2 ** Math.max(0, 8 - prefix) }, (_, i) => String(first + i));
}

function typeOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** As an IPv4 address. */
function lastFourBytes(address: string): string {
  // `new URL` writes an IPv6 address in the one form of RFC 5952, without dots.
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split(':');
  const [high = 0, low = 0] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16));
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'instance-data',
  'instance-data.ec2.internal',
]);
const LOOPBACK_NAMES = new Set(['localhost', 'ip6-localhost', 'ip6-loopback', 'localhost.localdomain']);

/** What decides whether an ExternalName may be resolved. */
export interface NameRules {
  readonly allowLoopback: boolean;
  /** Names of Services in other namespaces are ordinary names. */
  readonly allowCrossNamespaceExternalNames?: boolean;
}

/**
 * Why an ExternalName of a Service in `namespace` may not be resolved, or null. `name` is lower case, without a trailing
 * dot. Names are resolved as they are: no search domain completes them.
 */
export function refusedName(name: string, namespace: string, rules: NameRules): string | null {
  if (isIP(name) !== 0) return refusedAddress(name, rules.allowLoopback);
  if (METADATA_NAMES.has(name)) return 'names a metadata service';
  if (!rules.allowLoopback && (LOOPBACK_NAMES.has(name) || name.endsWith('.localhost')))
    return 'names the loopback interface';
  // `127.1` and `0x7f000001` are addresses to the resolver of the C library.
  if (/(^|\.)(\d+|0x[0-9a-f]*)$/.test(name))
    return 'is neither a DNS name nor an IP address in its usual form';
  const other = namespaceIn(name);
  if (other !== null && other !== namespace && !rules.allowCrossNamespaceExternalNames) {
    return `names a Service or Pod of namespace ${other}, which needs --allow-cross-namespace-external-names`;
  }
  // On one machine, as with containers, such names are in use.
  if (!name.includes('.') && !rules.allowLoopback)
    return 'is not a full name: only a search domain could complete it';
  return null;
}

/**
 * The namespace of a Service or Pod in the DNS of a cluster (`web.shop.svc.cluster.local`, also of one Pod of it, and
 * `10-0-0-1.shop.pod.cluster.local`), whatever the domain of the cluster is; null for all other names.
 */
function namespaceIn(name: string): string | null {
  const labels = name.split('.');
  const service = labels.lastIndexOf('svc');
  if (service >= 1) return labels[service - 1] ?? null;
  const pod = labels.lastIndexOf('pod');
  return pod >= 2 && /^[0-9a-f]+(-[0-9a-f]*)+$/.test(labels[pod - 2] ?? '')
    ? (labels[pod - 1] ?? null)
    : null;
}
