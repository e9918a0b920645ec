import { isDeepStrictEqual } from 'node:util';
import { type Template, parseTemplate, templateText } from '../http/variables.ts';
import { stringEntries } from '../model/untyped.ts';
import { type AnnotationReader, CLOSED } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { authorizer } from './auth/authorizer.ts';
import { definePolicy } from './policy.ts';
import { fieldFault } from './field-fault.ts';
import { type CacheRule, DEFAULT_RULES, parseCacheRules } from './auth/auth-cache.ts';
import { type AuthUrl, defaultPort } from './auth/auth-request.ts';
import type { ExternalAuthConfig } from './auth/external-auth-config.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const KEPT = 'Has no effect: connections to the server are kept for 55 s, for each namespace by itself.';
const KEPT_DIFFERENCE =
  'Has no effect: connections are kept for 55 s, the method stays as it is, and every 2xx lets in.';

const URL_SPEC: AnnotationSpec = {
  name: 'auth-url',
  nginx: 'auth-url',
  global: 'global-auth-url',
  values: 'a URL; it may have variables of nginx',
  default: 'none: everybody is let in',
  scope: 'path',
  about:
    'For each request this server is asked with GET, with the fields of the request and without its body, whether it may pass: ' +
    '2xx lets it pass, 401 and 403 are passed on to the client, and anything else is 503 (500 under the name of ' +
    'ingress-nginx). It is told `X-Original-URL`, `X-Original-Method`, `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri`, `-For`, ' +
    '`X-Real-IP`, `X-Request-ID` and `X-Auth-Request-Redirect`. Cookies that it sets reach the client. Its redirects (302, 303, ' +
    '307) do so too, except under the name of ingress-nginx. Names of Services in other namespaces need ' +
    '`--allow-cross-namespace-external-names`.',
  difference:
    'cookies of the server are set on responses of every status, and names of Services in other namespaces need a flag.',
};

const ENABLED: AnnotationSpec = {
  name: 'global-auth',
  nginx: 'enable-global-auth',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about:
    'Whether the `global-auth-url` of the ConfigMap of ingress-nginx is asked, where there is no `auth-url`.',
};

const METHOD: AnnotationSpec = {
  name: 'auth-method',
  nginx: 'auth-method',
  global: 'global-auth-method',
  values: METHODS.map((method) => `\`${method}\``).join(', '),
  default: 'GET',
  scope: 'path',
  about: 'The method of the request to `auth-url`, which is then also told `X-Original-URI` and `X-Scheme`.',
  difference: 'CONNECT and TRACE are not valid.',
};

const SIGN_IN: AnnotationSpec = {
  name: 'auth-signin',
  nginx: 'auth-signin',
  global: 'global-auth-signin',
  values: 'a URL; it may have variables of nginx',
  default: 'none: 401 is passed on',
  scope: 'path',
  about:
    'Where a client is sent, with 302, that `auth-url` answers 401. The URL that it wanted is added as the parameter `rd`, ' +
    'unless the URL has that already.',
};

const PARAMETER: AnnotationSpec = {
  name: 'auth-signin-redirect-param',
  nginx: 'auth-signin-redirect-param',
  global: 'global-auth-signin-redirect-param',
  values: 'a name',
  default: 'rd',
  scope: 'path',
  about: 'The parameter of `auth-signin` that has the URL which the client wanted.',
};

const RESPONSE_HEADERS: AnnotationSpec = {
  name: 'auth-response-headers',
  nginx: 'auth-response-headers',
  global: 'global-auth-response-headers',
  values: 'names of fields, separated by commas',
  default: 'none',
  scope: 'path',
  about: 'Fields of the answer of `auth-url` that Pods get. What a client says under these names is removed.',
};

const REDIRECT: AnnotationSpec = {
  name: 'auth-request-redirect',
  nginx: 'auth-request-redirect',
  global: 'global-auth-request-redirect',
  values: 'a URL or path; it may have variables of nginx',
  default: 'the path and query of the request',
  scope: 'path',
  about: 'What `auth-url` is told in `X-Auth-Request-Redirect`.',
};

const SET_HEADERS: AnnotationSpec = {
  name: 'auth-request-headers',
  nginx: 'auth-proxy-set-headers',
  refersTo: 'ConfigMap',
  values: 'the name of a ConfigMap',
  default: 'none',
  scope: 'path',
  about:
    'More fields of the request to `auth-url`, by the names in this ConfigMap. Values may have variables of nginx.',
};

