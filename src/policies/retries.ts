import { type AnnotationReader, listed } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';
import { durationText, readDuration } from './quantity-values.ts';

/** What an attempt may end with, after which a request is sent to another endpoint. */
export type RetryCondition =
  /** No connection: refused, unreachable, or no TLS or HTTP/2 on it. */
  | 'connect'
  /** No connection in time. */
  | 'connect-timed-out'
  /** The connection ended before a response. */
  | 'reset'
  /** No response in time. */
  | 'timeout'
  /** What came is no valid response. */
  | 'invalid-response';

export interface RetriesConfig {
  /** Null leaves it to Portico: all but `timeout` and `invalid-response`. */
  readonly on: {
    readonly conditions: readonly RetryCondition[];
    /** Of responses that are not passed on while another endpoint can be tried. */
    readonly statuses: readonly number[];
    /** Whether requests with methods such as POST are repeated after they were sent. */
    readonly nonIdempotent: boolean;
  } | null;
  /** The first one included; null leaves it to the flags. */
  readonly attempts: number | null;
  /** From the first attempt; null for any time. */
  readonly timeoutMs: number | null;
  /** Whether the same endpoint is tried again where there is no other; no when absent. */
  readonly repeats?: true;
  /** At least so long from the end of an attempt to the next one; 0 when absent. */
  readonly backoffMs?: number;
}

const STATUSES = ['403', '404', '429', '500', '502', '503', '504'] as const;
const TOKENS = [
  'connect',
  'reset',
  'timeout',
  'invalid-response',
  ...STATUSES,
  'non-idempotent',
  'off',
] as const;
const NGINX_TOKENS = [
  ...['error', 'timeout', 'invalid_header', 'non_idempotent', 'off'],
  ...STATUSES.map((status) => `http_${status}`),
];

