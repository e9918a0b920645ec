import { ACCESS_KEYS } from './access-keys.ts';
import { type NginxKey, differs, noEffect, notYet, refused } from './key.ts';

const UNCHANGED = 'Paths are forwarded as the client wrote them.';
const NO_REDIRECT = 'The request is sent to a Pod instead of being redirected.';
const ONE_REDIRECT = 'Redirects to https keep the path as it is, and name the port where it is not 443.';
const NO_CUSTOM_ERRORS = 'Responses of Pods reach the client as they are, errors included.';
const RESPONSE_UNCHANGED = 'This field of a response reaches the client as the Pod wrote it.';
const STREAMED =
  'A response is passed on as it arrives; up to 64 KiB of it wait for a slow client, and nothing is written to disk.';
const ONE_TIMEOUT = 'Every route has the same timeouts.';
const RETRIES =
  'A request is tried at another endpoint when that is safe, for every route by the same rules.';
const HASH = 'Requests are balanced round-robin.';
const NO_UPSTREAM_TLS = 'Portico presents no certificate to Pods and speaks TLS to them by its own defaults.';
const NO_MIRROR = 'Requests are sent to the main backend only.';
const NO_FASTCGI = 'Portico does not speak FastCGI.';
const NO_CORS = 'Portico does not answer preflights and sets no CORS fields; the Pod may do both itself.';
const NO_COOKIE = 'Portico sets no cookie, so that requests of one client may reach different Pods.';
const NO_CANARY = 'An Ingress that is a canary receives no requests; the main Ingress receives them all.';
const NO_TRACING = 'Portico writes no spans; trace fields of requests reach the Pod.';

const PATH_KEYS: readonly NginxKey[] = [
  notYet('host', 'medium', 'rewrite-target', UNCHANGED),
  notYet('host', 'low', 'use-regex', 'Paths are matched as they are written, not as regular expressions.'),
  notYet('host', 'medium', 'app-root', NO_REDIRECT),
  notYet('path', 'medium', 'x-forwarded-prefix', 'Pods get no X-Forwarded-Prefix, as no path is rewritten.'),
  notYet('path', 'medium', 'permanent-redirect', NO_REDIRECT),
  notYet('path', 'low', 'permanent-redirect-code', NO_REDIRECT),
  notYet('path', 'medium', 'temporal-redirect', NO_REDIRECT),
  notYet('path', 'low', 'temporal-redirect-code', NO_REDIRECT),
  differs(
    'path',
    'low',
    'relative-redirects',
    'Redirects of Portico have an absolute Location, as every client expects.',
  ),
  notYet('host', 'low', 'from-to-www-redirect', 'The other host, with or without www, is not redirected.'),
  notYet(
    'path',
    'low',
    'ssl-redirect',
    'Whether hosts with TLS redirect http to https is decided for all of them.',
    '--ssl-redirect',
  ),
  notYet(
    'path',
    'medium',
    'force-ssl-redirect',
    'Hosts without TLS are not redirected to https.',
    '--ssl-redirect and spec.tls',
  ),
  differs('path', 'medium', 'preserve-trailing-slash', ONE_REDIRECT),
  differs('path', 'low', 'use-port-in-redirects', ONE_REDIRECT),
  notYet('path', 'medium', 'proxy-redirect-from', RESPONSE_UNCHANGED),
  notYet('path', 'medium', 'proxy-redirect-to', RESPONSE_UNCHANGED),
  notYet('path', 'medium', 'proxy-cookie-domain', RESPONSE_UNCHANGED),
  notYet('path', 'medium', 'proxy-cookie-path', RESPONSE_UNCHANGED),
  notYet('host', 'high', 'server-alias', 'Only the hosts of the rules are served.', 'portico.dev/host-globs'),
  notYet('path', 'low', 'upstream-vhost', 'Pods get the Host that the client sent.'),
  notYet('path', 'low', 'default-backend', 'A Service without Pods answers 503.'),
  notYet('path', 'low', 'custom-http-errors', NO_CUSTOM_ERRORS),
  differs('path', 'low', 'disable-proxy-intercept-errors', NO_CUSTOM_ERRORS),
];

