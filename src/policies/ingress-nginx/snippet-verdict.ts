import { quote } from '../../model/untyped.ts';
import { INGRESS_NGINX } from '../annotation-spec.ts';
import { type HeaderLine, requestFieldFault } from '../header-lines.ts';
import { type Directive, readSnippet } from './snippet.ts';

/** What becomes of a snippet, which is never executed. */
export interface SnippetVerdict {
  /** Why the path must be closed, as a clause: `line 2 has deny, which may restrict access`; null where it need not be. */
  readonly closesBecause: string | null;
  /** Annotations that do the same as one of its directives, as one would write them. */
  readonly instead: readonly string[];
  /** Harmless directives that nothing here does the same as. */
  readonly untranslated: readonly string[];
}

/**
 * Directives that let nobody in who was kept out when they are missing: they change what a response looks like, how it is
 * sent or what is logged. Every other directive closes, whether anybody knows it or not.
 */
const HARMLESS = new Set(
  (
    'absolute_redirect access_log add_header add_trailer brotli brotli_comp_level brotli_min_length brotli_static brotli_types ' +
    'charset chunked_transfer_encoding client_body_buffer_size client_body_timeout client_header_buffer_size ' +
    'client_header_timeout client_max_body_size default_type error_log error_page etag expires gzip gzip_buffers ' +
    'gzip_comp_level gzip_http_version gzip_min_length gzip_proxied gzip_static gzip_types gzip_vary http2_push_preload ' +
    'keepalive_requests keepalive_timeout large_client_header_buffers lingering_close lingering_time lingering_timeout ' +
    'log_not_found more_clear_headers more_set_headers port_in_redirect proxy_buffer_size proxy_buffering proxy_buffers ' +
    'proxy_busy_buffers_size proxy_connect_timeout proxy_cookie_domain proxy_cookie_flags proxy_cookie_path ' +
    'proxy_force_ranges proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_hide_header proxy_http_version ' +
    'proxy_ignore_headers proxy_intercept_errors proxy_max_temp_file_size proxy_next_upstream proxy_next_upstream_timeout ' +
    'proxy_next_upstream_tries proxy_pass_header proxy_read_timeout proxy_redirect proxy_request_buffering ' +
    'proxy_send_timeout proxy_socket_keepalive proxy_temp_file_write_size resolver resolver_timeout rewrite_log ' +
    'send_timeout server_tokens set sub_filter sub_filter_last_modified sub_filter_once sub_filter_types tcp_nodelay ' +
    'tcp_nopush'
  ).split(' '),
);

/** Fields of requests that Portico sets itself, so that no client can choose them. */
const OWN_REQUEST_FIELDS = new Set(
  (
    'host x-real-ip x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id connection ' +
    'upgrade'
  ).split(' '),
);

/** Annotations of ingress-nginx that do the same as a directive of another name. */
const SAME_AS: Readonly<Record<string, string>> = {
  client_max_body_size: 'proxy-body-size',
  auth_request: 'auth-url',
  auth_basic: 'auth-type',
  auth_basic_user_file: 'auth-secret',
  limit_conn: 'limit-connections',
  limit_req: 'limit-rps',
};

const REDIRECTS = {
  '301': 'permanent-redirect',
  permanent: 'permanent-redirect',
  '302': 'temporal-redirect',
  redirect: 'temporal-redirect',
} as const;

const MAX_VALUE_LENGTH = 400;