const ON: AnnotationSpec = {
  name: 'retry-on',
  nginx: 'proxy-next-upstream',
  global: 'proxy-next-upstream',
  values: `a list of ${TOKENS.map((token) => `\`${token}\``).join(', ')}`,
  default: 'connect, reset',
  scope: 'path',
  about:
    'After which end of an attempt a request is sent to another endpoint: no connection (`connect`), a connection that ' +
    'ends before a response (`reset`), none in time (`timeout`), an invalid response, or a response with one of these ' +
    'statuses, which is passed on when there is no other endpoint. What was sent once is sent again only if its method is ' +
    'GET, HEAD, OPTIONS, PUT or DELETE, or with `non-idempotent` any, and if all of its body is still here ' +
    '(`request-buffer-size`). `off`: one attempt.',
  difference:
    'requests are never repeated at the same Pod while there is another one, nor with a method that is not known to be idempotent ' +
    'or a body that is larger than 64Ki.',
};

const ATTEMPTS: AnnotationSpec = {
  name: 'retry-attempts',
  nginx: 'proxy-next-upstream-tries',
  global: 'proxy-next-upstream-tries',
  values: 'a number from `1` to `16`',
  default: '3 (--limit attempts)',
  scope: 'path',
  about: 'How many endpoints a request is sent to at most, the first one included.',
  difference: '`0`, no limit, means 16.',
};

const TIMEOUT: AnnotationSpec = {
  name: 'retry-timeout',
  nginx: 'proxy-next-upstream-timeout',
  global: 'proxy-next-upstream-timeout',
  values: 'a duration from `100ms` to `24h`',
  default: 'none',
  scope: 'path',
  about: 'After this time since its first attempt began a request is not sent to another endpoint.',
};

const NON_IDEMPOTENT: AnnotationSpec = {
  name: null,
  global: 'retry-non-idempotent',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether `non_idempotent` is in every list of `proxy-next-upstream`, and in `error timeout` where there is none. `off` and ' +
    '`portico.dev/retry-on` stay as they are.',
};

/** The first one included. */
export const MOST_ATTEMPTS = 16;
const DAY_MS = 24 * 3_600_000;

export const retries = definePolicy({
  name: 'retries',
  phase: 'upstream',
  summary: 'When a request is sent to another endpoint. `retry` of a rule of Gateway API asks for the same.',
  annotations: [ON, ATTEMPTS, TIMEOUT, NON_IDEMPOTENT],
  whenInvalid: 'default',

  parse(read): RetriesConfig | null {
    const on = withNonIdempotent(read, readConditions(read));
    const least = read.isOurs(ATTEMPTS) ? 1 : 0;
    const attempts = read.wholeNumber(ATTEMPTS, least, read.isOurs(ATTEMPTS) ? MOST_ATTEMPTS : 1_000);
    const isAnyTime = !read.isOurs(TIMEOUT) && read.text(TIMEOUT)?.trim() === '0';
    const timeoutMs = isAnyTime ? null : readDuration(read, TIMEOUT, { leastMs: 100, mostMs: DAY_MS });
    if (on === null && attempts === null && timeoutMs === null) return null;
    return {
      on,
      attempts: attempts === null ? null : Math.min(attempts || MOST_ATTEMPTS, MOST_ATTEMPTS),
      timeoutMs,
    };
  },

  write: ({ on, attempts, timeoutMs }) => ({
    ...(on !== null && { [ownNameOf(ON)]: conditionsText(on) }),
    ...(attempts !== null && { [ownNameOf(ATTEMPTS)]: String(attempts) }),
    ...(timeoutMs !== null && { [ownNameOf(TIMEOUT)]: durationText(timeoutMs) }),
  }),

  describe({ on, attempts, timeoutMs, repeats, backoffMs }) {
    const after = on && [...on.conditions, ...on.statuses, ...(on.nonIdempotent ? ['non-idempotent'] : [])];
    const parts = [
      ...(after === null ? [] : [after.length === 0 ? 'off' : `on ${after.join(' ')}`]),
      ...(attempts === null ? [] : [`${attempts} attempts`]),
      ...(timeoutMs === null ? [] : [`within ${durationText(timeoutMs)}`]),
      ...(backoffMs === undefined ? [] : [`after ${durationText(backoffMs)}`]),
      ...(repeats ? ['also the same endpoint'] : []),
    ];
    return parts.join(', ');
  },
});

function conditionsText({ conditions, statuses, nonIdempotent }: NonNullable<RetriesConfig['on']>): string {
  // It is a part of `connect`.
  const ended = conditions.filter((condition) => condition !== 'connect-timed-out');
  const tokens = [...ended, ...statuses, ...(nonIdempotent ? ['non-idempotent'] : [])];
  return tokens.length === 0 ? 'off' : tokens.join(', ');
}

function withNonIdempotent(read: AnnotationReader, on: RetriesConfig['on']): RetriesConfig['on'] {
  if (read.bool(NON_IDEMPOTENT) !== true || (read.has(ON) && read.isOurs(ON))) return on;
  if (on?.conditions.length === 0 && on.statuses.length === 0) return on;
  return { ...(on ?? conditionsOf(['error', 'timeout'])), nonIdempotent: true };
}

function readConditions(read: AnnotationReader): RetriesConfig['on'] {
  const written = read.text(ON);
  if (written === null) return null;
  const isOurs = read.isOurs(ON);
  const tokens = written
    .toLowerCase()
    .split(isOurs ? /[\s,]+/ : /\s+/)
    .filter((token) => token !== '');
  const known: readonly string[] = isOurs ? TOKENS : NGINX_TOKENS;
  if (tokens.length === 0 || tokens.some((token) => !known.includes(token))) {
    read.invalid(ON, 'is not valid', `write some of ${listed(known)}`);
    return null;
  }
  return tokens.includes('off')
    ? { conditions: [], statuses: [], nonIdempotent: false }
    : conditionsOf(tokens);
}

function conditionsOf(tokens: readonly string[]): NonNullable<RetriesConfig['on']> {
  const given = new Set(tokens.map((token) => token.replace(/^http_/, '')));
  const hasConnect = given.has('connect') || given.has('error');
  const conditions: RetryCondition[] = [
    ...(hasConnect ? (['connect'] as const) : []),
    // With ours whatever keeps a connection from being made counts as one thing.
    ...(given.has('timeout') || given.has('connect') ? (['connect-timed-out'] as const) : []),
    ...(given.has('reset') || given.has('error') ? (['reset'] as const) : []),
    ...(given.has('timeout') ? (['timeout'] as const) : []),
    ...(given.has('invalid-response') || given.has('invalid_header') ? (['invalid-response'] as const) : []),
  ];
  return {
    conditions,
    statuses: STATUSES.filter((status) => given.has(status)).map(Number),
    nonIdempotent: given.has('non-idempotent') || given.has('non_idempotent'),
  };
}
