import { MAX_HOPS } from '../http/loop.ts';
import { get } from '../model/sharded-map.ts';
import { chooseBackend } from './choose-backend.ts';
import { backendWithoutEndpoints } from './replacing-backend.ts';
import { keptBackend } from './session.ts';
import { type Backend, type HostRoutes, INVALID_REFERENCE, type Route, type RouteTable } from './table.ts';
import { hostReference } from './host-certificate.ts';
import { TOO_COSTLY } from '../http/regex/first-match.ts';
import { type ArrivalPort, routesAt } from './gateway-routes.ts';
import { matchForGateway, matchIn, normalizeHost, normalizePath, routesFor } from './match.ts';
import { normalizeRulePath } from '../http/path.ts';
import { certificateRefusal } from './client-certificate-check.ts';
import type { BoundPolicies } from '../policies/bound-policies.ts';
import type { BoundPolicy } from '../policies/policy.ts';
import type { CertificateRefusal, Redirect, Refusal } from '../http/local-response.ts';
import type { RequestFacts } from '../http/request-facts.ts';

/** What one request gets. Made by pure code; an engine carries it out. */
export type Decision =
  | Forward
  /** To the same target by https, or to what an Ingress has for clients without a good certificate. */
  | {
      readonly kind: 'redirect';
      readonly route: Route | null;
      readonly location: string;
      readonly status: number;
      readonly reason: Redirect | CertificateRefusal;
    }
  | { readonly kind: 'refuse'; readonly route: Route | null; readonly reason: Refusal };

export interface Forward {
  readonly kind: 'forward';
  readonly route: Route;
  readonly backend: Backend;
  /** `namespace/name` of the canary that brings the backend; null for one of the route itself. */
  readonly canary: string | null;
  /** The status of the response that this backend answers in place of; absent for the backends of the route. */
  readonly replaces?: number;
}

/**
 * The policies of the route that are asked before a decision is carried out. Whether there is an endpoint is not looked at
 * before them: a redirect needs none, and who may not come is not told.
 */
export function policiesToAsk(decision: Decision, { onRequest }: BoundPolicies): readonly BoundPolicy[] {
  switch (decision.kind) {
    case 'forward':
      return onRequest;
    case 'refuse':
      return decision.reason === 'backend-unavailable' || decision.reason === 'backend-invalid'
        ? onRequest
        : [];
    case 'redirect':
      return [];
    default:
      return decision satisfies never;
  }
}

/** Where hosts with TLS send clients that come without. */
export interface HttpsRedirect {
  readonly port: number;
  /** 308 when absent. */
  readonly status?: number;
  /** Rules whose path begins like one of these are not redirected. */
  readonly exempt?: readonly string[];
}

