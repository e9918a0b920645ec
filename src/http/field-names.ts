import { TRACE_FIELDS } from './trace-context.ts';

/** What a proxy does with a field, by its name. Every name that is not listed below is `other` and relayed unread. */
export const FieldKind = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  upgrade: 6,
  expect: 7,
  te: 8,
  accept: 9,
  /** Says how the request came here: replaced by the proxy's own fields. */
  forwarding: 10,
  /** Says who the client is: relayed from a trusted peer only. */
  clientAddress: 11,
  requestId: 12,
  /** Never relayed to an upstream: `Proxy`, and names that an underscore makes look like one of the listed names. */
  withheld: 13,
  /** Never relayed, and not read either. */
  dropped: 14,
  /** Describes a client certificate: relayed from a trusted peer only, and only if the client itself was not asked for one. */
  clientCertificate: 15,
  date: 16,
  /** Any other name with an underscore: relayed to an upstream only if `--underscores-in-headers` is set. */
  underscored: 17,
  contentType: 18,
  /** What ingress-nginx tells Pods: relayed from a trusted peer only, and replaced where Portico tells it too. */
  ingressNginx: 19,
  /** W3C `traceparent` and `tracestate`: relayed, unless the request is traced here. */
  traceContext: 20,
  /** The same of b3 in one field, and in several. */
  b3: 21,
  b3multi: 22,
  /** CDN-Loop: relayed with the name of the proxy added. */
  loop: 23,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

/** Fields by which proxies, CDNs and load balancers tell a server the address of its client. */
export const CLIENT_ADDRESS_FIELDS: readonly string[] = [
  'x-forwarded-*',
  'x-forwarded',
  'forwarded-for',
  'client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'proxy-client-ip',
  'wl-proxy-client-ip',
  'x-originating-ip',
  'x-remote-addr',
  'x-remote-ip',
  'x-proxyuser-ip',
  'x-envoy-external-address',
  'cf-connecting-ip*',
  'cf-pseudo-ipv4',
  'cloudfront-viewer-address',
  'fastly-client-ip',
  'fly-client-ip',
  'do-connecting-ip',
  'incap-client-ip',
  'x-appengine-user-ip',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-nf-client-connection-ip',
  'x-sucuri-clientip',
  'x-vercel-forwarded-for',
];

/** Fields by which ingress-nginx tells a server the same, and the scheme. */
export const INGRESS_NGINX_FIELDS: readonly string[] = [
  'x-scheme',
  'x-forwarded-scheme',
  'x-original-forwarded-for',
  'x-original-forwarded-host',
];

/** The same for its certificate. */
export const CLIENT_CERTIFICATE_FIELDS: readonly string[] = [
  'ssl-client-*',
  'x-ssl-*',
  'client-cert',
  'client-cert-chain',
  'x-client-cert*',
  'x-client-verify',
  'x-client-dn',
  'x-client-cn',
  'x-client-san',
  'x-tls-client-*',
  'x-mtls-*',
  'x-amzn-mtls-*',
  'x-arr-clientcert',
  'x-forwarded-client-cert*',
  'x-forwarded-tls-client-cert*',
  'cf-client-cert-*',
];

/** Lower-case names; a `*` at the end stands for any rest. The longest entry that fits a name decides. */
const NAMES: Readonly<Record<string, FieldKind>> = {
  host: FieldKind.host,
  'content-length': FieldKind.contentLength,
  'transfer-encoding': FieldKind.transferEncoding,
  connection: FieldKind.connection,
  'keep-alive': FieldKind.keepAlive,
  upgrade: FieldKind.upgrade,
  expect: FieldKind.expect,
  te: FieldKind.te,
  accept: FieldKind.accept,
  date: FieldKind.date,
  'content-type': FieldKind.contentType,
  'proxy-connection': FieldKind.dropped,
  'proxy-authenticate': FieldKind.dropped,
  'proxy-authorization': FieldKind.dropped,
  'http2-settings': FieldKind.dropped,
  // CGI programs read it as the environment variable HTTP_PROXY (httpoxy).
  proxy: FieldKind.withheld,
  'x-request-id': FieldKind.requestId,
  'cdn-loop': FieldKind.loop,
  ...all(FieldKind.traceContext, TRACE_FIELDS.tracecontext),
  ...all(FieldKind.b3, TRACE_FIELDS.b3),
  ...all(FieldKind.b3multi, TRACE_FIELDS.b3multi),
  ...all(FieldKind.forwarding, [
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-port',
    'x-forwarded-proto',
    'x-real-ip',
    'forwarded',
  ]),
  ...all(FieldKind.clientAddress, CLIENT_ADDRESS_FIELDS),
  ...all(FieldKind.ingressNginx, INGRESS_NGINX_FIELDS),
  ...all(FieldKind.clientCertificate, CLIENT_CERTIFICATE_FIELDS),
};

