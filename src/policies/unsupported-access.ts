import { isIPv4, isIPv6 } from 'node:net';

/** The `nginx.ingress.kubernetes.io/…` annotations that decide who gets in, without their prefix. */
const ACCESS_RULE =
  /^(auth-(?!tls-error-page$).*|(whitelist|allowlist|denylist)-source-range|satisfy|enable-modsecurity|enable-owasp-core-rules|modsecurity-.*)$/;

const IPV4_ADDRESSES = 2 ** 32;

/**
 * What an annotation of ingress-nginx says about who gets in: nothing, that everybody does, or that some do not. A value
 * that is not a string restricts: what cannot be read must not be taken for open.
 */
export function nginxAccess(name: string, value: unknown): 'unrelated' | 'open' | 'restricted' {
  if (!ACCESS_RULE.test(name)) return 'unrelated';
  return typeof value === 'string' && admitsEverybody(name, value) ? 'open' : 'restricted';
}

function admitsEverybody(name: string, value: string): boolean {
  switch (name) {
    case 'whitelist-source-range':
    case 'allowlist-source-range':
      return coversEverything(value);
    case 'denylist-source-range':
      return rangesOf(value).length === 0;
    case 'enable-modsecurity':
    case 'enable-owasp-core-rules':
      return value === 'false';
    default:
      return false;
  }
}

function rangesOf(list: string): readonly string[] {
  return list.split(',').flatMap((range) => range.trim() || []);
}

/**
 * Whether a list of ranges has every IPv4 address. That makes it open to IPv6 too: cert-manager writes `0.0.0.0/0` alone
 * to mean everybody. A list with a range that cannot be read covers nothing.
 */
function coversEverything(list: string): boolean {
  const spans: { readonly from: number; readonly size: number }[] = [];
  for (const range of rangesOf(list)) {
    const [, address = '', prefix] = /^([\d.a-f:]+)(?:\/(\d{1,3}))?$/i.exec(range) ?? [];
    const widest = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
    const bits = prefix === undefined ? widest : Number(prefix);
    if (widest < 0 || bits > widest) return false;
    if (widest !== 32) continue;
    const size = 2 ** (32 - bits);
    const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
    spans.push({ from: number - (number % size), size });
  }
  let covered = 0;
  for (const { from, size } of spans.sort((a, b) => a.from - b.from)) {
    if (from > covered) return false;
    covered = Math.max(covered, from + size);
  }
  return covered === IPV4_ADDRESSES;
}
