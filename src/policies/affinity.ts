import { COOKIE_PATH, type SessionCookie } from '../http/session-cookie.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** A client stays with an endpoint, by a cookie or another field that Portico sets. */
export interface AffinityConfig {
  /** `balanced`: a client may be moved when the endpoints change; `persistent`: it stays until its endpoint is gone. */
  readonly mode: 'balanced' | 'persistent';
  /** Whether a client stays with the canary, or with the main backend, that it was served by. */
  readonly keepsCanary: boolean;
  /** Whether the session follows a request that had to be sent to another endpoint. */
  readonly changesOnFailure: boolean;
  readonly carrier: SessionCarrier;
  /** How long a session lasts, in seconds, whatever its client does; for any time when absent. */
  readonly lastsSeconds?: number;
}

/** What brings the session back: a cookie, or the field of this name, in lower case. */
export type SessionCarrier = { readonly cookie: SessionCookie } | { readonly header: string };

const AFFINITY: AnnotationSpec = {
  name: 'affinity',
  nginx: 'affinity',
  values: '`cookie`',
  default: 'none',
  scope: 'path',
  about:
    'Keeps each client with one endpoint of the Service, by a cookie that Portico sets on its first response. The cookie says ' +
    'nothing of the address of a Pod, and holds for every thread and every Portico. It wins over `balance`, `hash-by` and the ' +
    'session affinity of the Service.',
};

const MODE: AnnotationSpec = {
  name: 'affinity-mode',
  nginx: 'affinity-mode',
  values: '`balanced`, `persistent`',
  default: 'balanced',
  scope: 'path',
  about:
    '`balanced`: when Pods come or go, a share of the clients moves with them. `persistent`: a client stays until its Pod is ' +
    'gone.',
};

const CANARY_BEHAVIOR: AnnotationSpec = {
  name: 'affinity-canary-behavior',
  nginx: 'affinity-canary-behavior',
  values: '`sticky`, `legacy`',
  default: 'sticky',
  scope: 'path',
  about:
    '`sticky`: a client that was served by the canary stays with it, and so does one that was served by the main Ingress, ' +
    'before anything of the request decides. `legacy`: each request is decided anew.',
};

const NAME: AnnotationSpec = {
  name: 'session-cookie-name',
  nginx: 'session-cookie-name',
  values: 'the name of a cookie',
  default: 'INGRESSCOOKIE',
  scope: 'path',
  about: 'The name of the cookie.',
  difference: 'the value has a format of its own, so that sessions move once.',
};

const PATH: AnnotationSpec = {
  name: 'session-cookie-path',
  nginx: 'session-cookie-path',
  values: 'a path',
  default: 'the path of the rule',
  scope: 'path',
  about:
    'The Path of the cookie. Write one where paths are regular expressions: without it, that of the cookie is `/`.',
};

const DOMAIN: AnnotationSpec = {
  name: 'session-cookie-domain',
  nginx: 'session-cookie-domain',
  values: 'a DNS name',
  default: 'none: the host of the request',
  scope: 'path',
  about: 'The Domain of the cookie.',
};

const SAMESITE: AnnotationSpec = {
  name: 'session-cookie-samesite',
  nginx: 'session-cookie-samesite',
  values: '`None`, `Lax`, `Strict`',
  default: 'none',
  scope: 'path',
  about: 'Whether browsers send the cookie with requests that other sites cause. `None` needs https.',
};

const CONDITIONAL: AnnotationSpec = {
  name: 'session-cookie-conditional-samesite-none',
  nginx: 'session-cookie-conditional-samesite-none',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about: 'Leaves `SameSite=None` out for browsers of before 2020, which take it for `Strict`.',
};

const SECURE: AnnotationSpec = {
  name: 'session-cookie-secure',
  nginx: 'session-cookie-secure',
  values: '`true`, `false`',
  default: 'true for a request by https',
  scope: 'path',
  about: 'Whether browsers send the cookie by https only.',
};

