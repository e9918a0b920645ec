import { connectionOptions, isForwardingField, isHopByHop } from '../../http/header-fields.ts';
import type { HeaderField } from '../../http/head-edit.ts';
import type { RequestView } from '../../http/request-view.ts';
import type { Subrequest, SubrequestTarget } from '../../http/subrequest.ts';
import { type Template, renderTemplate } from '../../http/variables.ts';

/** Where the authentication server is, as the annotation says. */
export interface AuthUrl {
  readonly scheme: 'http' | 'https';
  /** Host and port; with variables it is another one for each request. */
  readonly authority: { readonly host: string; readonly port: number } | { readonly template: Template };
  /** Path and query. */
  readonly target: Template;
}

/** What of the request to the authentication server an Ingress may say. */
export interface AuthRequestConfig {
  readonly namespace: string;
  readonly url: AuthUrl;
  readonly verify: boolean;
  readonly method: string;
  /** Also say X-Original-URI and X-Scheme, as ingress-nginx does where the method is written. */
  readonly isMethodWritten: boolean;
  /** The value of X-Auth-Request-Redirect. */
  readonly redirect: Template;
  /** More fields, by the name of each. */
  readonly set: readonly (readonly [name: string, value: Template])[];
}

/** From the call to the head of the answer. */
const TIMEOUT_MS = 30_000;

/** Those that frame a body, or are about this message only. */
const OMITTED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'upgrade',
  'te',
  'trailer',
]);

/** Lower-case names of the fields that Portico says itself, so that a client cannot. */
export function namesOfOwnFields({ set, isMethodWritten }: AuthRequestConfig): ReadonlySet<string> {
  const written = isMethodWritten ? ['x-original-uri', 'x-scheme'] : [];
  return new Set([...OWN_FIELDS, ...written, ...set.map(([name]) => name.toLowerCase())]);
}

const OWN_FIELDS = [
  'host',
  'x-original-url',
  'x-original-method',
  'x-sent-from',
  'x-real-ip',
  'x-forwarded-for',
  'x-forwarded-method',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-uri',
  'x-auth-request-redirect',
  'x-request-id',
  'cdn-loop',
];

/**
 * The question whether a request may pass: its fields without its body, and how it came, in the words of ingress-nginx and
 * in those of Traefik. What the client itself says of how it came, and names that an underscore makes look like
 * another, are left out. `ownFields` as `namesOfOwnFields` gives them. Null when the variables of the URL make no host.
 */
export function authRequest(
  config: AuthRequestConfig,
  ownFields: ReadonlySet<string>,
  request: RequestView,
): Subrequest | null {
  const { url, verify, method, namespace } = config;
  const place = placeOf(url, request);
  if (place === null) return null;
  const target = pathOf(renderTemplate(url.target, request));
  const to: SubrequestTarget = { scheme: url.scheme, host: place.host, port: place.port, verify };
  const fields: HeaderField[] = [];
  const say = (name: string, value: string): void => {
    if (value !== '') fields.push([name, value]);
  };
  say('Host', hostField(to));
  say('X-Original-URL', `${request.scheme}://${request.host}${request.target}`);
  say('X-Original-Method', request.method);
  say('X-Sent-From', 'nginx-ingress-controller');
  say('X-Real-IP', request.clientAddress);
  say('X-Forwarded-For', request.clientAddress);
  say('X-Forwarded-Method', request.method);
  say('X-Forwarded-Proto', request.scheme);
  say('X-Forwarded-Host', request.host);
  say('X-Forwarded-Uri', request.target);
  say('X-Auth-Request-Redirect', renderTemplate(config.redirect, request));
  say('X-Request-ID', request.requestId);
  say('CDN-Loop', request.loop);
  // Names that are never a client's.
  for (const [name, value] of Object.entries(request.connectionInfo.certificate?.fields ?? {}))
    say(name, value);
  if (config.isMethodWritten) {
    say('X-Original-URI', request.target);
    say('X-Scheme', request.scheme);
  }
  for (const [name, value] of config.set) say(name, renderTemplate(value, request));
  // What the Pod does not get is nothing to be let in by.
  const { names: dropped } = connectionOptions(request.value('connection'));
  for (const field of request.allFields()) {
    const lower = field[0].toLowerCase();
    if (ownFields.has(lower) || OMITTED.has(lower) || lower.includes('_') || dropped?.has(lower)) continue;
    if (!isHopByHop(lower) && !isForwardingField(lower)) fields.push(field);
  }
  const { cancellation } = request;
  return { namespace, to, method, target, fields, timeoutMs: TIMEOUT_MS, cancellation };
}

const NAME_AND_PORT = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::(\d{1,5}))?$/;

function placeOf(
  { scheme, authority }: AuthUrl,
  request: RequestView,
): { host: string; port: number } | null {
  if ('host' in authority) return authority;
  // Part of it is the client's: an address is never a host that a rule of an Ingress has.
  const [, host, port] = NAME_AND_PORT.exec(renderTemplate(authority.template, request).toLowerCase()) ?? [];
  if (host === undefined || !host.includes('.') || /\.\d+$/.test(host)) return null;
  const number = Number(port ?? defaultPort(scheme));
  return number >= 1 && number <= 65_535 ? { host, port: number } : null;
}

/** The port of a URL that says none. */
export function defaultPort(scheme: 'http' | 'https'): number {
  return scheme === 'https' ? 443 : 80;
}

function hostField({ scheme, host, port }: SubrequestTarget): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === defaultPort(scheme) ? name : `${name}:${port}`;
}

const UNSAFE = /[^\x21-\x7e]/;
const ALL_UNSAFE = /[^\x21-\x7e]/g;

/** No byte of a variable may end the request line. */
function pathOf(rendered: string): string {
  const path = UNSAFE.test(rendered) ? rendered.replaceAll(ALL_UNSAFE, encodeURIComponent) : rendered;
  return path.startsWith('/') ? path : `/${path}`;
}
