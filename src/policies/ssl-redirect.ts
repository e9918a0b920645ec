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

export const sslRedirect = definePolicy({
  name: 'ssl-redirect',
  phase: 'redirect',
  summary: 'Whether clients that come by http are sent to https.',
  annotations: [SSL_REDIRECT, FORCE],
  whenInvalid: 'default',

  parse(read): SslRedirectConfig | null {
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
