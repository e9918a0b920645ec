import { isDeepStrictEqual } from 'node:util';
import { describePolicies } from '../../src/policies/describe-policies.ts';
import type { Compilation } from '../../src/routing/compile/compile.ts';
import { statusOf } from '../../src/http/local-response.ts';
import { serviceOf } from '../../src/routing/backends.ts';
import type { Case, CaseRequest } from './cases.ts';
import { describeEndpoint } from './table-text.ts';
import { type GoldenExchange, goldenExchange } from './golden-exchange.ts';
import type { PolicyThread } from '../../src/policies/policy.ts';
import { passwordMatches } from '../../src/passwords/password-hash.ts';
import type { policyThread } from './policy-thread.ts';

/** What a request got of an Ingress and of what the Ingress was converted to. */
export interface Difference {
  readonly request: CaseRequest;
  readonly before: Seen;
  readonly after: Seen;
  /** The Ingress, and the route of a Gateway, that took the request. */
  readonly ingress: string | null;
  readonly route: string | null;
  /** Whether the request was turned away by a rule of access. */
  readonly wasTurnedAway: boolean;
}

/** All that clients and Pods can see, and what the engines are asked to do. */
export interface Seen {
  readonly status: number | null;
  readonly backend: readonly string[] | null;
  readonly upstream: { readonly request: string; readonly fields: readonly (readonly string[])[] } | null;
  readonly response: readonly (readonly string[])[];
  readonly policies: readonly string[];
}

/** Policies that act by themselves, or have another form: what they do is seen in heads and responses. */
const SEEN_ELSEWHERE =
  /^(?:canary|host-aliases|path-regex|www-redirect|ssl-redirect|app-root|cors|cors-filter|redirect|request-redirect|rewrite|upstream-host|custom-headers|response-headers|header-modifier|global-headers|backend-transport|upstream-tls|mirror|request-mirror|tls-passthrough|service-upstream): /;
/** Of responses that Portico makes: they follow from the status. */
const OWN_FIELDS = new Set(['cache-control', 'content-length', 'content-type', 'x-content-type-options']);
/** A Service that is missing is 503 for an Ingress, and 500 for a route. */
const UNAVAILABLE = 503;
/** Why no rule takes a request makes no difference. */
const NOT_SERVED = 404;
const VARIES = /^x-request-id$/i;

/** Servers that policies ask are away, and nobody reaches a limit. */
function thread(...[now, secret]: Parameters<typeof policyThread>): PolicyThread {
  const limits = new Proxy(
    {},
    { get: () => () => ({ take: () => 0, enter: () => () => {}, giveBack: () => {} }) },
  );
  return {
    now,
    monotonicMs: () => 0,
    limits: limits as unknown as PolicyThread['limits'],
    clusterLimits: null,
    secret: secret ?? (() => undefined),
    checkPassword: (_, hash, password) => (matches(hash, password) ? 'right' : 'wrong'),
    send: () => Promise.resolve({ kind: 'failed', reason: 'unreachable' }),
  };
}

/** Whether a password is the one of a hash: the same few are asked about again and again, and cost milliseconds each. */
const known = new Map<string, boolean>();

function matches(hash: string, password: Buffer): boolean {
  const asked = `${hash} ${password.toString('latin1')}`;
  const found = known.get(asked) ?? passwordMatches(hash, password);
  known.set(asked, found);
  return found;
}

export async function differenceOf(
  before: Compilation,
  after: Compilation,
  golden: Case,
  request: CaseRequest,
): Promise<Difference | null> {
  const [a, b] = await Promise.all([
    goldenExchange(before, golden, request, thread),
    goldenExchange(after, golden, request, thread),
  ]);
  const [seenBefore, seenAfter] = [seen(a), seen(b)];
  if (isDeepStrictEqual(seenBefore, seenAfter)) return null;
  return {
    request,
    before: seenBefore,
    after: seenAfter,
    ingress: a.decision.route?.ingress ?? null,
    route: b.decision.route?.ingress ?? null,
    wasTurnedAway: isTurnedAway(a),
  };
}

/** The host as tables spell it: one of the two has it as the client wrote it. */
function normalLocation(location: string): string {
  return location.replace(/^https?:\/\/[^/?#]+/i, (origin) => origin.toLowerCase().replace(/\.$/, ''));
}

const NOT_OF_ACCESS: ReadonlySet<string> = new Set([
  'no-route',
  'backend-unavailable',
  'backend-invalid',
  'misdirected',
  'loop-detected',
]);

function isTurnedAway({ decision, verdict, local }: GoldenExchange): boolean {
  if (verdict.kind === 'refuse') return statusOf(verdict.reason) === 403;
  if (verdict.kind === 'respond') return [401, 403, 429, 500, 503].includes(local?.status ?? 0);
  return (
    decision.kind === 'refuse' && statusOf(decision.reason) !== 400 && !NOT_OF_ACCESS.has(decision.reason)
  );
}

function seen({ decision, verdict, local, response, upstream }: GoldenExchange): Seen {
  const fields = response
    .filter(([name]) => !VARIES.test(name))
    .map(([name, value]) => (name === 'location' ? [name, normalLocation(value)] : [name, value]))
    .toSorted();
  if (decision.kind !== 'forward' || verdict.kind !== 'continue') {
    const status = local?.status ?? (decision.kind === 'refuse' ? statusOf(decision.reason) : null);
    const isOwn = ([name = '']: readonly string[]): boolean => !OWN_FIELDS.has(name);
    const said = { status, backend: null, upstream: null, response: fields.filter(isOwn), policies: [] };
    // Nobody is told why a Service is not there, and nobody gets in where no rule is.
    if (decision.kind !== 'refuse' || verdict.kind !== 'continue') return said;
    if (decision.reason === 'backend-unavailable' || decision.reason === 'backend-invalid')
      return { ...said, status: UNAVAILABLE };
    return decision.route === null ? { ...said, status: NOT_SERVED } : said;
  }
  const { backend, route } = decision;
  const { externalName, endpoints } = backend;
  const sent = upstream && {
    request: upstream.request,
    fields: upstream.fields.filter(([name]) => !VARIES.test(name)),
  };
  const transport = route.policies?.configs['backend-transport']?.protocol ?? backend.protocol;
  return {
    status: null,
    backend: [
      serviceOf(backend.key) ?? backend.key,
      transport,
      ...(externalName ? [`${externalName.host}:${externalName.port}`] : endpoints.map(describeEndpoint)),
    ],
    upstream: sent,
    response: fields,
    policies: describePolicies(route.policies).filter((line) => !SEEN_ELSEWHERE.test(line)),
  };
}
