import { type HeaderField, fieldSet } from '../http/head-edit.ts';
import type { LocalResponse } from '../http/local-response.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { CONTINUE, definePolicy } from './policy.ts';
import type { FormContext, StandardForm } from './standard-form.ts';

export interface CorsConfig {
  /** In lower case, one label as `*`: `https://*.example.com`; `*` stands for all. */
  readonly origins: readonly string[];
  readonly methods: string;
  readonly headers: string;
  readonly credentials: boolean;
  /** Empty for none. */
  readonly exposeHeaders: string;
  /** Seconds. */
  readonly maxAge: string;
}

const ENABLE: AnnotationSpec = {
  name: 'cors',
  nginx: 'enable-cors',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether Portico tells browsers which pages of other origins may use these paths. `OPTIONS` from an origin that may, ' +
    'and every preflight, is answered with 204 and reaches no Pod. The fields are on all responses, those of Portico ' +
    'included, and replace those of the Pod.',
  difference:
    'a preflight from another origin is answered too, without the fields, and a client that comes by http to a host with ' +
    'TLS is sent to https first.',
};

const ORIGINS: AnnotationSpec = {
  name: 'cors-allow-origin',
  nginx: 'cors-allow-origin',
  values: 'a list of `https://example.com`, `https://*.example.com:8443`, `null`, or `*`',
  default: '*',
  scope: 'path',
  about:
    'At most 1024 origins, separated by commas; `*.` stands for one label. What is not an origin is left out. Case does not ' +
    'matter. Unless it is `*`, responses have `Vary: Origin`.',
  difference: 'all of the origin is compared, not only its end.',
};

const METHODS: AnnotationSpec = {
  name: 'cors-allow-methods',
  nginx: 'cors-allow-methods',
  values: 'methods with commas between them',
  default: 'GET, PUT, POST, DELETE, PATCH, OPTIONS',
  scope: 'path',
  about: 'The value of Access-Control-Allow-Methods.',
};

const HEADERS: AnnotationSpec = {
  name: 'cors-allow-headers',
  nginx: 'cors-allow-headers',
  values: 'field names with commas between them',
  default:
    'DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization',
  scope: 'path',
  about: 'The value of Access-Control-Allow-Headers.',
};

const CREDENTIALS: AnnotationSpec = {
  name: 'cors-allow-credentials',
  nginx: 'cors-allow-credentials',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about:
    'Whether there is Access-Control-Allow-Credentials. Browsers do not accept it beside the origin `*`.',
};

const EXPOSE: AnnotationSpec = {
  name: 'cors-expose-headers',
  nginx: 'cors-expose-headers',
  values: 'field names with commas between them, or `*`',
  default: 'none',
  scope: 'path',
  about: 'The value of Access-Control-Expose-Headers.',
};

const MAX_AGE: AnnotationSpec = {
  name: 'cors-max-age',
  nginx: 'cors-max-age',
  values: 'a number of seconds',
  default: '1728000',
  scope: 'path',
  about: 'How long a browser may remember the answer to a preflight.',
};

/** RFC 9110 15.3.5: without a body, and so without its length. */
const NO_CONTENT: LocalResponse = {
  status: 204,
  reasonPhrase: 'No Content',
  fields: [],
  body: '',
  close: false,
};