/** `isServed` tells whether a policy of ours implements an annotation of ingress-nginx, named without its prefix. */
export function judgeSnippet(text: string, isServed: (name: string) => boolean): SnippetVerdict {
  const snippet = readSnippet(text);
  if (snippet.kind === 'unreadable') {
    const closesBecause = `line ${snippet.line} ${snippet.why}, so Portico cannot tell what it restricts`;
    return { closesBecause, instead: insteadOfBlock(text), untranslated: [] };
  }
  let closesBecause: string | null = null;
  const fields: string[] = [];
  const requestFields: string[] = [];
  const annotations = new Map<string, string>();
  const untranslated = new Set<string>();
  for (const directive of snippet.directives) {
    closesBecause ??= restriction(directive);
    const set = responseFields(directive);
    const typed = sameAnnotation(directive, isServed);
    fields.push(...set);
    requestFields.push(...requestFieldsOf(directive));
    if (typed !== null && !annotations.has(typed.name)) annotations.set(typed.name, typed.value);
    if (typed === null && set.length === 0 && HARMLESS.has(directive.name)) untranslated.add(directive.name);
  }
  for (const { name, value } of addressLists(snippet.directives, isServed)) annotations.set(name, value);
  const headers = [
    ...(fields.length === 0 ? [] : [`portico.dev/response-headers: ${asYaml(fields.join('\n'))}`]),
    ...(requestFields.length === 0
      ? []
      : [`portico.dev/request-headers: ${asYaml(requestFields.join('\n'))}`]),
    ...snippet.directives.flatMap(otherReturn),
  ];
  const typed = [...annotations].map(([name, value]) => `${INGRESS_NGINX}${name}: ${asYaml(value)}`);
  return { closesBecause, instead: [...headers, ...typed], untranslated: [...untranslated] };
}

/** The one block that many snippets are: it sends clients to https. */
const TO_HTTPS = new RegExp(
  String.raw`^\s*if \(\s?\$(?:scheme|http_x_forwarded_proto) (?:!= ["']?https["']?|= ["']?http["']?)\s?\) ?\{\s*` +
    String.raw`return 30[1278] https://\$(?:host|http_host|server_name)\$request_uri;\s*\}\s*$`,
);

function insteadOfBlock(text: string): readonly string[] {
  const isToHttps = text.length <= MAX_VALUE_LENGTH && TO_HTTPS.test(text);
  return isToHttps ? [`${INGRESS_NGINX}force-ssl-redirect: "true"`] : [];
}

function restriction({ name, words, line }: Directive): string | null {
  if (HARMLESS.has(name)) return null;
  if (
    name === 'proxy_set_header' ||
    name === 'more_set_input_headers' ||
    name === 'more_clear_input_headers'
  ) {
    const fields = name === 'proxy_set_header' ? words.slice(0, 1) : words.map(fieldName);
    const foreign = fields.find((field) => !OWN_REQUEST_FIELDS.has(field.toLowerCase()));
    if (foreign === undefined && fields.length > 0) return null;
    return `line ${line} sets ${quote(foreign ?? '')} of requests, which Pods may trust and clients could then write themselves`;
  }
  return `line ${line} has ${quote(name)}, which may restrict access`;
}

/** `X-Frame-Options` of `X-Frame-Options: DENY` */
function fieldName(written: string): string {
  return (written.split(':', 1)[0] ?? '').trim();
}

/** The fields of every response that a directive sets, as `Name: value`. */
function responseFields({ name, words }: Directive): readonly string[] {
  const written =
    name === 'add_header'
      ? [`${words[0] ?? ''}: ${words[1] ?? ''}`]
      : // With -s or -t it counts for some responses only.
        name === 'more_set_headers' && !words.some((word) => word.startsWith('-'))
        ? words
        : [];
  const cleared = name === 'more_clear_headers' || name === 'proxy_hide_header' ? words : [];
  const fields = [...written, ...cleared.map((each) => `${fieldName(each)}:`)];
  return fields.every((field) => isPlain(field) && /^[\w-]+:(?:\s*\S|$)/.test(field)) ? fields : [];
}

/** The fields of requests that a directive sets, as `Name: value`; without a value it removes one. */
function requestFieldsOf({ name, words }: Directive): readonly string[] {
  const lines = (): readonly HeaderLine[] => {
    switch (name) {
      case 'proxy_set_header':
        return [{ name: words[0] ?? '', value: words[1] ?? '' }];
      case 'more_set_input_headers':
        return words.map((word) => ({
          name: fieldName(word),
          value: word.slice(word.indexOf(':') + 1).trim(),
        }));
      case 'more_clear_input_headers':
        return words.map((word) => ({ name: fieldName(word), value: '' }));
      default:
        return [];
    }
  };
  const found = lines();
  // A directive is said as a whole, or not at all.
  if (found.some((line) => line.value.length > MAX_VALUE_LENGTH || requestFieldFault(line) !== null))
    return [];
  return found.map((line) => `${line.name}: ${line.value}`.trim());
}

