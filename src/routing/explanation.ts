import type { Compilation } from './compile/compilation.ts';
import { findRoute } from './find-route.ts';
import { arrivalOf, gatewaySteps, otherPortSteps } from './gateway-explanation.ts';
import { type ArrivalPort, byHostKey, routesAt } from './gateway-routes.ts';
import { TOO_COSTLY } from '../http/regex/first-match.ts';
import { describeConditions } from '../policies/canary.ts';
import { match, matchForGateway, normalizeHost, normalizePath, routesFor } from './match.ts';
import { runToEnd } from '../model/run-to-end.ts';
import { HOSTLESS, regexScope, type Scope, type ScopeKind, describeScope, scopeKind } from './scope.ts';
import { get } from '../model/sharded-map.ts';
import { type Refusal, messageOf, statusOf } from '../http/local-response.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import { hostReference } from './host-certificate.ts';
import { type LostCandidate, lostCandidates } from './lost-candidates.ts';
import { type NotServed, notServed } from './not-served.ts';
import type { ObjectKey } from '../model/objects.ts';
import { type HealthCheck, type HttpsRedirect, decide } from './decide.ts';
import type { Backend, BackendKey, Route, RouteTable, Unavailable } from './table.ts';

/** What a request would get and why, as plain data. */
export interface Explanation {
  /** The host and path as they are matched; null when malformed. */
  readonly host: string | null;
  readonly path: string | null;
  readonly outcome: ExplainedOutcome;
  /** How the outcome came about, one sentence a step. */
  readonly steps: readonly string[];
  /** The rules that could take the request too, best first, and why they do not: the first 100 of `otherRuleCount`. */
  readonly otherRules: readonly LostCandidate[];
  readonly otherRuleCount: number;
  /** Over https: what the client is shown. Null over http. */
  readonly certificate: ExplainedCertificate | null;
  /** The Ingresses that have a rule for the host and are not served there. */
  readonly notServed: readonly NotServed[];
}

export interface ExplainedCertificate {
  /** `namespace/name`; null for the default certificate. */
  readonly secret: ObjectKey | null;
  /** The TLS host that the Secret is for; null for the default certificate. */
  readonly host: string | null;
  /** The Ingress that names it; null for the default certificate. */
  readonly ingress: ObjectKey | null;
}

export type ExplainedOutcome =
  | { readonly kind: 'forward'; readonly route: Route; readonly backend: Backend }
  | {
      readonly kind: 'redirect';
      readonly status: number;
      readonly route: Route | null;
      readonly location: string;
    }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly reason: Refusal;
      /** What the client is told. */
      readonly message: string;
      readonly route: Route | null;
      /** Why the backend cannot be used, where that is the reason. */
      readonly unavailable: Unavailable | null;
    };

/** The request to explain, as a client would send it. */
export interface ExplainedRequest {
  readonly scheme: 'http' | 'https';
  /** `GET` unless said. */
  readonly method?: string;
  /** The Host field. */
  readonly host: string;
  /** The request target. */
  readonly path: string;
}

/**
 * Explains what a request gets: the answer is that of `decide`, which the data plane asks too. Over https the client is
 * taken to present the certificate that its host asks for.
 */
export function explain(
  compilation: Compilation,
  request: ExplainedRequest,
  redirect: HttpsRedirect | null = null,
  health: HealthCheck | null = null,
): Explanation {
  return runToEnd(explainInSteps(compilation, request, redirect, health));
}

/**
 * The same, and may be interrupted: it looks at every Ingress for those that are not served, and at all of a host for rules that
 * could take the request too.
 */
