import { accessLog } from './access-log.ts';
import { affinity } from './affinity.ts';
import { appRoot } from './app-root.ts';
import { balance } from './balance.ts';
import { backendTransport } from './backend-transport.ts';
import { basicAuth } from './basic-auth.ts';
import { blockList } from './block-list.ts';
import { canary } from './canary.ts';
import { clientCertificate } from './client-certificate.ts';
import { cookieRewrite } from './cookie-rewrite.ts';
import { compression } from './compression.ts';
import { clientName } from './client-name.ts';
import { cors } from './cors.ts';
import { corsFilter } from './cors-filter.ts';
import { customHeaders } from './custom-headers.ts';
import { errorBackend } from './error-backend.ts';
import { externalAuth } from './external-auth.ts';
import { externalAuthFilter } from './external-auth-filter.ts';
import { globalHeaders } from './global-headers.ts';
import { headerModifier } from './header-modifier.ts';
import { hostAliases } from './host-aliases.ts';
import { locationRewrite } from './location-rewrite.ts';
import { pathRegex } from './path-regex.ts';
import { mirror } from './mirror.ts';
import type { PolicyModule } from './policy.ts';
import { rateLimit } from './rate-limit.ts';
import { redirect } from './redirect.ts';
import { requestMirror } from './request-mirror.ts';
import { requestRedirect } from './request-redirect.ts';
import { requestTimeout } from './request-timeout.ts';
import { requestBody } from './request-body.ts';
import { responseRate } from './response-rate.ts';
import { retries } from './retries.ts';
import { responseHead } from './response-head.ts';
import { requestHeaders } from './request-headers.ts';
import { responseHeaders } from './response-headers.ts';
import { rewrite } from './rewrite.ts';
import { satisfy } from './satisfy.ts';
import { serviceUpstream } from './service-upstream.ts';
import { sourceRanges } from './source-ranges.ts';
import { sslRedirect } from './ssl-redirect.ts';
import { timeouts } from './timeouts.ts';
import { tracing } from './tracing.ts';
import { tlsPassthrough } from './tls-passthrough.ts';
import { upstreamTls } from './upstream-tls.ts';
import { upstreamConnection } from './upstream-connection.ts';
import { upstreamHost } from './upstream-host.ts';
import { wwwRedirect } from './www-redirect.ts';

/**
 * Every policy, in the order in which they act on a request. Within a phase the order is that of the list; the reason for
 * each place stands beside it.
 */
export const POLICIES = [
  // Read by decide(), and before all others: on a canary most of them do not count.
  canary,
  // redirect: read by the routing, before there is a route.
  hostAliases,
  pathRegex,
  wwwRedirect,
  // redirect: read by decide(), before a policy of the route is asked.
  sslRedirect,
  // redirect: the root of the host before what all paths of an Ingress are redirected to, as in ingress-nginx.
  appRoot,
  // redirect: a preflight is answered before limits and access, which it brings no credentials for; it follows no redirect.
  cors,
  corsFilter,
  redirect,
  requestRedirect,
  // limit: who asks for too much costs nothing that comes after it.
  rateLimit,
  // access: decided by the connection, before anything that costs more.
  clientCertificate,
  // access: what no host wants, before what a host wants.
  blockList,
  // access: by the name in that certificate.
  clientName,
  // access: whether one of those that follow is enough; read when they are bound.
  satisfy,
  // access: by an address alone, before whatever asks for a secret.
  sourceRanges,
  // access: whatever another server says; before passwords, as in ingress-nginx.
  externalAuth,
  externalAuthFilter,
  // access: by a password; after whatever tells clients apart for less.
  basicAuth,
  // rewrite: a body that no Pod gets is not asked for before the client may come in.
  requestBody,
  // rewrite: what holds for all hosts, before what an Ingress says of the same fields.
  globalHeaders,
  // rewrite: what Pods get of a request that may pass.
  requestHeaders,
  upstreamHost,
  upstreamConnection,
  // rewrite: the path, which limits and access know as the client wrote it.
  rewrite,
  // upstream: read when a connection begins, before there is a request.
  tlsPassthrough,
  // upstream: read by the routing, which backend.
  serviceUpstream,
  errorBackend,
  // upstream: which endpoint, and how it is spoken to.
  mirror,
  affinity,
  balance,
  backendTransport,
  upstreamTls,
  // upstream: how long the endpoint is waited for.
  timeouts,
  // upstream: which one comes after it.
  retries,
  // upstream: how long all of that may take.
  requestTimeout,
  // upstream: what may come back from it.
  responseHead,
  // response: how fast they go on.
  responseRate,
  // response: for responses of Pods and for local responses.
  locationRewrite,
  cookieRewrite,
  // response: after what changes the fields of Pods, whose values they replace.
  customHeaders,
  responseHeaders,
  // response, and rewrite of requests: what a route says of fields, after all else.
  headerModifier,
  // upstream: copies of what is sent in the end.
  requestMirror,
  // response: by what the fields say in the end.
  compression,
  // response: read by the thread when an exchange is over.
  accessLog,
  // response: read by the thread when the route is known, and what is recorded is written when the exchange is over.
  tracing,
] as const;

type Policies = (typeof POLICIES)[number];

export type PolicyName = Policies['name'];

/** The config of each policy by its name; those that are not asked for are absent. */
export type PolicyConfigs = {
  readonly [M in Policies as M['name']]?: M extends PolicyModule<infer C> ? C : never;
};