/** What does the same as a `return` or `deny all` that no annotation of ingress-nginx has a name for. */
function otherReturn({ name, words: [first = '', second = ''] }: Directive): readonly string[] {
  if (name !== 'return') return [];
  if (first === '403') return [`portico.dev/deny-from: ${asYaml('0.0.0.0/0, ::/0')}`];
  if (!/^30[378]$/.test(first) || !isUrl(second)) return [];
  return [`portico.dev/redirect-to: ${asYaml(second)}`, `portico.dev/redirect-status: ${asYaml(first)}`];
}

function isUrl(value: string): boolean {
  return isPlain(value) && /^https?:\/\//i.test(value);
}

interface Typed {
  /** Of the annotation, after the prefix of ingress-nginx. */
  readonly name: string;
  readonly value: string;
}

/** The annotation that does the same as a directive; null where none is served. */
function sameAnnotation({ name, words }: Directive, isServed: (name: string) => boolean): Typed | null {
  const typed = (annotation: string, value: string): Typed | null =>
    isServed(annotation) && isPlain(value) ? { name: annotation, value } : null;
  const [first = '', second = ''] = words;
  switch (name) {
    case 'proxy_set_header':
      return first.toLowerCase() === 'host' ? typed('upstream-vhost', second) : null;
    case 'return':
      if (isUrl(first)) return typed(REDIRECTS['302'], first);
      return (first === '301' || first === '302') && isUrl(second) ? typed(REDIRECTS[first], second) : null;
    case 'rewrite':
      return (words[2] === 'permanent' || words[2] === 'redirect') && isUrl(second) && takesAll(first)
        ? typed(REDIRECTS[words[2]], second)
        : null;
    case 'auth_request':
    case 'auth_basic':
    case 'auth_basic_user_file':
    case 'limit_conn':
    case 'limit_req':
      // Only the name: what the directive asks for stands elsewhere, in a location, a file or a zone.
      return typed(SAME_AS[name] ?? '', '...');
    default:
      if (words.length !== 1 || name === 'allow' || name === 'deny') return null;
      return typed(
        SAME_AS[name] ?? name.replaceAll('_', '-'),
        name.endsWith('_timeout') ? seconds(first) : first,
      );
  }
}

/**
 * What `allow` and `deny` ask for together. In nginx the first that matches decides; lists mean the same only where what is
 * denied comes first, and where `deny all` ends what is allowed.
 */
function addressLists(
  directives: readonly Directive[],
  isServed: (name: string) => boolean,
): readonly Typed[] {
  const rules = directives.filter(({ name }) => name === 'allow' || name === 'deny');
  const isAll = ({ words }: Directive): boolean => words[0] === 'all';
  const shape = rules.map((rule) => (isAll(rule) ? rule.name.toUpperCase() : rule.name)).join(' ');
  if (shape === 'DENY') return denyAll(isServed);
  if (!/^(?:deny ?)*(?:(?:allow )+DENY|ALLOW)?$/.test(shape)) return [];
  const list = (which: string): string =>
    rules.flatMap((rule) => (rule.name === which && !isAll(rule) ? (rule.words[0] ?? []) : [])).join(', ');
  return [
    { name: 'allowlist-source-range', value: list('allow') },
    { name: 'denylist-source-range', value: list('deny') },
  ].filter(({ name, value }) => isServed(name) && isPlain(value));
}

function denyAll(isServed: (name: string) => boolean): readonly Typed[] {
  const name = 'denylist-source-range';
  return isServed(name) ? [{ name, value: '0.0.0.0/0, ::/0' }] : [];
}

/** Whether an expression of `rewrite` takes every path. */
function takesAll(expression: string): boolean {
  return ['^', '.*', '^/', '^.*$', '^(.*)$', '^/(.*)$', '^/.*$', '(.*)'].includes(expression);
}

/** Without variables, which only nginx knows. */
function isPlain(value: string): boolean {
  return value !== '' && value.length <= MAX_VALUE_LENGTH && !value.includes('$');
}

/** Timeouts of annotations are whole seconds. */
function seconds(value: string): string {
  return /^(\d+)s?$/.exec(value)?.[1] ?? '';
}

/** Quoted as YAML has it; JSON is YAML. */
function asYaml(value: string): string {
  return JSON.stringify(value);
}