const EXPIRES: AnnotationSpec = {
  name: 'session-cookie-expires',
  nginx: 'session-cookie-expires',
  values: 'seconds',
  default: 'none: until the browser is closed',
  scope: 'path',
  about: 'How long the cookie is kept, as a date (Expires).',
};

const MAX_AGE: AnnotationSpec = {
  name: 'session-cookie-max-age',
  nginx: 'session-cookie-max-age',
  values: 'seconds',
  default: 'none: until the browser is closed',
  scope: 'path',
  about: 'The same as a time (Max-Age), which browsers prefer.',
};

const CHANGE_ON_FAILURE: AnnotationSpec = {
  name: 'session-cookie-change-on-failure',
  nginx: 'session-cookie-change-on-failure',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether a client moves for good when its endpoint cannot be reached. Without it the request is served by another endpoint, ' +
    'and the next one tries the first again.',
  difference:
    'with `false` the request is served by another endpoint, where ingress-nginx tries the same one again.',
};

const COOKIE_KEYS = [NAME, PATH, DOMAIN, SAMESITE, CONDITIONAL, SECURE, EXPIRES, MAX_AGE, CHANGE_ON_FAILURE];

export const affinity = definePolicy({
  name: 'affinity',
  phase: 'upstream',
  summary:
    'Clients that stay with one endpoint by a cookie. The cookie is always HttpOnly. `sessionPersistence` of a rule of Gateway API ' +
    'asks for the same, also by another field.',
  annotations: [AFFINITY, MODE, CANARY_BEHAVIOR, ...COOKIE_KEYS],
  whenInvalid: 'default',
  ofCanaries: true,

  parse(read): AffinityConfig | null {
    if (read.choice(AFFINITY, ['cookie']) === null) {
      const alone = [MODE, CANARY_BEHAVIOR, ...COOKIE_KEYS].find((spec) => read.has(spec));
      if (alone && !read.isInvalid)
        read.warn('AffinityNotEnabled', alone, `This counts only beside ${read.nameOf(AFFINITY)}: "cookie".`);
      return null;
    }
    return {
      mode: read.choice(MODE, ['balanced', 'persistent']) ?? 'balanced',
      keepsCanary: read.choice(CANARY_BEHAVIOR, ['sticky', 'legacy']) !== 'legacy',
      changesOnFailure: read.bool(CHANGE_ON_FAILURE) ?? false,
      carrier: {
        cookie: {
          name: matching(read, NAME, TOKEN, 'use letters, digits and hyphens') ?? 'INGRESSCOOKIE',
          path: matching(read, PATH, COOKIE_PATH, 'write an absolute path'),
          domain: matching(read, DOMAIN, COOKIE_DOMAIN, 'write a DNS name'),
          sameSite: read.choice(SAMESITE, ['None', 'Lax', 'Strict']),
          sameSiteForOldBrowsers: read.bool(CONDITIONAL) ?? false,
          secure: read.bool(SECURE),
          expires: read.wholeNumber(EXPIRES, 1, LONGEST_SECONDS),
          maxAge: read.wholeNumber(MAX_AGE, 1, LONGEST_SECONDS),
        },
      },
    };
  },

  describe({ mode, keepsCanary, carrier, changesOnFailure, lastsSeconds }) {
    const canary = keepsCanary ? '' : ', not for canaries';
    const moves = changesOnFailure ? ', changed on failure' : '';
    const by = 'header' in carrier ? `field ${carrier.header}` : `cookie ${carrier.cookie.name}`;
    const lasts = lastsSeconds === undefined ? '' : `, for ${lastsSeconds} s`;
    return `${mode} by ${by}${canary}${moves}${lasts}`;
  },
});

/** A hundred years. */
const LONGEST_SECONDS = 3_155_760_000;
/** RFC 6265 4.1.1 */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i;
const COOKIE_DOMAIN = /^\.?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

function matching(
  read: AnnotationReader,
  spec: AnnotationSpec,
  pattern: RegExp,
  advice: string,
): string | null {
  const written = read.text(spec)?.trim() ?? '';
  if (written === '' || pattern.test(written)) return written === '' ? null : written;
  read.invalid(spec, 'is not valid', advice);
  return null;
}
