import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Whether clients that come by http are sent to https; without a config they are where the host has TLS. */
export interface SslRedirectConfig {
  readonly when: 'never' | 'always';
}

const SSL_REDIRECT: AnnotationSpec = {
  name: 'ssl-redirect',
  nginx: 'ssl-redirect',
  global: 'ssl-redirect',
  values: '`true`, `false`, `always`',
  default: 'true',
  scope: 'path',
  about:
    'Whether a client that comes by http is sent to the same URL by https, with 308. `true`: where the host has TLS. ' +
    '`always`: also where something in front of Portico has the certificate. `false`: never. It has no effect without a ' +
    'TLS port, or with `--ssl-redirect=false`.',
  difference: 'a `/` at the end of the URL stays, and `true` does not win over `--ssl-redirect=false`.',
};

const FORCE: AnnotationSpec = {
  name: null,
  nginx: 'force-ssl-redirect',
  global: 'force-ssl-redirect',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about: '`true` is `always`, even beside `ssl-redirect: "false"` of ingress-nginx.',
  difference: 'a `/` at the end of the URL stays, and it does not win over `--ssl-redirect=false`.',
};

const PRESERVE_SLASH: AnnotationSpec = {
  name: null,
  nginx: 'preserve-trailing-slash',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about: 'Whether a `/` at the end of the URL stays when a client is sent to https.',
  difference: 'it always stays.',
};

const USE_PORT: AnnotationSpec = {
  name: null,
  nginx: 'use-port-in-redirects',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about: 'Whether the URL that a client is sent to names the https port.',
  difference: 'it is always named if it is not 443.',
};

export const sslRedirect = definePolicy({
  name: 'ssl-redirect',
  phase: 'redirect',
  summary: 'Whether clients that come by http are sent to https.',
  annotations: [SSL_REDIRECT, FORCE, PRESERVE_SLASH, USE_PORT],
  whenInvalid: 'default',
  ofIngressesOnly: true,

  parse(read): SslRedirectConfig | null {
    // Read for their problems alone.
    read.bool(PRESERVE_SLASH);
    read.bool(USE_PORT);
    const isForced = read.bool(FORCE) ?? false;
    const chosen = readSslRedirect(read);
    if (read.isOurs(SSL_REDIRECT) && read.has(SSL_REDIRECT)) return chosen;
    return isForced ? { when: 'always' } : chosen;
  },

  describe: ({ when }) => when,
});

function readSslRedirect(read: AnnotationReader): SslRedirectConfig | null {
  if (!read.isOurs(SSL_REDIRECT)) return read.bool(SSL_REDIRECT) === false ? { when: 'never' } : null;
  switch (read.choice(SSL_REDIRECT, ['true', 'false', 'always'])) {
    case 'false':
      return { when: 'never' };
    case 'always':
      return { when: 'always' };
    default:
      return null;
  }
}