/** Where load balancers ask whether Portico is healthy, on the ports that clients use. */
export interface HealthCheck {
  /** Normalized. */
  readonly path: string;
  readonly isDraining: boolean;
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)([^#]*)$/i;

/**
 * How a certificate authority looks whether a host is ours (RFC 8555 8.3): before there is a certificate. Nothing else
 * may come past the redirect and the certificates of clients, so the target is judged as it was sent, byte by byte.
 */
const ACME_CHALLENGE = /^\/\.well-known\/acme-challenge\/[\w-]+$/;
/** Cheaper to look for than the pattern, and nearly no target has it. */
const WELL_KNOWN = '/.well-known/';
/** The paths of rules that answer it. */
const ACME_RULE = /^\/\.well-known\/acme-challenge(\/|$)/;

/**
 * The route of a request and the backend behind it. Never throws. `redirect` is null to serve TLS hosts without TLS too,
 * `health` to answer no health checks.
 */
export function decide(
  table: RouteTable,
  request: RequestFacts,
  redirect: HttpsRedirect | null = null,
  health: HealthCheck | null = null,
): Decision {
  const { method } = request;
  if (request.hops !== undefined && request.hops >= MAX_HOPS) return refuse('loop-detected');
  if (method === 'CONNECT' || method === 'TRACE') return refuse('method-not-allowed');
  const isHostless = request.host === '' && request.httpVersion === '1.0';
  let host = isHostless ? '' : normalizeHost(request.host);
  if (host === null) return refuse('bad-host');

  let target = request.target;
  if (target.charCodeAt(0) !== 0x2f) {
    if (target === '*' && method === 'OPTIONS') target = '/';
    else {
      // RFC 9112 3.2.2: absolute-form names the host a second time; two readers must not see two hosts.
      const absolute = ABSOLUTE_FORM.exec(target);
      if (!absolute) return refuse('bad-target');
      const named = normalizeHost(absolute[1] ?? '');
      if (isHostless) host = named;
      if (host === null) return refuse('bad-host');
      if (named !== host) return refuse('host-disagrees');
      target = absolute[2]?.startsWith('/') ? absolute[2] : `/${absolute[2]}`;
    }
  }
  const path = normalizePath(target);
  if (path === null) return refuse('bad-target');

  const routes =
    table.ports.size === 0
      ? routesFor(table, host)
      : routesAt(table, request.connectionInfo ?? NOWHERE, host);
  if (routes?.gateway !== undefined || request.connectionInfo?.gatewayOnly) {
    return decideForGateway(table, routes, path, request);
  }
  const route = matchIn(table, routes, path);
  if (route === TOO_COSTLY) return refuse('path-too-costly');
  if (health !== null && path === health.path && !isServed(table, routes, route, path)) {
    return refuse(health.isDraining ? 'draining' : 'healthy');
  }
  const challenge = isChallenge(request) && answersChallenges(route);
  const isPlain = redirect !== null && request.scheme !== 'https' && !challenge && !isExempt(redirect, route);
  if (isPlain && goesToHttps(table, host, routes, route)) {
    const port = redirect.port === 443 ? '' : `:${redirect.port}`;
    const { status = 308 } = redirect;
    const location = `https://${host}${port}${target}`;
    return { kind: 'redirect', route, location, status, reason: 'https-only' };
  }
  if (route !== null && route.policies !== null && route.policies.closed.length > 0) {
    return { kind: 'refuse', route, reason: 'closed-by-policy' };
  }
  const refusal = certificateRefusal(table, routes, route, request.connectionInfo, challenge);
  if (refusal !== null) return refuseCertificate(refusal, route);
  // What its Pods speak is TLS, which this connection has ended for another host.
  if (routes?.passthrough !== undefined && request.scheme === 'https') return refuse('misdirected');
  if (route === null) return refuse('no-route');
  return forward(table, route, request);
}

/** To the page of the Ingress for clients that do not show what they should, if it has one. */
function refuseCertificate(reason: CertificateRefusal, route: Route | null): Decision {
  const location = route?.policies?.configs['client-certificate']?.errorPage;
  const isOfClient = reason === 'certificate-missing' || reason === 'certificate-refused';
  if (route === null || location === undefined || !isOfClient) return { kind: 'refuse', route, reason };
  return { kind: 'redirect', route, location, status: 302, reason };
}

const NOWHERE: ArrivalPort = {};

/** What a listener of a Gateway does with a request; 404 where no listener has its host. */
function decideForGateway(
  table: RouteTable,
  routes: HostRoutes | null,
  path: string,
  request: RequestFacts,
): Decision {
  if (routes === null) return refuse('no-route');
  if (isMisdirected(table, routes, request)) return refuse('misdirected');
  const route = matchForGateway(routes, path, request);
  if (route === TOO_COSTLY) return refuse('path-too-costly');
  if (route !== null && route.policies !== null && route.policies.closed.length > 0) {
    return { kind: 'refuse', route, reason: 'closed-by-policy' };
  }
  const refusal = certificateRefusal(table, routes, route, request.connectionInfo, false);
  if (refusal !== null) return { kind: 'refuse', route, reason: refusal };
  return route === null ? refuse('no-route') : forward(table, route, request);
}

/** Whether the connection is for another listener than the host: clients share connections between hosts of HTTP/2 (RFC 9110 15.5.20). */
function isMisdirected(
  table: RouteTable,
  { gateway }: HostRoutes,
  { connectionInfo }: RequestFacts,
): boolean {
  if (!connectionInfo?.tls) return gateway?.tls !== undefined;
  const named = routesAt(table, connectionInfo, connectionInfo.serverName ?? '');
  return named?.gateway?.listener !== gateway?.listener || gateway?.tls !== undefined;
}

function forward(table: RouteTable, route: Route, request: RequestFacts): Decision {
  const { backends } = route;
  const chosen =
    backends === undefined
      ? null
      : (keptBackend(table.backends, route, backends, request) ?? chooseBackend(backends, request));
  const canary = chosen?.canary ?? null;
  const key = chosen?.key ?? route.backend;
  const served = canary?.route ?? chosen?.route ?? route;
  if (key === INVALID_REFERENCE) return { kind: 'refuse', route: served, reason: 'backend-invalid' };
  const backend = get(table.backends, key);
  if (backend && !backend.unavailable) {
    return { kind: 'forward', route: served, backend, canary: canary?.ingress ?? null };
  }
  // The share of a canary without endpoints goes to the main backend.
  const main = canary === null ? undefined : get(table.backends, route.backend);
  if (main && !main.unavailable) return { kind: 'forward', route, backend: main, canary: null };
  const other = backendWithoutEndpoints(table, route);
  if (other) return { kind: 'forward', route, backend: other, canary: null, replaces: 503 };
  return { kind: 'refuse', route, reason: 'backend-unavailable' };
}

/** Whether clients of a host are sent to https: where it has TLS, unless the Ingress of the route says otherwise. */
export function goesToHttps(
  table: RouteTable,
  host: string,
  routes: HostRoutes | null,
  route: Route | null,
): boolean {
  switch (route?.policies?.configs['ssl-redirect']?.when) {
    case 'never':
      return false;
    case 'always':
      return host !== '';
    case undefined:
      return routes?.passthrough !== undefined || hostReference(table, host, routes) !== null;
  }
}

/**
 * Whether a path belongs to somebody: any path of a host that has rules, and of the others what a rule without a host says
 * by name. A rule without a host for a shorter path, such as `/`, does not take health checks, as in ingress-nginx.
 */
function isServed(table: RouteTable, routes: HostRoutes | null, route: Route | null, path: string): boolean {
  if (routes !== null && routes !== table.hostless) return true;
  if (route === null || route.pathType === 'DefaultBackend') return false;
  return normalizeRulePath(route.path)?.startsWith(path) ?? false;
}

export function isExempt({ exempt = [] }: HttpsRedirect, route: Route | null): boolean {
  return route !== null && exempt.some((prefix) => route.path.startsWith(prefix));
}

function isChallenge({ method, target }: RequestFacts): boolean {
  if (!target.startsWith(WELL_KNOWN)) return false;
  return (method === 'GET' || method === 'HEAD') && ACME_CHALLENGE.test(target);
}

/** Whether a rule is there for challenges: one for a shorter path, or a default backend, is the site itself. */
export function answersChallenges(route: Route | null): boolean {
  if (route === null || route.pathType === 'DefaultBackend') return false;
  return ACME_RULE.test(normalizeRulePath(route.path) ?? '');
}

function refuse(reason: Refusal): Decision {
  return { kind: 'refuse', route: null, reason };
}