const CACHE_KEY: AnnotationSpec = {
  name: 'auth-cache-key',
  nginx: 'auth-cache-key',
  global: 'global-auth-cache-key',
  values: 'variables of nginx, such as `$http_authorization`',
  default: 'none: every request is asked about',
  scope: 'path',
  about:
    'Answers of `auth-url` are remembered, for the same host and the same value of these variables. Answers with a cookie, with ' +
    '`Vary`, or with a `Cache-Control` that forbids it, are not, nor is one for a request where all variables are empty. It must ' +
    'have everything that the answer depends on.',
  difference: 'each data-plane thread remembers for itself, at most 1,000 answers or 1 MiB for an Ingress.',
};

const CACHE_DURATION: AnnotationSpec = {
  name: 'auth-cache-duration',
  nginx: 'auth-cache-duration',
  global: 'global-auth-cache-duration',
  values: 'statuses and a time: `200 202 401 5m`',
  default: '200 202 401 5m',
  scope: 'path',
  about: 'For how long answers are remembered; several of them are separated by commas.',
};

const VERIFY: AnnotationSpec = {
  name: 'auth-verify',
  values: '`true`, `false`',
  default: 'true; false for the `auth-url` of ingress-nginx',
  scope: 'path',
  about: 'Whether the certificate of an `auth-url` with https must be good for its host, by the public CAs.',
};

const ALWAYS_SET_COOKIE: AnnotationSpec = {
  name: null,
  nginx: 'auth-always-set-cookie',
  global: 'global-auth-always-set-cookie',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about: 'Has no effect: cookies of `auth-url` are always set.',
  difference: 'Has no effect: cookies of the server are set on responses of every status.',
};

const EXEMPT: AnnotationSpec = {
  name: null,
  global: 'no-auth-locations',
  values: 'paths, separated by commas',
  default: '/.well-known/acme-challenge',
  scope: 'path',
  about: 'Rules whose own path is one of these, or below it, are not asked about.',
};

const KEEPALIVE = [
  'auth-keepalive',
  'auth-keepalive-requests',
  'auth-keepalive-timeout',
  'auth-keepalive-share-vars',
].map((nginx): AnnotationSpec => ({
  name: null,
  nginx,
  values: 'whatever ingress-nginx takes',
  default: 'none',
  scope: 'path',
  about: KEPT,
  difference: KEPT_DIFFERENCE,
}));

const WITH_URL = [
  METHOD,
  SIGN_IN,
  PARAMETER,
  RESPONSE_HEADERS,
  REDIRECT,
  SET_HEADERS,
  CACHE_KEY,
  CACHE_DURATION,
];

const ANNOTATIONS: readonly AnnotationSpec[] = [
  URL_SPEC,
  ...WITH_URL,
  VERIFY,
  ENABLED,
  ALWAYS_SET_COOKIE,
  EXEMPT,
  ...KEEPALIVE,
];

export const externalAuth = definePolicy({
  name: 'external-auth',
  phase: 'access',
  summary: 'Asks another server whether a request may pass.',
  annotations: ANNOTATIONS,
  whenInvalid: 'close',
  isAlternative: true,
  reservedPrefixes: ['portico.dev/global-auth'],

  parse: readConfig,
  bind: authorizer,

  differs: (config, written) =>
    isDeepStrictEqual({ ...config, isOurs: true }, written)
      ? ['A redirect of the server at auth-url reaches the client, and one that is away is 503, not 500.']
      : null,
  // Under the name of ingress-nginx nothing is verified.
  write: ({ verify }, renamed) => ({ ...renamed, [ownNameOf(VERIFY)]: String(verify) }),

  describe({ url, signIn, responseHeaders, cache }) {
    const host = 'host' in url.authority ? url.authority.host : templateText(url.authority.template);
    const parts = [
      `asks ${host}`,
      ...(signIn ? ['signs in'] : []),
      ...(responseHeaders.length > 0 ? [`passes on ${responseHeaders.join(', ')}`] : []),
      ...(cache ? ['cached'] : []),
    ];
    return parts.join(', ');
  },
});

