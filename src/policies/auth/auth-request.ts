import { isForwardingField, isHopByHop } from '../../http/header-fields.ts';
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

/**
 * The question whether a request may pass: its fields without its body, and how it came, in the words of ingress-nginx and
 * in those of Traefik. What the client itself says of how it came, and names that an underscore makes look like
 * another, are left out. Null when the variables of the URL make no host.
 */
export function authRequest(config: AuthRequestConfig, request: RequestView): Subrequest | null {
  const { url, verify, method, namespace } = config;
  const place = placeOf(url, request);
  if (place === null) return null;
  const target = pathOf(renderTemplate(url.target, request));
  const to: SubrequestTarget = { scheme: url.scheme, ...place, verify };
  const own: HeaderField[] = [
    ['Host', hostField(to)],
    ['X-Original-URL', `${request.scheme}://${request.host}${request.target}`],
    ['X-Original-Method', request.method],
    ['X-Sent-From', 'nginx-ingress-controller'],
    ['X-Real-IP', request.clientAddress],
    ['X-Forwarded-For', request.clientAddress],
    ['X-Forwarded-Method', request.method],
    ['X-Forwarded-Proto', request.scheme],
    ['X-Forwarded-Host', request.host],
    ['X-Forwarded-Uri', request.target],
    ['X-Auth-Request-Redirect', renderTemplate(config.redirect, request)],
    ['X-Request-ID', request.requestId],
    ...Object.entries(request.connectionInfo.certificate?.fields ?? {}),
  ];
  if (config.isMethodWritten) own.push(['X-Original-URI', request.target], ['X-Scheme', request.scheme]);
  for (const [name, value] of config.set) own.push([name, renderTemplate(value, request)]);
  const names = new Set(own.map(([name]) => name.toLowerCase()));
  const passed = request.allFields().filter(([name]) => {
    const lower = name.toLowerCase();
    if (names.has(lower) || OMITTED.has(lower) || lower.includes('_')) return false;
    return !isHopByHop(lower) && !isForwardingField(lower);
  });
  const fields = [...own.filter(([, value]) => value !== ''), ...passed];
  return { namespace, to, method, target, fields, timeoutMs: TIMEOUT_MS };
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

/** No byte of a variable may end the request line. */
function pathOf(rendered: string): string {
  const path = rendered.replaceAll(/[^\x21-\x7e]/g, encodeURIComponent);
  return path.startsWith('/') ? path : `/${path}`;
}
