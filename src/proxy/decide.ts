import { get } from '../model/sharded-map.ts';
import type { Backend, Route, RouteTable } from '../routing/table.ts';
import { hostReference } from '../routing/host-certificate.ts';
import { matchIn, normalizeHost, normalizePath, routesFor } from '../routing/match.ts';
import { normalizeRulePath } from '../routing/path.ts';
import { type CertificateRefusal, certificateRefusal } from './client-certificate.ts';
import type { ConnectionInfo } from './connection-info.ts';

/** What one request gets. Made by pure code; an engine carries it out. */
export type Decision =
  | { readonly kind: 'forward'; readonly route: Route; readonly backend: Backend }
  /** To the same target by https. */
  | { readonly kind: 'redirect'; readonly route: Route | null; readonly location: string }
  | { readonly kind: 'refuse'; readonly route: Route | null; readonly reason: Refusal };

/** Why a request is answered by Portico itself. `answer.ts` gives each its status and its words. */
export type Refusal =
  | 'bad-host'
  | 'bad-target'
  | 'host-disagrees'
  | 'method-not-allowed'
  | 'no-route'
  | 'backend-unavailable'
  /** A policy that decides who gets in, or what is verified, cannot be enforced. */
  | 'closed-by-policy'
  | CertificateRefusal;

/** The parts of a request head that decide where it goes, as received. */
export interface Addressee {
  readonly method: string;
  /** The request-target: origin-form, absolute-form or `*`. */
  readonly target: string;
  /** The one Host field's value; only in HTTP/1.0 it may be empty or missing. */
  readonly host: string;
  /** HTTP/1.1 unless said. */
  readonly httpVersion?: string;
  /** What the client speaks, to us or to a trusted proxy in front of us: `http` unless it is known better. */
  readonly scheme?: 'http' | 'https';
  /** The connection that it came on: in clear text unless it is known better. */
  readonly connectionInfo?: Pick<ConnectionInfo, 'tls' | 'certificate'>;
}

/** Where hosts with TLS send clients that come without. */
export interface HttpsRedirect {
  readonly port: number;
}

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)([^#]*)$/i;

/**
 * How a certificate authority looks whether a host is ours (RFC 8555 8.3): before there is a certificate. Nothing else
 * may come past the redirect and the certificates of clients, so the target is judged as it was sent, byte by byte.
 */
const ACME_CHALLENGE = /^\/\.well-known\/acme-challenge\/[\w-]+$/;
/** The paths of rules that answer it. */
const ACME_RULE = /^\/\.well-known\/acme-challenge(\/|$)/;

/** The route of a request and the backend behind it. Never throws. `redirect` is null to serve TLS hosts without TLS too. */
export function decide(
  table: RouteTable,
  request: Addressee,
  redirect: HttpsRedirect | null = null,
): Decision {
  const { method } = request;
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

  const routes = routesFor(table, host);
  const route = matchIn(table, routes, path);
  const challenge = isChallenge(request) && answersChallenges(route);
  if (redirect && request.scheme !== 'https' && !challenge && hostReference(table, host, routes)) {
    const port = redirect.port === 443 ? '' : `:${redirect.port}`;
    return { kind: 'redirect', route, location: `https://${host}${port}${target}` };
  }
  if (route !== null && route.policies !== null && route.policies.closed.length > 0) {
    return { kind: 'refuse', route, reason: 'closed-by-policy' };
  }
  const refusal = certificateRefusal(table, routes, route, request.connectionInfo, challenge);
  if (refusal !== null) return { kind: 'refuse', route, reason: refusal };
  if (route === null) return refuse('no-route');
  const backend = get(table.backends, route.backend);
  if (!backend || backend.unavailable) return { kind: 'refuse', route, reason: 'backend-unavailable' };
  return { kind: 'forward', route, backend };
}

function isChallenge({ method, target }: Addressee): boolean {
  return (method === 'GET' || method === 'HEAD') && ACME_CHALLENGE.test(target);
}

/** Whether a rule is there for challenges: one for a shorter path, or a default backend, is the site itself. */
function answersChallenges(route: Route | null): boolean {
  if (route === null || route.pathType === 'DefaultBackend') return false;
  return ACME_RULE.test(normalizeRulePath(route.path) ?? '');
}

function refuse(reason: Refusal): Decision {
  return { kind: 'refuse', route: null, reason };
}
