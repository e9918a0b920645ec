import type { LocalResponse } from '../http/local-response.ts';
import type { RequestView } from '../http/request-view.ts';
import { type UntypedObject, asArray, asString, quote } from '../model/untyped.ts';
import type { FilterReader } from './filter-reader.ts';
import { CONTINUE, definePolicy } from './policy.ts';

export interface CorsFilterConfig {
  /** In lower case; a star stands for any text: `https://*.example.com`, `*`. */
  readonly origins: readonly string[];
  /** `*` for all that are asked for. */
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly credentials: boolean;
  /** Seconds. */
  readonly maxAge: number;
}

const NO_CONTENT: LocalResponse = {
  status: 204,
  reasonPhrase: 'No Content',
  fields: [],
  body: '',
  close: false,
};

const FIELDS = [
  'Access-Control-Allow-Origin',
  'Access-Control-Allow-Credentials',
  'Access-Control-Allow-Methods',
  'Access-Control-Allow-Headers',
  'Access-Control-Expose-Headers',
  'Access-Control-Max-Age',
];

export const corsFilter = definePolicy({
  name: 'cors-filter',
  phase: 'redirect',
  summary:
    'Which pages of other origins may use a route: the filter `CORS` of Gateway API. A preflight is answered and reaches no Pod.',
  annotations: [],
  whenInvalid: 'close',

  parse(): CorsFilterConfig | null {
    return null;
  },

  filters: ['CORS'],

  fromFilter: readCors,

  bind(config) {
    const allows = originTest(config.origins);
    const isOpen = config.origins.includes('*') && !config.credentials;
    const expose = config.exposeHeaders.join(', ');
    return {
      onRequest: (request) => (isPreflight(request) ? { kind: 'respond', response: NO_CONTENT } : CONTINUE),
      onResponse(edit, request) {
        for (const name of FIELDS) edit.remove(name);
        if (!isOpen && !variesByOrigin(edit.value('vary'))) edit.add('Vary', 'Origin');
        const origin = request.value('origin');
        if (origin === undefined || !allows(origin)) return;
        edit.set('Access-Control-Allow-Origin', isOpen ? '*' : origin);
        if (config.credentials) edit.set('Access-Control-Allow-Credentials', 'true');
        if (expose !== '') edit.set('Access-Control-Expose-Headers', expose);
        if (!isPreflight(request)) return;
        const methods = listedOr(config.methods, request.value('access-control-request-method'));
        if (methods !== '') edit.set('Access-Control-Allow-Methods', methods);
        const headers = listedOr(config.headers, request.value('access-control-request-headers'));
        if (headers !== '') edit.set('Access-Control-Allow-Headers', headers);
        edit.set('Access-Control-Max-Age', String(config.maxAge));
      },
    };
  },

  describe: ({ origins }) => (origins.length > 3 ? `${origins.length} origins` : origins.join(', ')),
});

function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.value('origin') !== undefined &&
    request.value('access-control-request-method') !== undefined
  );
}

const MAX_ASKED = 4_096;
/** Names with commas between them (RFC 9110 5.6.1). */
const NAMES = /^[\w!#$%&'*+.^`|~, \t-]+$/;

/** What is listed; for a star what was asked for, if it is a list of names. */
function listedOr(listed: readonly string[], asked = ''): string {
  if (!listed.includes('*')) return listed.join(', ');
  return asked.length <= MAX_ASKED && NAMES.test(asked) ? asked : '';
}

const LONGEST_ORIGIN = 512;

function originTest(origins: readonly string[]): (origin: string) => boolean {
  const exact = new Set(origins.filter((origin) => !origin.includes('*')));
  const isOpen = origins.includes('*');
  const patterns = origins
    .filter((origin) => origin.includes('*') && origin !== '*')
    .map((origin) => origin.split('*', 2));
  return (written) => {
    if (isOpen) return true;
    const origin = written.toLowerCase();
    if (exact.has(origin)) return true;
    // A filter has at most 64 origins.
    return (
      origin.length <= LONGEST_ORIGIN &&
      patterns.some(
        ([before = '', after = '']) =>
          origin.length > before.length + after.length && origin.startsWith(before) && origin.endsWith(after),
      )
    );
  };
}

function variesByOrigin(vary: string | undefined): boolean {
  if (vary === undefined) return false;
  return vary.split(',').some((name) => ['*', 'origin'].includes(name.trim().toLowerCase()));
}

const MAX_ORIGINS = 64;
const ORIGIN = /^(?:\*|[a-z][a-z0-9+.-]{0,30}:\/\/[a-z0-9_.*[\]:-]{1,300})$/;
/** RFC 9110 5.6.2 */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i;

function readCors(written: UntypedObject, read: FilterReader): CorsFilterConfig {
  const { allowOrigins, allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge = 5 } = written;
  const origins = asArray(allowOrigins)
    .slice(0, MAX_ORIGINS)
    .map((origin) => (asString(origin) ?? '').toLowerCase());
  const bad = origins.find((origin) => !ORIGIN.test(origin) || origin.split('*').length > 2);
  if (bad !== undefined)
    read.fail(`allows the origin ${quote(bad)}`, 'write origins like https://example.com');
  const tokens = (list: unknown): readonly string[] =>
    asArray(list).map((each) => {
      const token = asString(each) ?? '';
      return TOKEN.test(token)
        ? token
        : read.fail(`lists the name ${quote(each)}`, 'write names of methods and fields');
    });
  return {
    origins,
    methods: tokens(allowMethods),
    headers: tokens(allowHeaders),
    exposeHeaders: tokens(exposeHeaders),
    credentials: allowCredentials === true,
    maxAge: Number.isInteger(maxAge) && Number(maxAge) >= 0 ? Number(maxAge) : 5,
  };
}