/** Reads the annotations; those of an Ingress with an `auth-url` of its own are not completed by global options. */
function readConfig(read: AnnotationReader): ExternalAuthConfig | null {
  const isOwn = read.isWritten(URL_SPEC);
  const isEnabled = read.bool(ENABLED) ?? true;
  if (!isOwn && !isEnabled && !read.isInvalid) return null;
  if (!read.has(URL_SPEC)) return withoutUrl(read);
  const optional = (spec: AnnotationSpec): AnnotationSpec | null =>
    read.isWritten(spec) || (!isOwn && read.has(spec)) ? spec : null;
  const isOurs = read.isOurs(URL_SPEC);
  const url = readUrl(read);
  const signIn = readSignIn(read, optional(SIGN_IN), optional(PARAMETER));
  const method = optional(METHOD);
  const config = {
    namespace: read.namespace,
    verify: read.bool(VERIFY) ?? isOurs,
    method: (method && read.choice(method, METHODS)) ?? 'GET',
    isMethodWritten: method !== null,
    redirect: readRedirect(read, optional(REDIRECT)),
    set: readSetHeaders(read, optional(SET_HEADERS)),
    signIn,
    responseHeaders: readNames(read, optional(RESPONSE_HEADERS)),
    cache: readCache(read, optional(CACHE_KEY), optional(CACHE_DURATION)),
    exempt: (read.text(EXEMPT) ?? EXEMPT.default)
      .split(',')
      .flatMap((path) => path.trim().replace(/\/+$/, '') || []),
    isOurs,
  };
  return url && { url, ...config };
}

/** Something speaks of a server that is asked, and none is named. */
function withoutUrl(read: AnnotationReader): null {
  const asking = [...WITH_URL, VERIFY, ALWAYS_SET_COOKIE, ...KEEPALIVE, ENABLED].find((spec) =>
    read.isWritten(spec),
  );
  if (asking === undefined) return null;
  const message = `There is no auth-url that says which server to ask: write it beside this annotation, or remove this one; ${CLOSED}.`;
  read.fail('AuthUrlMissing', asking, message);
  return null;
}