export const cors = definePolicy({
  name: 'cors',
  phase: 'redirect',
  summary: 'Which pages of other origins may use these paths (Cross-Origin Resource Sharing).',
  annotations: [ENABLE, ORIGINS, METHODS, HEADERS, CREDENTIALS, EXPOSE, MAX_AGE],
  whenInvalid: 'default',

  parse(read): CorsConfig | null {
    const isEnabled = read.bool(ENABLE) ?? false;
    const config = {
      origins: readOrigins(read),
      methods: readTokens(read, METHODS) ?? METHODS.default,
      headers: readTokens(read, HEADERS) ?? HEADERS.default,
      credentials: read.bool(CREDENTIALS) ?? true,
      exposeHeaders: readTokens(read, EXPOSE) ?? '',
      maxAge: readSeconds(read) ?? MAX_AGE.default,
    };
    return isEnabled && config.origins.length > 0 ? config : null;
  },

  ofAllResponses: true,
  standardForm: corsForm,

  bind(config) {
    const { origins, credentials } = config;
    const allowed = new Set(origins);
    const isOpen = allowed.has('*');
    const allows = (origin: string | undefined): boolean => isOpen || isAllowed(allowed, origin);
    const fields = fieldSet(fieldsOf(config));
    return {
      onRequest(request) {
        if (request.method !== 'OPTIONS') return CONTINUE;
        const origin = request.value('origin');
        const isPreflight =
          origin !== undefined && request.value('access-control-request-method') !== undefined;
        return isPreflight || allows(origin) ? { kind: 'respond', response: NO_CONTENT } : CONTINUE;
      },
      onResponse(edit, request) {
        if (!isOpen && !variesByOrigin(edit.value('vary'))) edit.add('Vary', 'Origin');
        const origin = request.value('origin');
        if (!allows(origin)) return;
        edit.set('Access-Control-Allow-Origin', isOpen ? '*' : (origin ?? ''));
        if (!credentials) edit.remove('Access-Control-Allow-Credentials');
        edit.setAll(fields);
      },
    };
  },

  describe: ({ origins }) => (origins.length > 3 ? `${origins.length} origins` : origins.join(', ')),
});

/** Those that are the same for every origin. */
function fieldsOf({ methods, headers, credentials, exposeHeaders, maxAge }: CorsConfig): HeaderField[] {
  const fields: HeaderField[] = [
    ['Access-Control-Allow-Methods', methods],
    ['Access-Control-Allow-Headers', headers],
    ['Access-Control-Max-Age', maxAge],
  ];
  if (credentials) fields.push(['Access-Control-Allow-Credentials', 'true']);
  if (exposeHeaders !== '') fields.push(['Access-Control-Expose-Headers', exposeHeaders]);
  return fields;
}

const LONGEST_ORIGIN = 512;
const LABEL = /^[a-z0-9-]+$/;

/** Looks for the origin itself, and for it with a star in place of its first label. */
function isAllowed(allowed: ReadonlySet<string>, origin: string | undefined): boolean {
  if (origin === undefined || origin.length > LONGEST_ORIGIN || origin.includes('*')) return false;
  const lower = origin.toLowerCase();
  if (allowed.has(lower)) return true;
  const host = lower.indexOf('://') + 3;
  const dot = lower.indexOf('.', host);
  if (host < 3 || dot < 0 || !LABEL.test(lower.slice(host, dot))) return false;
  return allowed.has(`${lower.slice(0, host)}*${lower.slice(dot)}`);
}

function variesByOrigin(vary: string | undefined): boolean {
  if (vary === undefined) return false;
  return vary.split(',').some((name) => ['*', 'origin'].includes(name.trim().toLowerCase()));
}

