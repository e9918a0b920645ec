import { addressRanges, hasAllIpv4 } from '../http/address-ranges.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { type Cidrs, cidrsOf, cidrsText } from './cidrs.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';

export interface SourceRangesConfig {
  /** Null allows everybody that is not denied. */
  readonly allow: Cidrs | null;
  readonly deny: Cidrs | null;
}

const ALLOW: AnnotationSpec = {
  name: 'allow-from',
  nginx: ['allowlist-source-range', 'whitelist-source-range'],
  global: 'whitelist-source-range',
  values: 'a list of `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`',
  default: 'everybody',
  scope: 'path',
  about:
    'The clients that are allowed: at most 4096 addresses and ranges, separated by commas. All others get 403. Behind ' +
    '`--trusted-proxies` the address of the client counts, not that of the proxy. A list with every IPv4 address allows ' +
    'IPv6 too: cert-manager writes `0.0.0.0/0` alone to allow everybody.',
  difference: 'an empty list is not valid, and a list with every IPv4 address allows IPv6 too.',
};

const DENY: AnnotationSpec = {
  name: 'deny-from',
  nginx: 'denylist-source-range',
  global: 'denylist-source-range',
  values: 'a list of `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`',
  default: 'nobody',
  scope: 'path',
  about:
    'The clients that get 403, even those in `allow-from`, in the same form. An empty list denies nobody.',
};

const DENIED: Verdict = { kind: 'refuse', reason: 'address-denied' };

export const sourceRanges = definePolicy({
  name: 'source-ranges',
  phase: 'access',
  summary: 'Which clients are allowed, by address.',
  annotations: [ALLOW, DENY],
  whenInvalid: 'close',
  isAlternative: true,
  reservedPrefixes: ['portico.dev/allow-', 'portico.dev/deny-'],

  parse(read): SourceRangesConfig | null {
    const allow = cidrsOf(read.cidrs(ALLOW));
    const deny = cidrsOf(read.cidrs(DENY));
    if (allow?.count === 0) read.invalid(ALLOW, 'allows nobody', 'write 0.0.0.0/0 to allow everybody');
    const config = {
      allow: allow === null || hasAllIpv4(allow.ranges) ? null : allow,
      deny: deny === null || deny.count === 0 ? null : deny,
    };
    return config.allow === null && config.deny === null ? null : config;
  },

  bind({ allow, deny }) {
    const allowed = allow && addressRanges(allow.ranges);
    const denied = deny && addressRanges(deny.ranges);
    return {
      onRequest({ clientAddress }) {
        if (clientAddress === '' || denied?.includes(clientAddress)) return DENIED;
        return allowed === null || allowed.includes(clientAddress) ? CONTINUE : DENIED;
      },
    };
  },

  describe({ allow, deny }) {
    const parts = [
      ...(allow ? [`allow ${cidrsText(allow)}`] : []),
      ...(deny ? [`deny ${cidrsText(deny)}`] : []),
    ];
    return parts.join(', ');
  },
});
