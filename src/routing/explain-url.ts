import { describePolicies } from '../policies/describe-policies.ts';
import { type SourceLocation, formatProblem } from '../model/format-problem.ts';
import { type Problem, describeObject } from '../model/problem.ts';
import { readTlsSecret } from '../model/secrets.ts';
import { get } from '../model/sharded-map.ts';
import { serviceOf } from './backends.ts';
import type { Compilation } from './compile/compilation.ts';
import type { HealthCheck, HttpsRedirect } from './decide.ts';
import {
  type ExplainedCertificate,
  type ExplainedRequest,
  type Explanation,
  explainInSteps,
} from './explanation.ts';
import type { Backend, Route } from './table.ts';

/** What `explain` says beyond how the request is routed: what the route's policies do, and what is wrong around it. */
export interface FullExplanation extends Explanation {
  readonly certificate: (ExplainedCertificate & { readonly validUntil: string | null }) | null;
  /** What the Pods of the backend are spoken to; null where nothing is forwarded. */
  readonly protocol: string | null;
  readonly policies: readonly string[];
  /** Of the Ingress, the Service and the Secret that take part, with what they are about. */
  readonly problems: readonly string[];
}

export interface ExplainUrlOptions {
  readonly redirect: HttpsRedirect | null;
  readonly health: HealthCheck | null;
  /** All problems, or at least those of reading and those of the objects that are named, as `Ingress shop/web`. */
  readonly problems: (subjects: ReadonlySet<string>) => readonly Problem[];
  readonly locate: (problem: Problem) => SourceLocation | null;
  /** Whether policies are described without the values of header fields. */
  readonly hidesValues: boolean;
}

export type ParsedUrl =
  | { readonly kind: 'request'; readonly request: ExplainedRequest }
  | { readonly kind: 'invalid'; readonly reason: string };

const URL_PARTS = /^(?:([a-z][a-z0-9+.-]*):\/\/|(?![^/?#]*:\/\/))([^/?#]+)([^#]*)/i;

/** `http://shop.example.com/cart`, or the same without `http://`; an international host as browsers send it. */
export function parseUrl(url: string): ParsedUrl {
  const [, scheme = 'http', host, rest = ''] = URL_PARTS.exec(url) ?? [];
  if (host === undefined) return { kind: 'invalid', reason: `'${url}' is not a URL; write http://host/path` };
  const lowerScheme = scheme.toLowerCase();
  if (lowerScheme !== 'http' && lowerScheme !== 'https') {
    const reason = `'${scheme}:' is not supported; write http://host/path or https://host/path`;
    return { kind: 'invalid', reason };
  }
  const asciiHost = asciiHostOf(host);
  if (asciiHost === null) return { kind: 'invalid', reason: `'${host}' is not a host name` };
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  return { kind: 'request', request: { scheme: lowerScheme, host: asciiHost, path } };
}

/** `xn--bcher-kva.example:8443` for `bücher.example:8443` (UTS #46); null where it cannot be one. */
function asciiHostOf(host: string): string | null {
  const [, name = '', port = ''] = /^(.*?)(:\d*)?$/.exec(host) ?? [];
  if (!/[^\0-\x7f]/.test(name)) return host;
  const ascii = URL.parse(`http://${name}/`)?.hostname;
  return ascii ? `${ascii}${port}` : null;
}

/** Explains a request with everything around it. May be interrupted, as `explainInSteps`. */
export function* explainFully(
  compilation: Compilation,
  request: ExplainedRequest,
  { redirect, health, problems, locate, hidesValues }: ExplainUrlOptions,
): Generator<void, FullExplanation> {
  const explanation = yield* explainInSteps(compilation, request, redirect, health);
  const { outcome, certificate } = explanation;
  const subjects = subjectsOf(explanation);
  return {
    ...explanation,
    certificate: certificate && { ...certificate, validUntil: validUntil(certificate, compilation) },
    protocol: outcome.kind === 'forward' ? protocolOf(outcome) : null,
    policies: describePolicies(outcome.route?.policies ?? null, { hidesValues }),
    problems: problems(subjects)
      .filter((each) => subjects.has(describeObject(each.object)) || isRefused(each, compilation))
      .map((problem) => `${problem.severity}: ${formatProblem(problem, locate(problem))}`),
  };
}

/** Whether a problem keeps a file or an Ingress from being read at all: it may be the one that was to serve the URL. */
function isRefused({ object, severity }: Problem, { snapshot }: Compilation): boolean {
  if (object.kind === 'File') return true;
  if (object.kind !== 'Ingress' || severity !== 'error') return false;
  return get(snapshot.ingresses, `${object.namespace}/${object.name}`) === undefined;
}

/** The objects that take part in what a request gets. */
function subjectsOf({ outcome, certificate, notServed }: Explanation): ReadonlySet<string> {
  const { route } = outcome;
  const service = route ? serviceOf(route.backend) : null;
  return new Set([
    ...(route ? [`${route.kind ?? 'Ingress'} ${route.ingress}`] : []),
    ...(service ? [`Service ${service}`] : []),
    ...(certificate?.ingress ? [`Ingress ${certificate.ingress}`] : []),
    ...(certificate?.secret ? [`Secret ${certificate.secret}`] : []),
    ...notServed.map(({ ingress }) => `Ingress ${ingress}`),
  ]);
}

function protocolOf({ route, backend }: { readonly route: Route; readonly backend: Backend }): string {
  return route.policies?.configs['backend-transport']?.protocol ?? backend.protocol;
}

function validUntil({ secret }: ExplainedCertificate, { snapshot }: Compilation): string | null {
  const object = secret === null ? undefined : get(snapshot.secrets, secret);
  const read = object && readTlsSecret(object);
  return read?.kind === 'certificate' ? new Date(read.notAfter).toISOString() : null;
}