const MAX_ORIGINS = 1024;
const ORIGIN =
  /^[a-z][a-z0-9+.-]{0,30}:\/\/(?:(?:\*\.)?[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/** Empty where none of those that are written is one: that must not open the paths to all. */
function readOrigins(read: AnnotationReader): readonly string[] {
  if (!read.has(ORIGINS)) return ['*'];
  const spec = { ...ORIGINS, default: 'no origin' };
  const items = read.text(spec)?.toLowerCase().split(',') ?? [];
  const written = items.flatMap((item) => item.trim() || []);
  const origins: string[] = [];
  let bad: string | null = written.length > 0 || read.isInvalid ? null : '';
  for (const item of written) {
    const isOrigin = item === '*' || item === 'null' || (item.length <= LONGEST_ORIGIN && ORIGIN.test(item));
    if (isOrigin && origins.length < MAX_ORIGINS) origins.push(item);
    else bad ??= item;
  }
  if (bad !== null) {
    const fault =
      origins.length === MAX_ORIGINS ? `is beyond the ${MAX_ORIGINS} origins of a list` : 'is not an origin';
    const message = `${quote(bad)} ${fault} and is left out: write origins like https://example.com.`;
    read.warn('AnnotationInvalid', ORIGINS, message);
  }
  return origins.includes('*') ? ['*'] : origins;
}

const MAX_LIST_LENGTH = 4096;
/** Methods and field names are tokens (RFC 9110 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;

function readTokens(read: AnnotationReader, spec: AnnotationSpec): string | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const isList = written.length <= MAX_LIST_LENGTH && /^[\t\x20-\x7e]*$/.test(written);
  if (isList && written.split(',').every((token) => TOKEN.test(token.trim()))) return written;
  read.invalid(spec, 'is not a list of names', 'write names with commas between them');
  return null;
}

function readSeconds(read: AnnotationReader): string | null {
  const written = read.text(MAX_AGE)?.trim();
  if (written === undefined) return null;
  if (/^\d{1,9}$/.test(written)) return String(Number(written));
  read.invalid(MAX_AGE, 'is not a number of seconds', 'write a whole number such as 600');
  return null;
}

const FILTER_METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH *'.split(' '),
);
const MOST_LISTED = 64;
const FILTER_ORIGIN = /^(?:\*|https?:\/\/(?:\*\.)?(?:[a-z0-9-]+\.)*[a-z0-9-]+(?::\d{1,5})?)$/;
const LONGEST_FILTER_ORIGIN = 253;
const LONGEST_NAME = 256;
const LONGEST_AGE = 2 ** 31 - 1;

function corsForm(config: CorsConfig, { approximates }: FormContext): StandardForm | null {
  const { origins, credentials } = config;
  const written = origins.filter(
    (origin) => FILTER_ORIGIN.test(origin) && origin.length <= LONGEST_FILTER_ORIGIN,
  );
  const widened = written.filter((origin) => origin !== '*' && origin.includes('*'));
  const methods = namesOf(config.methods);
  const headers = namesOf(config.headers);
  const exposed = namesOf(config.exposeHeaders);
  const maxAge = Number(config.maxAge);
  const fits =
    written.length > 0 &&
    methods.every((method) => FILTER_METHODS.has(method)) &&
    [...headers, ...exposed].every((name) => name.length <= LONGEST_NAME) &&
    [written, headers, exposed].every((list) => list.length <= MOST_LISTED) &&
    [methods, headers].every((list) => !list.includes('*') || list.length === 1) &&
    maxAge >= 1 &&
    maxAge <= LONGEST_AGE;
  const isExact = written.length === origins.length && widened.length === 0;
  if (!fits || (!isExact && !approximates)) return null;
  const filter = {
    allowOrigins: written,
    ...(methods.length > 0 && { allowMethods: methods }),
    ...(headers.length > 0 && { allowHeaders: headers }),
    ...(exposed.length > 0 && { exposeHeaders: exposed }),
    // Browsers refuse them where all origins may come, and a filter would name the one that asks.
    ...(credentials && !written.includes('*') && { allowCredentials: true }),
    maxAge,
  };
  const differs = [
    'CORS: OPTIONS that is no preflight reaches the Pod, and the fields for preflights are on no other response.',
  ];
  if (widened.length > 0)
    differs.push('CORS: "*." in an origin stands for any number of labels, not for one.');
  const lost = written.length < origins.length ? ['CORS: origins that are neither http nor https.'] : [];
  return { filters: [{ type: 'CORS', cors: filter }], differs, lost };
}

function namesOf(list: string): readonly string[] {
  return [...new Set(list.split(',').flatMap((name) => name.trim() || []))];
}
