import { redirectTo } from '../http/local-response.ts';
import { originForm } from '../http/path.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';
import { redirectForm } from './standard-form.ts';

export interface RedirectConfig {
  readonly status: RedirectStatus;
  readonly location: RedirectLocation;
}

/** A URL as it stands, or the same URL on another host. */
export type RedirectLocation = string | { readonly host: string };

export const STATUSES = ['301', '302', '303', '307', '308'] as const;
export type RedirectStatus = (typeof STATUSES)[number];

const URLS = 'an http or https URL';
const VALUES = STATUSES.map((status) => `\`${status}\``).join(', ');
const AFTER_HTTPS = 'a client that comes by http to a host with TLS is sent to https first.';
const NO_REDIRECTS = 'codes that are no redirect to a location (300, 304, 305, 306) are not valid.';

const TO: AnnotationSpec = {
  name: 'redirect-to',
  values: URLS,
  default: 'none',
  scope: 'path',
  about:
    'Every request for these paths is redirected to this URL as it stands: path and query are not appended. The Service ' +
    'may be missing. It wins over both annotations of ingress-nginx below.',
};

const STATUS: AnnotationSpec = {
  name: 'redirect-status',
  values: VALUES,
  default: '302',
  scope: 'path',
  about:
    'The status of `redirect-to`. Clients remember 301 and 308; 307 and 308 keep the method and the body.',
};

const TEMPORAL: AnnotationSpec = {
  name: null,
  nginx: 'temporal-redirect',
  values: URLS,
  default: 'none',
  scope: 'path',
  about: 'The same with status 302. It wins over `permanent-redirect`.',
  difference: AFTER_HTTPS,
};

const TEMPORAL_CODE: AnnotationSpec = {
  name: null,
  nginx: 'temporal-redirect-code',
  values: STATUSES.slice(0, 4)
    .map((status) => `\`${status}\``)
    .join(', '),
  default: '302',
  scope: 'path',
  about: 'The status of `temporal-redirect`.',
  difference: NO_REDIRECTS,
};

const PERMANENT: AnnotationSpec = {
  name: null,
  nginx: 'permanent-redirect',
  values: URLS,
  default: 'none',
  scope: 'path',
  about: 'The same with status 301.',
  difference: AFTER_HTTPS,
};

const PERMANENT_CODE: AnnotationSpec = {
  name: null,
  nginx: 'permanent-redirect-code',
  values: VALUES,
  default: '301',
  scope: 'path',
  about: 'The status of `permanent-redirect`.',
  difference: NO_REDIRECTS,
};

export const redirect = definePolicy({
  name: 'redirect',
  phase: 'redirect',
  summary: 'Redirects all requests to one URL.',
  annotations: [TO, STATUS, TEMPORAL, TEMPORAL_CODE, PERMANENT, PERMANENT_CODE],
  whenInvalid: 'default',

  parse(read): RedirectConfig | null {
    const ours = redirectOf(read, TO, STATUS, STATUSES, '302');
    const temporal = redirectOf(read, TEMPORAL, TEMPORAL_CODE, STATUSES.slice(0, 4), '302');
    const permanent = redirectOf(read, PERMANENT, PERMANENT_CODE, STATUSES, '301');
    return ours ?? temporal ?? permanent;
  },

  write({ status, location }) {
    if (typeof location !== 'string') return null;
    return { [ownNameOf(TO)]: location, [ownNameOf(STATUS)]: status };
  },

  standardForm({ status, location }, { approximates }) {
    const statusCode = Number(status);
    if (typeof location !== 'string') {
      const requestRedirect = { hostname: location.host, statusCode };
      return { filters: [{ type: 'RequestRedirect', requestRedirect }], isFinal: true };
    }
    const form = approximates ? redirectForm(location, statusCode) : null;
    return form && { ...form, differs: ['Redirect: the query of the request is appended to the location.'] };
  },

  bind({ status, location }) {
    if (typeof location !== 'string') {
      return {
        onRequest({ scheme, host, target }) {
          const [port = ''] = /:\d+$/.exec(host) ?? [];
          const same = `${scheme}://${location.host}${port}${originForm(target)}`;
          return { kind: 'respond', response: redirectTo(Number(status), same) };
        },
      };
    }
    const verdict = { kind: 'respond', response: redirectTo(Number(status), location) } as const;
    return { onRequest: () => verdict };
  },

  describe: ({ status, location }) =>
    `${status} to ${typeof location === 'string' ? location : `host ${location.host}`}`,
});

function redirectOf(
  read: AnnotationReader,
  url: AnnotationSpec,
  code: AnnotationSpec,
  statuses: readonly RedirectStatus[],
  otherwise: RedirectStatus,
): RedirectConfig | null {
  const location = locationOf(read, url);
  const status = read.choice(code, statuses) ?? otherwise;
  return location === null ? null : { status, location };
}

const MAX_URL_LENGTH = 2048;
/** Visible ASCII without what stands for a variable in nginx, which nobody would fill in. */
const URL_TEXT = /^https?:\/\/[\x21-\x7e]+$/i;

function locationOf(read: AnnotationReader, spec: AnnotationSpec): string | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const isUrl = written.length <= MAX_URL_LENGTH && URL_TEXT.test(written) && !/[${}]/.test(written);
  if (isUrl && URL.canParse(written)) return written;
  read.invalid(spec, 'is not a URL to redirect to', `write ${URLS} without variables`);
  return null;
}
