import { isDeepStrictEqual } from 'node:util';
import { addressRanges, subnetOf } from '../http/address-ranges.ts';
import { languageOf, limitedResponse } from '../http/local-response.ts';
import type { RequestView } from '../http/request-view.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import type { ClusterLimits } from './limits/cluster-limits.ts';
import type { Rate } from './limits/request-rate.ts';
import { type Cidrs, cidrsOf } from './cidrs.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';
import { durationText } from './quantity-values.ts';

export interface RateLimitConfig {
  /** The Ingress whose clients are counted. */
  readonly namespace: string;
  readonly ingress: string;
  /** All of them hold. */
  readonly rates: readonly Rate[];
  /** Whether replicas count by themselves, or together. */
  readonly scope: 'replica' | 'cluster';
  /** For a request beyond a rate. */
  readonly rateStatus: number;
  /** Requests that a client may have under way; null for any number. */
  readonly concurrency: number | null;
  /** For a request beyond that. */
  readonly concurrencyStatus: number;
  /** Clients that are not counted. */
  readonly exempt: Cidrs | null;
}

const EVERY_CLIENT =
  'Every client is counted for itself, by its address behind `--trusted-proxies`, and IPv6 addresses of one /64 network ' +
  'count together. ';

const RATE: AnnotationSpec = {
  name: 'rate-limit',
  values: '`10/s`, `600/m`, `1000/h`, or several with commas between them',
  default: 'none',
  scope: 'path',
  about:
    'How many requests a client may send to the paths of this Ingress, on all data-plane threads of a replica together. ' +
    EVERY_CLIENT +
    'A request beyond it gets 429 with `Retry-After`.',
};

const BURST: AnnotationSpec = {
  name: 'rate-limit-burst',
  values: 'a number from `0` to `100000`',
  default: 'as many as the rate has requests',
  scope: 'path',
  about: 'How many requests a client may send at once beyond `rate-limit`.',
};

const SCOPE: AnnotationSpec = {
  name: 'rate-limit-scope',
  values: '`replica`, `cluster`',
  default: 'replica',
  scope: 'path',
  about:
    'Whether each replica counts by itself, or all of them together in the store of `--rate-limit-store`. While the store ' +
    'cannot be asked, or does not answer within 50 ms, the limit holds for each replica. It counts for rates, not for ' +
    '`max-concurrent-requests`.',
};

const RPS: AnnotationSpec = {
  name: null,
  nginx: 'limit-rps',
  values: 'a number; `0` for none',
  default: 'none',
  scope: 'path',
  about:
    'Requests per second, and `limit-burst-multiplier` times as many at once. A request beyond it gets 503, or what ' +
    '`limit-req-status-code` of the ConfigMap says. Without effect beside `portico.dev/rate-limit`.',
  difference: 'IPv6 clients are counted by their /64 network, and a refusal has Retry-After.',
};

const RPM: AnnotationSpec = {
  ...RPS,
  nginx: 'limit-rpm',
  about: 'The same in a minute. Both may be written, and then both hold.',
};

const MULTIPLIER: AnnotationSpec = {
  name: null,
  nginx: 'limit-burst-multiplier',
  values: 'a number from `1` to `1000`',
  default: '5',
  scope: 'path',
  about: 'How many times `limit-rps`, or `limit-rpm`, may come at once beyond the rate.',
};

const CONCURRENCY: AnnotationSpec = {
  name: 'max-concurrent-requests',
  nginx: 'limit-connections',
  values: 'a number; `0` for any',
  default: 'any number',
  scope: 'path',
  about:
    'How many requests a client may have under way, WebSockets included, on all data-plane threads of a replica together. ' +
    EVERY_CLIENT +
    'One more gets 429; under the name of ingress-nginx 503, or what `limit-conn-status-code` of its ConfigMap says.',
  difference: 'IPv6 clients are counted by their /64 network, and a refusal has Retry-After.',
};

const EXEMPT: AnnotationSpec = {
  name: 'rate-limit-exempt',
  nginx: ['limit-allowlist', 'limit-whitelist'],
  values: 'a list of `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`',
  default: 'nobody',
  scope: 'path',
  about: 'The clients that these limits do not count. With a list that is not valid they count everybody.',
  difference: 'with a list that is not valid the limits hold for everybody, where ingress-nginx has none.',
};

const RATE_STATUS: AnnotationSpec = {
  name: null,
  global: 'limit-req-status-code',
  values: 'a status from `400` to `599`',
  default: '503',
  scope: 'path',
  about: 'The status for requests beyond `limit-rps` or `limit-rpm`.',
};

