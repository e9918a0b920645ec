import { type NginxKey, refused, served } from './key.ts';

const NO_LOGIN = 'Portico cannot ask for a user name and a password.';
const NO_AUTH_SERVER = 'Portico cannot ask another server whether a request may pass.';
const NO_CLIENT_CERTIFICATES = 'Clients would not be asked for a certificate.';
const NO_ADDRESSES = 'Portico cannot admit clients by their address.';
const NO_FIREWALL = 'Portico has no web application firewall, so that requests would pass unchecked.';
const SNIPPET =
  'Snippets are never executed; one that may restrict access, or cannot be read, closes the path.';

/** The keys that decide who gets in and how often, and the raw configuration that may. */
export const ACCESS_KEYS: readonly NginxKey[] = [
  refused('path', 'low', 'auth-type', NO_LOGIN),
  refused('path', 'medium', 'auth-secret', NO_LOGIN),
  refused('path', 'low', 'auth-secret-type', NO_LOGIN),
  refused('path', 'medium', 'auth-realm', NO_LOGIN),

  refused('path', 'high', 'auth-url', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-method', NO_AUTH_SERVER),
  refused('path', 'high', 'auth-signin', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-signin-redirect-param', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-response-headers', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-request-redirect', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-proxy-set-headers', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-cache-key', NO_AUTH_SERVER),
  refused('path', 'medium', 'auth-cache-duration', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-keepalive', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-keepalive-share-vars', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-keepalive-requests', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-keepalive-timeout', NO_AUTH_SERVER),
  refused('path', 'low', 'auth-always-set-cookie', NO_AUTH_SERVER),
  refused('path', 'critical', 'auth-snippet', NO_AUTH_SERVER),
  refused('path', 'low', 'enable-global-auth', 'Portico has no authentication for all hosts.'),

  refused('host', 'medium', 'auth-tls-secret', NO_CLIENT_CERTIFICATES, 'portico.dev/client-ca-secret'),
  refused(
    'host',
    'medium',
    'auth-tls-verify-client',
    NO_CLIENT_CERTIFICATES,
    'portico.dev/client-certificate',
  ),
  refused('host', 'low', 'auth-tls-verify-depth', NO_CLIENT_CERTIFICATES),
  served('host', 'high', 'auth-tls-error-page'),
  refused('host', 'low', 'auth-tls-pass-certificate-to-upstream', NO_CLIENT_CERTIFICATES),
  refused(
    'host',
    'high',
    'auth-tls-match-cn',
    'Portico cannot compare the common name of a client certificate.',
  ),

  refused('path', 'medium', 'allowlist-source-range', NO_ADDRESSES),
  refused('path', 'medium', 'whitelist-source-range', NO_ADDRESSES),
  refused('path', 'medium', 'denylist-source-range', NO_ADDRESSES),
  refused('path', 'low', 'satisfy', 'Portico cannot combine addresses and authentication.'),

  served('path', 'low', 'limit-connections'),
  served('path', 'low', 'limit-rps'),
  served('path', 'low', 'limit-rpm'),
  served('path', 'low', 'limit-burst-multiplier'),
  served('path', 'low', 'limit-rate'),
  served('path', 'low', 'limit-rate-after'),
  served('path', 'low', 'limit-allowlist'),
  served('path', 'low', 'limit-whitelist'),

  refused('path', 'low', 'enable-modsecurity', NO_FIREWALL),
  refused('path', 'low', 'enable-owasp-core-rules', NO_FIREWALL),
  refused('path', 'high', 'modsecurity-transaction-id', NO_FIREWALL),
  refused('path', 'critical', 'modsecurity-snippet', NO_FIREWALL),

  refused('path', 'critical', 'configuration-snippet', SNIPPET),
  refused('host', 'critical', 'server-snippet', SNIPPET),
  refused('host', 'critical', 'stream-snippet', SNIPPET),
];
