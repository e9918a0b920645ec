import { cookieValue } from './cookies.ts';
import { normalizePath } from './path.ts';
import type { RequestView } from './request-view.ts';

/**
 * Text with variables of nginx: `$host`, `${host}`, `$http_NAME`. Parsed once, when the annotation is read; plain data, so
 * that it can be posted to a thread.
 */
export type Template = readonly TemplatePart[];
export type TemplatePart = string | Variable;

export interface Variable {
  readonly variable: (typeof VARIABLES)[number] | 'http' | 'cookie' | 'arg';
  /** Of the header field (in lower case, with hyphens), the cookie or the argument; empty for the others. */
  readonly name: string;
}

/**
 * Those without a name of their own, as nginx documents them for ngx_http_core_module; but `uri` stays percent-encoded, so
 * that no byte of it can end a field or a URL.
 */
const VARIABLES = [
  'args',
  'binary_remote_addr',
  'escaped_request_uri',
  'host',
  'http_host',
  'is_args',
  'query_string',
  'remote_addr',
  'remote_user',
  'request_id',
  'request_method',
  'request_uri',
  'scheme',
  'server_name',
  'uri',
] as const;

/** What variables are read of. */
export type TemplateRequest = Pick<
  RequestView,
  'method' | 'target' | 'host' | 'scheme' | 'clientAddress' | 'requestId' | 'value'
>;

export type ReadTemplate =
  | { readonly kind: 'template'; readonly template: Template }
  /** `fault` continues the value: `has the variable $foo, which is not known`. */
  | { readonly kind: 'invalid'; readonly fault: string };

const MOST_PARTS = 32;
const PART = /\$(?:\{([a-z0-9_]+)\}|([a-z0-9_]+))|\$|[^$]+/gi;
const NAMED = /^(http|cookie|arg)_(.+)$/;

/** Reads a text with variables. Only those above are known: a typing error must not become an empty text. */
export function parseTemplate(text: string): ReadTemplate {
  const template: TemplatePart[] = [];
  for (const [part, braced, bare] of text.matchAll(PART)) {
    if (template.length === MOST_PARTS) return invalid(`has more than ${MOST_PARTS} parts`);
    const variable = (braced ?? bare)?.toLowerCase();
    if (variable === undefined) {
      if (part === '$') return invalid('has a "$" that begins no variable');
      template.push(part);
      continue;
    }
    const known = VARIABLES.find((each) => each === variable);
    const [, prefix, name = ''] = NAMED.exec(variable) ?? [];
    if (known !== undefined) template.push({ variable: known, name: '' });
    else if (prefix === 'http') template.push({ variable: prefix, name: name.replaceAll('_', '-') });
    // nginx compares these without case, and browsers send cookies as they were set: the spelling is kept.
    else if (prefix === 'cookie' || prefix === 'arg')
      template.push({ variable: prefix, name: (braced ?? bare ?? '').slice(prefix.length + 1) });
    else return invalid(`has the variable $${variable.slice(0, 40)}, which is not known`);
  }
  return { kind: 'template', template };
}

/** The text for one request. */
export function renderTemplate(template: Template, request: TemplateRequest): string {
  let text = '';
  for (const part of template) text += typeof part === 'string' ? part : valueOf(part, request);
  return text;
}

/** As it was written. */
export function templateText(template: Template): string {
  return template
    .map((part) => {
      if (typeof part === 'string') return part;
      return `$\{${part.name === '' ? part.variable : `${part.variable}_${part.name.replaceAll('-', '_')}`}}`;
    })
    .join('');
}

/** Empty for what the request does not have, as in nginx. */
function valueOf({ variable, name }: Variable, request: TemplateRequest): string {
  switch (variable) {
    case 'http':
      return request.value(name) ?? '';
    case 'cookie':
      return cookieValue(request.value('cookie'), name) ?? '';
    case 'arg':
      return argumentOf(queryOf(request), name);
    case 'args':
    case 'query_string':
      return queryOf(request);
    case 'is_args':
      return queryOf(request) === '' ? '' : '?';
    case 'host':
    case 'server_name':
      return request.host.replace(/:\d*$/, '').toLowerCase();
    case 'http_host':
      return request.host;
    case 'remote_addr':
    case 'binary_remote_addr':
      return request.clientAddress;
    case 'remote_user':
      return userOf(request.value('authorization'));
    case 'request_id':
      return request.requestId;
    case 'request_method':
      return request.method;
    case 'request_uri':
      return request.target;
    case 'escaped_request_uri':
      return encodeURIComponent(request.target);
    case 'scheme':
      return request.scheme;
    case 'uri':
      return normalizePath(request.target) ?? '';
    default:
      return variable satisfies never;
  }
}

function queryOf({ target }: TemplateRequest): string {
  const mark = target.indexOf('?');
  return mark < 0 ? '' : target.slice(mark + 1);
}

/** The first of that name, as it was sent: nothing is decoded. */
export function argumentOf(query: string, name: string): string {
  for (let from = 0; from <= query.length;) {
    const next = query.indexOf('&', from);
    const end = next < 0 ? query.length : next;
    if (query.charCodeAt(from + name.length) === 0x3d && query.startsWith(name, from)) {
      return query.slice(from + name.length + 1, end);
    }
    from = end + 1;
  }
  return '';
}

/** What no field may have (RFC 9110 5.5), and no user name either (RFC 7617 2). */
const CONTROL = /[\x00-\x1f\x7f]/;

/**
 * The user of basic authentication (RFC 7617 2), whether the password is right or not. Empty where it has a control
 * character: base64 brings line ends, which would begin another field or request.
 */
export function userOf(authorization: string | undefined): string {
  const [, encoded = ''] = /^basic +([a-z0-9+/=]+)$/i.exec(authorization ?? '') ?? [];
  const credentials = Buffer.from(encoded, 'base64').toString('latin1');
  const colon = credentials.indexOf(':');
  const user = colon < 0 ? '' : credentials.slice(0, colon);
  return CONTROL.test(user) ? '' : user;
}

function invalid(fault: string): ReadTemplate {
  return { kind: 'invalid', fault };
}