function all(kind: FieldKind, names: readonly string[]): Record<string, FieldKind> {
  return Object.fromEntries(names.map((name) => [name, kind]));
}

/** a–z, 0–9 and `-`; 0 for every other byte, which no listed name has. `_` reads as `-`, as CGI programs do. */
const SYMBOLS = new Uint8Array(256);
for (let i = 0; i < 26; i++) SYMBOLS[0x61 + i] = SYMBOLS[0x41 + i] = 1 + i;
for (let i = 0; i < 10; i++) SYMBOLS[0x30 + i] = 27 + i;
SYMBOLS[0x2d] = SYMBOLS[0x5f] = 37;
const WIDTH = 38;

/** The names as a tree of letters: `next[node * WIDTH + symbol]` is a node, 0 where there is none; 1 is the root. */
interface NameTree {
  readonly next: Uint16Array;
  /** What the name is that ends at a node. */
  readonly exact: Uint8Array;
  /** What every name is that goes on from a node to where there is none. */
  readonly family: Uint8Array;
}

const ROOT = 1;

function treeOf(names: Readonly<Record<string, FieldKind>>): NameTree {
  const size = 2 + Object.keys(names).reduce((sum, name) => sum + name.length, 0);
  const next = new Uint16Array(size * WIDTH);
  const exact = new Uint8Array(size);
  const family = new Uint8Array(size);
  let nodes = ROOT;
  for (const [name, kind] of Object.entries(names)) {
    const isFamily = name.endsWith('*');
    let node = ROOT;
    for (const letter of isFamily ? name.slice(0, -1) : name) {
      const edge = node * WIDTH + (SYMBOLS[letter.charCodeAt(0)] ?? 0);
      node = next[edge] ||= ++nodes;
    }
    if (isFamily) family[node] = kind;
    else exact[node] = kind;
  }
  // A node has a higher number than the one before it in a name, so families are handed down in one pass.
  for (let node = ROOT; node <= nodes; node++) {
    for (let edge = node * WIDTH; edge < (node + 1) * WIDTH; edge++) {
      const child = next[edge] ?? 0;
      if (child !== 0) family[child] ||= family[node] ?? 0;
    }
    exact[node] ||= family[node] ?? 0;
  }
  return { next, exact, family };
}

const { next, exact, family } = treeOf(NAMES);

/**
 * What a field name, already known to be a token, means to a proxy; `underscored` where there is an underscore in it. Looks
 * at each byte at most once, mostly at the first few, and allocates nothing.
 */
export function fieldKind(bytes: Uint8Array, start: number, end: number, underscored: boolean): FieldKind {
  let node = ROOT;
  let at = start;
  for (; at < end; at++) {
    const child = next[node * WIDTH + (SYMBOLS[bytes[at] ?? 0] ?? 0)] ?? 0;
    if (child === 0) break;
    node = child;
  }
  return spelled(at === end ? exact[node] : family[node], underscored);
}

/** The same for a name that is a string, in any case of letters. */
export function fieldKindOf(name: string): FieldKind {
  let node = ROOT;
  let at = 0;
  for (; at < name.length; at++) {
    const child = next[node * WIDTH + (SYMBOLS[name.charCodeAt(at)] ?? 0)] ?? 0;
    if (child === 0) break;
    node = child;
  }
  return spelled(at === name.length ? exact[node] : family[node], name.includes('_'));
}

function spelled(kind: number | undefined, underscored: boolean): FieldKind {
  if (!underscored) return kind as FieldKind;
  return kind === FieldKind.other ? FieldKind.underscored : FieldKind.withheld;
}
