import { ACCESS_KEYS } from './access-keys.ts';
import { type NginxKey, differs, noEffect, refused, served } from './key.ts';

const ONE_REDIRECT = 'Redirects to https keep the path as it is, and name the port where it is not 443.';
const STREAMED =
  'A response is passed on as it arrives; up to 64 KiB of it wait for a slow client, and nothing is written to disk.';
const NO_FASTCGI = 'It counts beside `backend-protocol: FCGI` only, which is refused.';

const PATH_KEYS: readonly NginxKey[] = [
  served('host', 'medium', 'rewrite-target'),
  served('host', 'low', 'use-regex'),
  served('host', 'medium', 'app-root'),
  served('path', 'medium', 'x-forwarded-prefix'),
  served('path', 'medium', 'permanent-redirect'),
  served('path', 'low', 'permanent-redirect-code'),
  served('path', 'medium', 'temporal-redirect'),
  served('path', 'low', 'temporal-redirect-code'),
  differs(
    'path',
    'low',
    'relative-redirects',
    'Redirects of Portico have an absolute Location, as every client expects.',
  ),
  served('host', 'low', 'from-to-www-redirect'),
  served('path', 'low', 'ssl-redirect'),
  served('path', 'medium', 'force-ssl-redirect'),
  differs('path', 'medium', 'preserve-trailing-slash', ONE_REDIRECT),
  differs('path', 'low', 'use-port-in-redirects', ONE_REDIRECT),
  served('path', 'medium', 'proxy-redirect-from'),
  served('path', 'medium', 'proxy-redirect-to'),
  served('path', 'medium', 'proxy-cookie-domain'),
  served('path', 'medium', 'proxy-cookie-path'),
  served('host', 'high', 'server-alias'),
  served('path', 'low', 'upstream-vhost'),
  served('path', 'low', 'default-backend'),
  served('path', 'low', 'custom-http-errors'),
  served('path', 'low', 'disable-proxy-intercept-errors'),
];

const UPSTREAM_KEYS: readonly NginxKey[] = [
  served('path', 'low', 'backend-protocol'),
  served('path', 'low', 'proxy-connect-timeout'),
  served('path', 'low', 'proxy-send-timeout'),
  served('path', 'low', 'proxy-read-timeout'),
  served('path', 'medium', 'proxy-body-size'),
  served('path', 'low', 'client-body-buffer-size'),
  served('path', 'low', 'proxy-request-buffering'),
  differs('path', 'low', 'proxy-buffering', STREAMED),
  served('path', 'low', 'proxy-buffer-size'),
  differs('path', 'low', 'proxy-buffers-number', STREAMED),
  differs('path', 'low', 'proxy-busy-buffers-size', STREAMED),
  differs('path', 'low', 'proxy-max-temp-file-size', STREAMED),
  differs(
    'path',
    'low',
    'proxy-http-version',
    'Pods are spoken to in HTTP/1.1, or in HTTP/2 where they serve gRPC or h2c.',
  ),
  served('path', 'medium', 'proxy-next-upstream'),
  served('path', 'low', 'proxy-next-upstream-tries'),
  served('path', 'low', 'proxy-next-upstream-timeout'),
  served('path', 'low', 'connection-proxy-header'),
  served('path', 'low', 'service-upstream'),
  served('path', 'low', 'load-balance'),
  served('path', 'high', 'upstream-hash-by'),
  served('path', 'low', 'upstream-hash-by-subset'),
  served('path', 'low', 'upstream-hash-by-subset-size'),
  served('host', 'medium', 'proxy-ssl-secret'),
  refused(
    'host',
    'low',
    'proxy-ssl-verify',
    'The certificates of Pods would not be verified.',
    'portico.dev/backend-ca-secret and portico.dev/backend-server-name',
  ),
  served('host', 'low', 'proxy-ssl-verify-depth'),
  served('host', 'high', 'proxy-ssl-name'),
  served('host', 'low', 'proxy-ssl-server-name'),
  served('host', 'medium', 'proxy-ssl-ciphers'),
  served('host', 'low', 'proxy-ssl-protocols'),
  served('path', 'high', 'mirror-target'),
  served('path', 'high', 'mirror-host'),
  served('path', 'low', 'mirror-request-body'),
  noEffect('path', 'medium', 'fastcgi-index', NO_FASTCGI),
  noEffect('path', 'medium', 'fastcgi-params-configmap', NO_FASTCGI),
  noEffect('path', 'low', 'http2-push-preload', 'ingress-nginx has ignored it since nginx 1.25.'),
  served('path', 'low', 'enable-access-log'),
  differs(
    'path',
    'low',
    'enable-rewrite-log',
    'There is no log of rewrites; `portico explain` shows what a request gets.',
  ),
  served('path', 'medium', 'custom-headers'),
];

const CORS_KEYS: readonly NginxKey[] = [
  served('path', 'low', 'enable-cors'),
  served('path', 'medium', 'cors-allow-origin'),
  served('path', 'medium', 'cors-allow-methods'),
  served('path', 'medium', 'cors-allow-headers'),
  served('path', 'low', 'cors-allow-credentials'),
  served('path', 'medium', 'cors-expose-headers'),
  served('path', 'low', 'cors-max-age'),
];

const AFFINITY_KEYS: readonly NginxKey[] = [
  served('path', 'low', 'affinity'),
  served('path', 'medium', 'affinity-mode'),
  served('path', 'low', 'affinity-canary-behavior'),
  served('path', 'medium', 'session-cookie-name'),
  served('path', 'medium', 'session-cookie-path'),
  served('path', 'medium', 'session-cookie-domain'),
  served('path', 'low', 'session-cookie-samesite'),
  served('path', 'low', 'session-cookie-conditional-samesite-none'),
  served('path', 'low', 'session-cookie-secure'),
  served('path', 'medium', 'session-cookie-expires'),
  served('path', 'medium', 'session-cookie-max-age'),
  served('path', 'low', 'session-cookie-change-on-failure'),
  served('path', 'low', 'canary'),
  served('path', 'low', 'canary-weight'),
  served('path', 'low', 'canary-weight-total'),
  served('path', 'medium', 'canary-by-header'),
  served('path', 'medium', 'canary-by-header-value'),
  served('path', 'medium', 'canary-by-header-pattern'),
  served('path', 'medium', 'canary-by-cookie'),
];

const OTHER_KEYS: readonly NginxKey[] = [
  served('host', 'low', 'ssl-passthrough'),
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
  served('path', 'low', 'enable-opentelemetry'),
  served('path', 'low', 'opentelemetry-trust-incoming-span'),
  served('path', 'medium', 'opentelemetry-operation-name'),
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