const CONCURRENCY_STATUS: AnnotationSpec = {
  ...RATE_STATUS,
  global: 'limit-conn-status-code',
  about: 'The status for requests beyond `limit-connections`.',
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const UNITS_MS: Readonly<Record<string, number>> = { s: SECOND, m: MINUTE, h: HOUR };
const MOST_PER_SECOND = 10_000;
/** Until a client that used its burst up may use it again. */
const LONGEST_MS = 24 * HOUR;
const MOST_RATES = 4;
const TOO_MANY = 429;

export const rateLimit = definePolicy({
  name: 'rate-limit',
  phase: 'limit',
  summary: 'How much a client may ask for.',
  annotations: [
    RATE,
    BURST,
    SCOPE,
    RPS,
    RPM,
    MULTIPLIER,
    CONCURRENCY,
    EXEMPT,
    RATE_STATUS,
    CONCURRENCY_STATUS,
  ],
  whenInvalid: 'default',

  parse(read): RateLimitConfig | null {
    const ours = readRates(read);
    const rates = ours ?? readNginxRates(read);
    const concurrency = read.wholeNumber(CONCURRENCY, 0, 1_000_000) || null;
    const exempt = cidrsOf(read.cidrs(EXEMPT));
    const scope = read.choice(SCOPE, ['replica', 'cluster']) ?? 'replica';
    if (rates.length === 0 && concurrency === null) return null;
    if (scope === 'cluster' && !read.hasLimitStore) {
      const message =
        'Each replica counts this limit by itself, because there is no --rate-limit-store: start Portico with it, or use the scope replica.';
      read.warn('RateLimitStoreMissing', SCOPE, message);
    }
    const byOption = (spec: AnnotationSpec): number => read.wholeNumber(spec, 400, 599) ?? 503;
    return {
      ...{ namespace: read.namespace, ingress: read.name },
      ...{ rates, rateStatus: ours ? TOO_MANY : byOption(RATE_STATUS) },
      scope,
      concurrency,
      concurrencyStatus: read.isOurs(CONCURRENCY) ? TOO_MANY : byOption(CONCURRENCY_STATUS),
      exempt,
    };
  },

  write({ rates, scope, concurrency }, renamed) {
    const exempt = renamed[ownNameOf(EXEMPT)];
    const units = Object.entries(UNITS_MS);
    const texts = rates.map(({ amount, perMs }) => {
      const unit = units.find(([, ms]) => ms === perMs)?.[0];
      return unit === undefined ? null : `${amount}/${unit}`;
    });
    if (texts.includes(null)) return null;
    return {
      ...(texts.length > 0 && {
        [ownNameOf(RATE)]: texts.join(','),
        [ownNameOf(BURST)]: String(Math.min(...rates.map(({ burst }) => burst))),
      }),
      ...(scope === 'cluster' && { [ownNameOf(SCOPE)]: scope }),
      ...(concurrency !== null && { [ownNameOf(CONCURRENCY)]: String(concurrency) }),
      ...(exempt !== undefined && { [ownNameOf(EXEMPT)]: exempt }),
    };
  },

  differs(config, written) {
    const statuses = { rateStatus: written.rateStatus, concurrencyStatus: written.concurrencyStatus };
    const rates = config.rates.map((rate, index) => ({ ...rate, burst: written.rates[index]?.burst ?? 0 }));
    const isLess = config.rates.every(({ burst }, index) => (rates[index]?.burst ?? 0) <= burst);
    if (!isLess || !isDeepStrictEqual({ ...config, ...statuses, rates }, written)) return null;
    const { rateStatus, concurrencyStatus } = config;
    const isSame = rateStatus === written.rateStatus && concurrencyStatus === written.concurrencyStatus;
    return [
      ...(isSame ? [] : [`Requests beyond the limits get ${written.rateStatus}, not ${rateStatus}.`]),
      ...(isDeepStrictEqual(config.rates, rates) ? [] : ['The smallest of the bursts holds for all rates.']),
    ];
  },

  bind(config, { limits, clusterLimits, monotonicMs }) {
    const { namespace, ingress, rates, exempt } = config;
    const limiters = rates.map((rate, index) => limits.rate(namespace, `${ingress}/${index}`, rate));
    const concurrency =
      config.concurrency === null ? null : limits.concurrency(namespace, ingress, config.concurrency);
    const exempted = exempt && addressRanges(exempt.ranges);
    const leave = new WeakMap<RequestView, () => void>();
    const cluster = config.scope === 'cluster' && rates.length > 0 ? clusterLimits : null;
    const timesUs = rates.flatMap(({ amount, perMs, burst }) => {
      const interval = Math.ceil((perMs * 1_000) / amount);
      return [interval, interval * burst];
    });
    // What passes here is asked of the store as well; who is over the limit here costs it nothing.
    const askCluster = (
      asked: ClusterLimits,
      request: RequestView,
      client: string,
      now: number,
    ): Promise<Verdict> => {
      const keys = rates.map((_, index) => `portico:{${namespace}/${ingress}:${client}}:${index}`);
      return asked.take(keys, timesUs).then((verdict) => {
        if (verdict.kind !== 'wait') return CONTINUE;
        for (const limiter of limiters) limiter.giveBack(client, now);
        return limited(request, config.rateStatus, verdict.ms);
      });
    };
    return {
      onRequest(request) {
        const { clientAddress } = request;
        if (exempted?.includes(clientAddress)) return CONTINUE;
        const client = subnetOf(clientAddress);
        const left = concurrency?.enter(client);
        if (left === null) return limited(request, config.concurrencyStatus, SECOND);
        if (left !== undefined) leave.set(request, left);
        const now = monotonicMs();
        for (const [index, limiter] of limiters.entries()) {
          const waitMs = limiter.take(client, now);
          if (waitMs === 0) continue;
          for (const before of limiters.slice(0, index)) before.giveBack(client, now);
          return limited(request, config.rateStatus, waitMs);
        }
        return cluster === null ? CONTINUE : askCluster(cluster, request, client, now);
      },
      ...(concurrency !== null && {
        onComplete(request) {
          leave.get(request)?.();
          leave.delete(request);
        },
      }),
    };
  },

  describe({ rates, scope, concurrency, exempt }) {
    const parts = [
      ...rates.map(
        ({ amount, perMs, burst }) => `${amount} in ${durationText(perMs)} and ${burst} more at once`,
      ),
      ...(scope === 'cluster' ? ['in the cluster'] : []),
      ...(concurrency === null ? [] : [`${concurrency} under way`]),
      ...(exempt === null ? [] : [`${exempt.count} ranges exempt`]),
    ];
    return parts.join(', ');
  },
});

/** Null without `rate-limit`, or where it is not valid. */
function readRates(read: AnnotationReader): readonly Rate[] | null {
  const written = read.text(RATE);
  const burst = read.wholeNumber(BURST, 0, 100_000);
  if (written === null) return null;
  const parts = written.split(',').map((part) => /^\s*(\d{1,9})\/([smh])\s*$/.exec(part));
  if (parts.length > MOST_RATES || parts.includes(null)) {
    read.invalid(RATE, 'is not valid', `write at most ${MOST_RATES} rates such as 10/s or 600/m`);
    return null;
  }
  const rates = parts.map((part): Rate => {
    const amount = Number(part?.[1]);
    return { amount, perMs: UNITS_MS[part?.[2] ?? ''] ?? SECOND, burst: burst ?? amount };
  });
  if (rates.every(isPossible)) return rates;
  read.invalid(RATE, 'is out of range', POSSIBLE);
  return null;
}

/** What `limit-rps` and `limit-rpm` ask for. */
function readNginxRates(read: AnnotationReader): readonly Rate[] {
  const multiplier = read.wholeNumber(MULTIPLIER, 1, 1_000) ?? 5;
  const one = (spec: AnnotationSpec, perMs: number): readonly Rate[] => {
    const amount = read.wholeNumber(spec, 0, 1_000_000);
    if (amount === null || amount === 0) return [];
    const rate = { amount, perMs, burst: amount * multiplier };
    if (isPossible(rate)) return [rate];
    read.invalid(spec, 'is out of range', POSSIBLE);
    return [];
  };
  return [...one(RPS, SECOND), ...one(RPM, MINUTE)];
}

const POSSIBLE = `write at most ${MOST_PER_SECOND} requests per second, and a burst that the rate allows again within 24h`;

function isPossible({ amount, perMs, burst }: Rate): boolean {
  return amount > 0 && amount <= (perMs / SECOND) * MOST_PER_SECOND && (burst * perMs) / amount <= LONGEST_MS;
}

function limited(request: RequestView, status: number, waitMs: number): Verdict {
  const isGrpc = request.value('content-type')?.startsWith('application/grpc') ?? false;
  const language = languageOf(request.value('accept'), isGrpc);
  return {
    kind: 'respond',
    response: limitedResponse(status, Math.ceil(waitMs / SECOND), language),
    detail: 'rate-limited',
  };
}