const UPSTREAM_KEYS: readonly NginxKey[] = [
  notYet('path', 'low', 'backend-protocol', 'The appProtocol of the Service port decides.'),
  notYet('path', 'low', 'proxy-connect-timeout', ONE_TIMEOUT, '--limit connect-timeout'),
  notYet('path', 'low', 'proxy-send-timeout', ONE_TIMEOUT, '--limit upstream-idle-timeout'),
  notYet('path', 'low', 'proxy-read-timeout', ONE_TIMEOUT, '--limit upstream-idle-timeout'),
  notYet('path', 'medium', 'proxy-body-size', 'Request bodies may have any size.'),
  noEffect('path', 'low', 'client-body-buffer-size', STREAMED),
  noEffect('path', 'low', 'proxy-request-buffering', STREAMED),
  differs('path', 'low', 'proxy-buffering', STREAMED),
  noEffect(
    'path',
    'low',
    'proxy-buffer-size',
    'Response heads may have the size that --limit head-bytes says.',
    '--limit head-bytes',
  ),
  differs('path', 'low', 'proxy-buffers-number', STREAMED),
  differs('path', 'low', 'proxy-busy-buffers-size', STREAMED),
  differs('path', 'low', 'proxy-max-temp-file-size', STREAMED),
  differs(
    'path',
    'low',
    'proxy-http-version',
    'Pods are spoken to in HTTP/1.1, or in HTTP/2 where they serve gRPC or h2c.',
  ),
  notYet('path', 'medium', 'proxy-next-upstream', RETRIES),
  notYet('path', 'low', 'proxy-next-upstream-tries', RETRIES, '--limit attempts'),
  notYet('path', 'low', 'proxy-next-upstream-timeout', RETRIES, '--limit connect-timeout'),
  differs(
    'path',
    'low',
    'connection-proxy-header',
    'Connections to Pods are kept open, and upgraded where a client asks for it.',
  ),
  notYet('path', 'low', 'service-upstream', 'Requests are sent to Pods directly, not to the ClusterIP.'),
  notYet('path', 'low', 'load-balance', HASH, 'portico.dev/balance'),
  notYet(
    'path',
    'high',
    'upstream-hash-by',
    HASH,
    'portico.dev/balance: consistent-hash and portico.dev/hash-by',
  ),
  notYet(
    'path',
    'low',
    'upstream-hash-by-subset',
    HASH,
    'portico.dev/balance: consistent-hash and portico.dev/hash-by',
  ),
  notYet('path', 'low', 'upstream-hash-by-subset-size', HASH),
  notYet('host', 'medium', 'proxy-ssl-secret', NO_UPSTREAM_TLS, 'portico.dev/backend-ca-secret'),
  refused(
    'host',
    'low',
    'proxy-ssl-verify',
    'The certificates of Pods would not be verified.',
    'portico.dev/backend-ca-secret and portico.dev/backend-server-name',
  ),
  notYet('host', 'low', 'proxy-ssl-verify-depth', NO_UPSTREAM_TLS),
  notYet('host', 'high', 'proxy-ssl-name', NO_UPSTREAM_TLS, 'portico.dev/backend-server-name'),
  notYet('host', 'low', 'proxy-ssl-server-name', NO_UPSTREAM_TLS, 'portico.dev/backend-server-name'),
  notYet('host', 'medium', 'proxy-ssl-ciphers', NO_UPSTREAM_TLS),
  notYet('host', 'low', 'proxy-ssl-protocols', NO_UPSTREAM_TLS),
  notYet('path', 'high', 'mirror-target', NO_MIRROR),
  notYet('path', 'high', 'mirror-host', NO_MIRROR),
  notYet('path', 'low', 'mirror-request-body', NO_MIRROR),
  notYet('path', 'medium', 'fastcgi-index', NO_FASTCGI),
  notYet('path', 'medium', 'fastcgi-params-configmap', NO_FASTCGI),
  noEffect('path', 'low', 'http2-push-preload', 'ingress-nginx has ignored it since nginx 1.25.'),
  noEffect(
    'path',
    'low',
    'enable-access-log',
    'Whether requests are logged is decided for all routes.',
    '--access-log',
  ),
  differs(
    'path',
    'low',
    'enable-rewrite-log',
    'There is no log of rewrites; `portico explain` shows what a request gets.',
  ),
  notYet(
    'path',
    'medium',
    'custom-headers',
    'Responses do not get these fields.',
    'portico.dev/response-headers',
  ),
];