export function* explainInSteps(
  compilation: Compilation,
  request: ExplainedRequest,
  redirect: HttpsRedirect | null = null,
  health: HealthCheck | null = null,
): Generator<void, Explanation> {
  const { table } = compilation;
  const host = request.host === '' ? '' : normalizeHost(request.host);
  const path = normalizePath(request.path);
  const arrival = arrivalOf(table, compilation.settings, request.scheme, request.host, host ?? '');
  const outcome = outcomeOf(table, factsOf(table, host, request, arrival), redirect, health);
  if (host === null || path === null) {
    const reason =
      host === null ? `"${request.host}" is no host` : `"${request.path}" is no path that can be matched`;
    return {
      host,
      path,
      outcome,
      steps: [`${reason}.`],
      ...NO_OTHER_RULES,
      certificate: null,
      notServed: [],
    };
  }
  const atGateway = arrival.portKey === undefined ? null : routesAt(table, arrival, host);
  if (atGateway?.gateway) {
    const taken = matchForGateway(atGateway, path, factsOf(table, host, request, arrival));
    const route = taken === TOO_COSTLY ? null : taken;
    const port = get(table.ports, arrival.portKey ?? '');
    const secret = port && request.scheme === 'https' ? byHostKey(port.certificates, host) : null;
    return {
      host,
      path,
      outcome,
      steps: gatewaySteps(table, arrival, atGateway, host, path, route),
      ...NO_OTHER_RULES,
      certificate: secret === null ? null : { secret, host: atGateway.host, ingress: null },
      notServed: [],
    };
  }
  const owner = owningScope(compilation, host);
  const route = match(table, host, path);
  const passed = request.scheme === 'https' ? passedThrough(table, host) : null;
  if (passed !== null) {
    const step = `TLS for it is passed through to ${passed.key}, as Ingress ${passed.route.ingress} says: Portico sees neither path nor headers.`;
    return {
      host,
      path,
      outcome: passed.outcome,
      steps: [...hostSteps(table, host, owner), step],
      ...NO_OTHER_RULES,
      certificate: null,
      notServed: yield* notServed(compilation, host),
    };
  }
  const others = yield* lostCandidates(compilation, host, path, owner, route);
  return {
    host,
    path,
    outcome,
    steps: [
      ...hostSteps(table, host, owner),
      ...(owner === null ? otherPortSteps(table, arrival, host) : []),
      ...pathSteps(compilation, host, path, owner, route),
      ...tlsSteps(host, outcome),
      ...clientSteps(compilation, host, route),
      ...closedSteps(route),
      ...splitSteps(route),
    ],
    otherRules: others.named,
    otherRuleCount: others.count,
    certificate: request.scheme === 'https' ? certificateOf(table, host) : null,
    notServed: host === '' ? [] : yield* notServed(compilation, host),
  };
}

const NO_OTHER_RULES = { otherRules: [], otherRuleCount: 0 } as const;

interface PassedThrough {
  readonly key: BackendKey;
  readonly route: Route;
  readonly outcome: ExplainedOutcome;
}

/** Where connections for a host go whose TLS does not end here; null where it does. */
function passedThrough(table: RouteTable, host: string): PassedThrough | null {
  const key = routesFor(table, host)?.passthrough;
  const route = match(table, host, '/');
  if (key === undefined || route === null) return null;
  const backend = get(table.backends, key);
  const outcome: ExplainedOutcome =
    backend && !backend.unavailable ? { kind: 'forward', route, backend } : unavailableOutcome(table, route);
  return { key, route, outcome };
}

function certificateOf(table: RouteTable, host: string): ExplainedCertificate {
  const reference = hostReference(table, host, routesFor(table, host));
  if (reference?.secret)
    return { secret: reference.secret, host: reference.host, ingress: reference.ingress };
  return { secret: get(table.certificates, '')?.secret ?? null, host: null, ingress: null };
}

function factsOf(
  table: RouteTable,
  host: string | null,
  request: ExplainedRequest,
  arrival: ArrivalPort,
): RequestFacts {
  const tls = request.scheme === 'https';
  const policyId = host === null ? undefined : routesAt(table, arrival, host)?.clients?.policyId;
  const certificate = { policyId: policyId ?? '', verdict: 'verified', fields: {}, lines: '' } as const;
  return {
    method: request.method ?? 'GET',
    target: request.path,
    host: request.host,
    // As a client that names no host can ask: for the rules without one.
    httpVersion: request.host === '' ? '1.0' : '1.1',
    scheme: request.scheme,
    connectionInfo: {
      tls,
      ...arrival,
      ...(tls && host !== null && { serverName: host }),
      ...(tls && policyId !== undefined && { certificate }),
    },
  };
}

function outcomeOf(
  table: RouteTable,
  facts: RequestFacts,
  redirect: HttpsRedirect | null,
  health: HealthCheck | null,
): ExplainedOutcome {
  const decision = decide(table, facts, redirect, health);
  switch (decision.kind) {
    case 'forward':
      return decision;
    case 'redirect':
      return decision;
    case 'refuse': {
      const { route, reason } = decision;
      const filter = route?.policies?.configs['request-redirect'];
      if (filter && reason === 'backend-invalid') {
        return {
          kind: 'redirect',
          route,
          status: filter.status,
          location: 'what the filter of the rule says',
        };
      }
      if (route && reason === 'backend-unavailable') return unavailableOutcome(table, route);
      const [status, message] = [statusOf(reason), messageOf(reason)];
      return { kind: 'refuse', status, reason, message, route, unavailable: null };
    }
  }
}

function unavailableOutcome(table: RouteTable, route: Route): ExplainedOutcome {
  const reason = 'backend-unavailable';
  const unavailable = get(table.backends, route.backend)?.unavailable ?? null;
  return { kind: 'refuse', status: statusOf(reason), reason, message: messageOf(reason), route, unavailable };
}

