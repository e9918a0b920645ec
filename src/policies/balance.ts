import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

const BALANCES = ['round-robin', 'least-requests', 'ewma', 'consistent-hash'] as const;

/** How an endpoint is chosen for a request. */
export type Balance = (typeof BALANCES)[number];

/** What a consistent hash is taken of; `header:<lower-case name>` for a header field. */
export type HashBy = 'client-ip' | 'uri' | `header:${string}`;

export interface BalanceConfig {
  /** Null leaves it to the Service: a consistent hash where it has session affinity, otherwise round-robin. */
  readonly balance: Balance | null;
  readonly hashBy: HashBy;
}

const BALANCE: AnnotationSpec = {
  name: 'balance',
  values: BALANCES.map((value) => `\`${value}\``).join(', '),
  default: 'round-robin',
  scope: 'path',
  about:
    'How an endpoint of the Service is chosen for a request. `round-robin`: one after the other. `least-requests`: of two ' +
    'drawn at random, the one with fewer requests in flight. `ewma`: of two drawn at random, the one whose recent latency ' +
    'times its queue is lower. `consistent-hash`: the same endpoint for the same `hash-by` while it is there; when one ' +
    'leaves, only its share moves. The annotation wins over the session affinity of the Service.',
};

const HASH_BY: AnnotationSpec = {
  name: 'hash-by',
  values: '`client-ip`, `uri`, `header:NAME`',
  default: 'client-ip',
  scope: 'path',
  about:
    'What `consistent-hash` is taken of: the address of the client, the request target (path and query), or a header ' +
    'field. A request without that field goes by the address of its client.',
};

export const balance = definePolicy({
  name: 'balance',
  phase: 'upstream',
  summary: 'Which endpoint of the Service a request goes to. Each data-plane thread counts for itself.',
  annotations: [BALANCE, HASH_BY],
  whenInvalid: 'default',
  ofCanaries: true,

  parse(read): BalanceConfig | null {
    const chosen = read.choice(BALANCE, BALANCES);
    const hashBy = readHashBy(read);
    return chosen === null && hashBy === null ? null : { balance: chosen, hashBy: hashBy ?? 'client-ip' };
  },

  describe: ({ balance, hashBy }) => `${balance ?? 'as the Service says'} by ${hashBy}`,
});

/** A header name is a token (RFC 9110 5.1), compared without case. */
function readHashBy(read: AnnotationReader): HashBy | null {
  const written = read.text(HASH_BY);
  if (written === null || written === 'client-ip' || written === 'uri') return written;
  const name = /^header:([!#$%&'*+.^_`|~0-9a-z-]{1,128})$/i.exec(written)?.[1];
  if (name !== undefined) return `header:${name.toLowerCase()}`;
  read.invalid(HASH_BY, 'is not valid', 'use client-ip, uri or header:NAME');
  return null;
}

/** How a route balances whose Service has session affinity or not. */
export function balanceOf(config: BalanceConfig | undefined, hasAffinity: boolean): Balance {
  return config?.balance ?? (hasAffinity ? 'consistent-hash' : 'round-robin');
}
