import { type Template, parseTemplate, templateText } from '../http/variables.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

const BALANCES = ['round-robin', 'least-requests', 'ewma', 'consistent-hash'] as const;

/** How an endpoint is chosen for a request. */
export type Balance = (typeof BALANCES)[number];

/** What a consistent hash is taken of; `header:<lower-case name>` for a header field, or a text with variables. */
export type HashBy = 'client-ip' | 'uri' | `header:${string}` | Template;

export interface BalanceConfig {
  /** Null leaves it to the Service: a consistent hash where it has session affinity, otherwise round-robin. */
  readonly balance: Balance | null;
  readonly hashBy: HashBy;
  /** A consistent hash chooses a group of so many endpoints, and chance one of the group; null for single endpoints. */
  readonly groupSize: number | null;
}

/** A consistent hash that chooses among groups. */
export interface HashOfGroups {
  readonly groupSize: number;
}

const BALANCE: AnnotationSpec = {
  name: 'balance',
  nginx: 'load-balance',
  global: 'load-balance',
  values: BALANCES.map((value) => `\`${value}\``).join(', '),
  default: 'round-robin',
  scope: 'path',
  about:
    'How an endpoint of the Service is chosen for a request. `round-robin`: one after the other. `least-requests`: of two ' +
    'drawn at random, the one with fewer requests in flight. `ewma`: of two drawn at random, the one whose recent latency ' +
    'times its queue is lower. `consistent-hash`: the same endpoint for the same `hash-by` while it is there; when one ' +
    'leaves, only its share moves. The annotation wins over the session affinity of the Service. Under the name of ' +
    'ingress-nginx the values are `round_robin` and `ewma`.',
};

const HASH_BY: AnnotationSpec = {
  name: 'hash-by',
  nginx: 'upstream-hash-by',
  values:
    '`client-ip`, `uri`, `header:NAME`, or a text with variables of nginx such as `$cookie_user$arg_id`',
  default: 'client-ip',
  scope: 'path',
  about:
    'What `consistent-hash` is taken of: the address of the client, the request target (path and query), or a header ' +
    'field, or a text with variables: those of ingress-nginx that a request has by itself. A request without that field, or ' +
    'for which the text is empty, goes by the address of its client. Under the name of ingress-nginx it asks for ' +
    '`consistent-hash`, too.',
  difference: 'a request for which the text is empty goes by the address of its client.',
};

const HASH_GROUPS: AnnotationSpec = {
  name: 'hash-groups',
  nginx: 'upstream-hash-by-subset',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Lets `consistent-hash` choose a group of endpoints, and chance an endpoint of the group, so that much traffic of one kind ' +
    'is spread over a few endpoints.',
};

const GROUP_SIZE: AnnotationSpec = {
  name: 'hash-group-size',
  nginx: 'upstream-hash-by-subset-size',
  values: 'a whole number above 0',
  default: '3',
  scope: 'path',
  about:
    'How many endpoints such a group has. Those that are left over fill the last group with some of the first.',
};

export const balance = definePolicy({
  name: 'balance',
  phase: 'upstream',
  summary: 'Which endpoint of the Service a request goes to. Each data-plane thread counts for itself.',
  annotations: [BALANCE, HASH_BY, HASH_GROUPS, GROUP_SIZE],
  whenInvalid: 'default',
  ofCanaries: true,

  parse(read): BalanceConfig | null {
    const written = readBalance(read);
    const hashBy = readHashBy(read);
    const groupSize = read.wholeNumber(GROUP_SIZE, 1, 1_000) ?? 3;
    const isGrouped = read.bool(HASH_GROUPS) ?? false;
    // In ingress-nginx a hash wins over what else is said.
    const isHashed = hashBy !== null && !read.isOurs(HASH_BY) && !(written !== null && read.isOurs(BALANCE));
    const chosen = isHashed ? 'consistent-hash' : written;
    if (chosen === null && hashBy === null && !isGrouped) return null;
    return { balance: chosen, hashBy: hashBy ?? 'client-ip', groupSize: isGrouped ? groupSize : null };
  },

  write: ({ balance: chosen, hashBy, groupSize }) => ({
    ...(chosen !== null && { [ownNameOf(BALANCE)]: chosen }),
    [ownNameOf(HASH_BY)]: typeof hashBy === 'string' ? hashBy : templateText(hashBy),
    ...(groupSize !== null && {
      [ownNameOf(HASH_GROUPS)]: 'true',
      [ownNameOf(GROUP_SIZE)]: String(groupSize),
    }),
  }),

  describe({ balance, hashBy, groupSize }) {
    const by = typeof hashBy === 'string' ? hashBy : templateText(hashBy);
    const groups = groupSize === null ? '' : ` in groups of ${groupSize}`;
    return `${balance ?? 'as the Service says'} by ${by}${groups}`;
  },
});

const OF_NGINX = { round_robin: 'round-robin', ewma: 'ewma' } as const;

function readBalance(read: AnnotationReader): Balance | null {
  if (read.isOurs(BALANCE)) return read.choice(BALANCE, BALANCES);
  const chosen = read.choice(BALANCE, ['round_robin', 'ewma']);
  // What is the default for all routes anyway takes no policy.
  if (chosen === 'round_robin' && !read.isWritten(BALANCE)) return null;
  return chosen === null ? null : OF_NGINX[chosen];
}

function readHashBy(read: AnnotationReader): HashBy | null {
  const written = read.text(HASH_BY)?.trim() ?? '';
  if (written === '' && !read.isOurs(HASH_BY)) return null;
  if (read.text(HASH_BY) === null) return null;
  if (read.isOurs(HASH_BY)) {
    if (written === 'client-ip' || written === 'uri') return written;
    // A header name is a token (RFC 9110 5.1), compared without case.
    const name = /^header:([!#$%&'*+.^_`|~0-9a-z-]{1,128})$/i.exec(written)?.[1];
    if (name !== undefined) return `header:${name.toLowerCase()}`;
    if (!written.includes('$')) {
      read.invalid(
        HASH_BY,
        'is not valid',
        'use client-ip, uri, header:NAME or variables such as $cookie_user',
      );
      return null;
    }
  }
  const parsed = parseTemplate(written);
  if (parsed.kind === 'template') return parsed.template;
  read.invalid(
    HASH_BY,
    parsed.fault,
    'use variables such as $request_uri, $host, $remote_addr or $http_NAME',
  );
  return null;
}

/** How a route balances whose Service has session affinity or not. */
export function balanceOf(config: BalanceConfig | undefined, hasAffinity: boolean): Balance | HashOfGroups {
  const balance = config?.balance ?? (hasAffinity ? 'consistent-hash' : 'round-robin');
  const groupSize = config?.groupSize ?? null;
  return balance === 'consistent-hash' && groupSize !== null ? { groupSize } : balance;
}

/** Whether a way of balancing asks what the request is hashed by. */
export function isHashed(balance: Balance | HashOfGroups): boolean {
  return balance === 'consistent-hash' || typeof balance === 'object';
}