/** The scope that owns a host, or null when only the table's default route is left. */
function owningScope({ table, scopes }: Compilation, host: string): Scope | null {
  const routes = routesFor(table, host);
  if (!routes) return null;
  if (routes === table.hostless) return HOSTLESS;
  const scope = [routes.host, `~${routes.host}`, regexScope(routes.host)].find(
    (candidate) => get(scopes, candidate)?.routes === routes,
  );
  return scope ?? null;
}

const MISSED: Record<ScopeKind, string> = {
  precise: 'No rule has exactly this host.',
  wildcard: 'No wildcard host takes it (one label in place of the star).',
  glob: 'No host glob takes it.',
  regex: 'No host alias that is a regular expression matches it.',
  hostless: 'No rule is without a host.',
  'catch-all': '',
};

function hostSteps(table: RouteTable, host: string, owner: Scope | null): readonly string[] {
  const regex: readonly ScopeKind[] = table.hostRegexes.length > 0 ? ['regex'] : [];
  const order: readonly ScopeKind[] = ['precise', 'wildcard', 'glob', ...regex, 'hostless'];
  const found = owner === null ? order.length : order.indexOf(scopeKind(owner));
  const missed = order.slice(0, found).map((kind) => MISSED[kind]);
  if (owner === null) return missed;
  const owns =
    owner === HOSTLESS
      ? `Rules without a host take "${host}".`
      : `The rules of ${describeScope(owner)} own this host.`;
  return [...missed, owns];
}

function tlsSteps(host: string, outcome: ExplainedOutcome): readonly string[] {
  if (outcome.kind !== 'redirect') return [];
  const { route } = outcome;
  if (route?.policies?.configs['ssl-redirect']?.when === 'always') {
    return [
      `Ingress ${route.ingress} sends clients that come by http to https; explain the https URL to see where it goes.`,
    ];
  }
  return [
    `Host "${host}" has TLS, so clients that come by http are sent to https; explain the https URL to see where it goes.`,
  ];
}

function closedSteps(route: Route | null): readonly string[] {
  if (!route?.policies || route.policies.closed.length === 0) return [];
  const names = route.policies.closed.join(', ');
  return [
    `Ingress ${route.ingress} asks for what cannot be read or enforced (${names}), so its paths answer 503.`,
  ];
}

function splitSteps(route: Route | null): readonly string[] {
  const { backends = [] } = route ?? {};
  const sum = backends.reduce((sum, { weight }) => sum + weight, 0);
  return backends.flatMap(({ key, weight, canary }) => {
    if (canary === null) return [];
    const conditions = describeConditions(canary.conditions);
    const first = conditions === '' ? '' : `by ${conditions}, and otherwise `;
    return [`Canary ${canary.ingress} sends requests to ${key}: ${first}${weight} of ${sum} at random.`];
  });
}

function clientSteps({ table }: Compilation, host: string, route: Route | null): readonly string[] {
  const clients = routesFor(table, host)?.clients;
  const wanted = route?.policies?.configs['client-certificate']?.policyId;
  const policy = clients && get(table.clientPolicies, clients.policyId);
  if (clients && !policy) {
    return [
      `Ingress ${clients.ingress} asks its clients for certificates that cannot be verified: every request gets 503.`,
    ];
  }
  if (route && wanted !== undefined && wanted !== clients?.policyId) {
    return [
      `Ingress ${route.ingress} asks clients for certificates on other terms than the host: the request gets 503.`,
    ];
  }
  if (!clients || !policy) return [];
  const must = policy.required ? 'must show a certificate' : 'may show a certificate';
  return [`Clients ${must}, over TLS that ends here, as Ingress ${clients.ingress} says.`];
}

function pathSteps(
  { table }: Compilation,
  host: string,
  path: string,
  owner: Scope | null,
  route: Route | null,
): readonly string[] {
  const routes = routesFor(table, host);
  const rule = routes && findRoute(routes, path);
  if (rule === TOO_COSTLY) return [`The regular expressions of this host would take too long for "${path}".`];
  if (rule) {
    const where = `${rule.pathType} "${rule.path}" (Ingress ${rule.ingress}, ${rule.field})`;
    if (rule.pattern !== undefined) {
      return [`The regular expression that takes "${path}" first is ${where}.`];
    }
    return [`The longest rule for "${path}" is ${where}.`];
  }
  const missed = owner === null ? '' : `None of its rules takes "${path}". `;
  if (!route) return [`${missed}There is no default backend, so the answer is 404.`];
  const whose =
    route.ingress === ''
      ? "the controller's default backend"
      : `the default backend of Ingress ${route.ingress}`;
  return [`${missed}It goes to ${whose}.`];
}