const MAX_LENGTH = 2_048;
const URL_FORM = /^(https?):\/\/([^/?#\s]+)(\/[^#\s]*|\?[^#\s]*)?$/i;

function readUrl(read: AnnotationReader): AuthUrl | null {
  const written = read.text(URL_SPEC)?.trim() ?? '';
  const [, protocol = '', authority = '', rest = '/'] = URL_FORM.exec(written) ?? [];
  const scheme = protocol.toLowerCase();
  if ((scheme !== 'http' && scheme !== 'https') || written.length > MAX_LENGTH || /@|\.\./.test(written)) {
    read.invalid(URL_SPEC, 'is not a URL to ask', 'write one like http://auth.example.com/check');
    return null;
  }
  const target = readTemplate(read, URL_SPEC, rest);
  if (target === null) return null;
  if (authority.includes('$')) {
    const template = readTemplate(read, URL_SPEC, authority);
    return template && { scheme, authority: { template }, target };
  }
  const place = placeIn(authority, scheme);
  if (place === null) {
    read.invalid(URL_SPEC, 'has no valid host', 'write one like http://auth.example.com/check');
    return null;
  }
  const refused = read.refusedHost(place.host);
  if (refused !== null) {
    const message = `The host ${place.host} of auth-url ${refused}: use another host; ${CLOSED}.`;
    read.fail('AuthUrlRefused', URL_SPEC, message);
    return null;
  }
  return { scheme, authority: place, target };
}

function placeIn(authority: string, scheme: 'http' | 'https'): { host: string; port: number } | null {
  const text = `http://${authority}`;
  if (!URL.canParse(text) || /[^a-z0-9.:[\]_-]/i.test(authority)) return null;
  const { hostname, port } = new URL(text);
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  // What `new URL` turns into an address must have been one.
  if (host === '' || (/^[\d.]+$/.test(host) && !authority.startsWith(host))) return null;
  const said = /:(\d+)$/.exec(authority.replace(/^\[.*\]/, ''))?.[1];
  return { host, port: said === undefined ? defaultPort(scheme) : Number(port || 80) };
}

const LINK = /^(?:https?:\/\/|\$scheme:\/\/|\/)[^\s"]*$/i;

function readSignIn(
  read: AnnotationReader,
  spec: AnnotationSpec | null,
  parameterSpec: AnnotationSpec | null,
): Template | null {
  const parameter = parameterSpec === null ? 'rd' : readParameter(read, parameterSpec);
  const written = spec === null ? null : read.text(spec)?.trim();
  if (spec === null || written === null || written === undefined) return null;
  if (written.length > MAX_LENGTH || !LINK.test(written)) {
    read.invalid(spec, 'is not a URL', 'write one like https://auth.example.com/sign-in');
    return null;
  }
  return readTemplate(read, spec, withParameter(written, parameter));
}

/** The URL with the one that the client wants, unless that is there already. */
function withParameter(url: string, parameter: string): string {
  const query = /\?([^#]*)/.exec(url)?.[1];
  const wanted = `${parameter}=$scheme://$http_host$escaped_request_uri`;
  if (query === undefined || query === '') return `${url.replace(/\?$/, '')}?${wanted}`;
  const has = query
    .split('&')
    .some((each) => each.startsWith(`${parameter}=`) && each.length > parameter.length + 1);
  return has ? url : `${url}&${wanted}`;
}

function readParameter(read: AnnotationReader, spec: AnnotationSpec): string {
  const written = read.text(spec)?.trim() ?? 'rd';
  if (/^[\w.-]{1,64}$/.test(written)) return written;
  read.invalid(spec, 'is not the name of a parameter', 'write letters, digits, "_", "-" and "."');
  return 'rd';
}

const MAX_NAMES = 64;

function readNames(read: AnnotationReader, spec: AnnotationSpec | null): readonly string[] {
  const written = (spec && read.text(spec)) ?? '';
  const names = written.split(',').flatMap((name) => name.trim().toLowerCase() || []);
  const bad = names.find((name) => fieldFault(name, 'x') !== null || name === 'host');
  if (spec !== null && (bad !== undefined || names.length > MAX_NAMES)) {
    read.invalid(
      spec,
      'is not a list of fields that a Pod may get',
      `write at most ${MAX_NAMES} names with commas between them`,
    );
    return [];
  }
  return [...new Set(names)];
}

function readRedirect(read: AnnotationReader, spec: AnnotationSpec | null): Template {
  const usual: Template = [{ variable: 'request_uri', name: '' }];
  const written = spec && read.text(spec)?.trim();
  if (spec === null || typeof written !== 'string') return usual;
  if (written.length <= MAX_LENGTH && /^(?:https?:\/\/|\/|\$)[^\s"]*$/i.test(written))
    return readTemplate(read, spec, written) ?? usual;
  read.invalid(spec, 'is not a URL', 'write one like https://app.example.com/start');
  return usual;
}

function readSetHeaders(
  read: AnnotationReader,
  spec: AnnotationSpec | null,
): readonly (readonly [string, Template])[] {
  const named = spec && read.configMap(spec);
  if (spec === null || !named) return [];
  if (!named.object) {
    read.fail('ConfigMapMissing', spec, `${named.absence}; ${CLOSED}.`);
    return [];
  }
  const fields = stringEntries(named.object.data);
  if (fields.length > MAX_NAMES) {
    read.fail(
      'AuthHeaderInvalid',
      spec,
      `ConfigMap ${named.key} has more than ${MAX_NAMES} fields; ${CLOSED}.`,
    );
    return [];
  }
  return fields.flatMap(([name, value]) => {
    const text = value.trim().replace(/^"(.*)"$/, '$1');
    const parsed = parseTemplate(text);
    const fault =
      fieldFault(name, text === '' ? 'x' : text) ?? (parsed.kind === 'invalid' ? parsed.fault : null);
    if (fault === null && parsed.kind === 'template') return [[name, parsed.template] as const];
    read.fail('AuthHeaderInvalid', spec, `The key ${name} of ConfigMap ${named.key} ${fault}; ${CLOSED}.`);
    return [];
  });
}

function readCache(
  read: AnnotationReader,
  keySpec: AnnotationSpec | null,
  durationSpec: AnnotationSpec | null,
): { readonly key: Template; readonly rules: readonly CacheRule[] } | null {
  const rules = durationSpec === null ? DEFAULT_RULES : readRules(read, durationSpec);
  const written = keySpec && read.text(keySpec)?.trim();
  if (keySpec === null || typeof written !== 'string') return null;
  if (!/^[\w$.:{}|-]{1,512}$/.test(written)) {
    read.invalid(
      keySpec,
      'is not a list of variables',
      'write variables of nginx such as $http_authorization',
    );
    return null;
  }
  const key = readTemplate(read, keySpec, written);
  return key && { key, rules };
}

function readRules(read: AnnotationReader, spec: AnnotationSpec): readonly CacheRule[] {
  const written = read.text(spec);
  const rules = written === null ? DEFAULT_RULES : parseCacheRules(written);
  if (rules !== null) return rules;
  read.invalid(spec, 'is not valid', 'write statuses and a time, such as 200 202 401 5m');
  return DEFAULT_RULES;
}

function readTemplate(read: AnnotationReader, spec: AnnotationSpec, text: string): Template | null {
  const parsed = parseTemplate(text);
  if (parsed.kind === 'template') return parsed.template;
  read.invalid(spec, parsed.fault, 'use variables such as $host, $request_uri and $http_NAME');
  return null;
}