const CORS_KEYS: readonly NginxKey[] = [
  notYet('path', 'low', 'enable-cors', NO_CORS),
  notYet('path', 'medium', 'cors-allow-origin', NO_CORS),
  notYet('path', 'medium', 'cors-allow-methods', NO_CORS),
  notYet('path', 'medium', 'cors-allow-headers', NO_CORS),
  notYet('path', 'low', 'cors-allow-credentials', NO_CORS),
  notYet('path', 'medium', 'cors-expose-headers', NO_CORS),
  notYet('path', 'low', 'cors-max-age', NO_CORS),
];

const AFFINITY_KEYS: readonly NginxKey[] = [
  notYet(
    'path',
    'low',
    'affinity',
    NO_COOKIE,
    'sessionAffinity: ClientIP of the Service, or portico.dev/hash-by',
  ),
  notYet('path', 'medium', 'affinity-mode', NO_COOKIE),
  notYet('path', 'low', 'affinity-canary-behavior', NO_COOKIE),
  notYet('path', 'medium', 'session-cookie-name', NO_COOKIE),
  notYet('path', 'medium', 'session-cookie-path', NO_COOKIE),
  notYet('path', 'medium', 'session-cookie-domain', NO_COOKIE),
  notYet('path', 'low', 'session-cookie-samesite', NO_COOKIE),
  notYet('path', 'low', 'session-cookie-conditional-samesite-none', NO_COOKIE),
  notYet('path', 'low', 'session-cookie-secure', NO_COOKIE),
  notYet('path', 'medium', 'session-cookie-expires', NO_COOKIE),
  notYet('path', 'medium', 'session-cookie-max-age', NO_COOKIE),
  notYet('path', 'low', 'session-cookie-change-on-failure', NO_COOKIE),
  notYet('path', 'low', 'canary', NO_CANARY),
  notYet('path', 'low', 'canary-weight', NO_CANARY),
  notYet('path', 'low', 'canary-weight-total', NO_CANARY),
  notYet('path', 'medium', 'canary-by-header', NO_CANARY),
  notYet('path', 'medium', 'canary-by-header-value', NO_CANARY),
  notYet('path', 'medium', 'canary-by-header-pattern', NO_CANARY),
  notYet('path', 'medium', 'canary-by-cookie', NO_CANARY),
];

const OTHER_KEYS: readonly NginxKey[] = [
  notYet('host', 'low', 'ssl-passthrough', 'TLS ends at Portico; it is not passed on to the Pod.'),
  differs(
    'host',
    'low',
    'ssl-ciphers',
    'Every host has the same cipher suites, all of them with forward secrecy.',
    '--tls-ciphers',
  ),
  differs(
    'host',
    'low',
    'ssl-prefer-server-ciphers',
    'Every cipher suite that is offered by default is a good one.',
  ),
  noEffect('path', 'low', 'enable-opentelemetry', NO_TRACING),
  noEffect('path', 'low', 'opentelemetry-trust-incoming-span', NO_TRACING),
  noEffect('path', 'medium', 'opentelemetry-operation-name', NO_TRACING),
];

/** Every annotation that ingress-nginx 1.15.1, its last release, acts on; the aliases count as keys of their own. */
export const NGINX_KEYS: readonly NginxKey[] = [
  ...PATH_KEYS,
  ...UPSTREAM_KEYS,
  ...ACCESS_KEYS,
  ...CORS_KEYS,
  ...AFFINITY_KEYS,
  ...OTHER_KEYS,
];
