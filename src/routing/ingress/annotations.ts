import {
  BACKEND_CA_SECRET,
  BACKEND_PROTOCOL,
  BACKEND_SERVER_NAME,
  NGINX_BACKEND_PROTOCOL,
  readBackendWay,
} from './backend-protocol.ts';
import {
  CLIENT_ANNOTATIONS,
  CLIENT_PREFIX,
  type ClientDemand,
  readClientDemand,
  termsOf,
} from './client-certificates.ts';
import { fields, quote, textEntries } from '../../model/untyped.ts';
import { type HostGlob, MAX_GLOBS, parseHostGlob, splitGlobs } from '../glob.ts';
import { type ObjectReference, type Problem, type Severity, problem } from '../../model/problem.ts';
import type { ObjectKey, Secret } from '../../model/objects.ts';
import { type BackendKey, type Balance, DEFAULT_POLICY, type Policy } from '../table.ts';
import { nearest } from '../../model/closest-match.ts';
import { nginxAccess } from './nginx-access.ts';

/** What the annotations of an Ingress ask for. */
export interface Annotations {
  readonly policy: Policy;
  readonly globs: readonly HostGlob[];
  /** Why nothing of this Ingress may be served: it asks for access control we do not have, or for pods to be verified. */
  readonly refused: BackendKey | null;
  readonly clients: ClientDemand['asks'];
  /** The Secrets that pods and clients are verified by. */
  readonly authorities: readonly ObjectKey[];
  readonly problems: readonly Problem[];
}

const OURS = 'portico.dev/';
const NGINX = 'nginx.ingress.kubernetes.io/';
const KNOWN = [
  'portico.dev/balance',
  'portico.dev/hash-by',
  'portico.dev/host-globs',
  BACKEND_PROTOCOL,
  BACKEND_CA_SECRET,
  BACKEND_SERVER_NAME,
  ...CLIENT_ANNOTATIONS.filter((name) => name.startsWith(OURS)),
];
/** Of ingress-nginx, and acted on. */
const SHARED: ReadonlySet<string> = new Set([NGINX_BACKEND_PROTOCOL, ...CLIENT_ANNOTATIONS]);
/** Names that one message lists. */
const MAX_NAMES = 10;
const BALANCES: readonly Balance[] = ['round-robin', 'least-requests', 'ewma', 'consistent-hash'];

export function readAnnotations(
  ingress: unknown,
  object: ObjectReference,
  secretOf: (key: ObjectKey) => Secret | undefined,
): Annotations {
  const annotations = fields(fields(fields(ingress)['metadata'])['annotations']);
  const problems: Problem[] = [];
  const report = (severity: Severity, code: string, name: string, message: string): void => {
    problems.push(problem(severity, code, object, `metadata.annotations[${name}]`, message));
  };

  let { balance, hashBy } = DEFAULT_POLICY;
  let overridesAffinity = false;
  const globs: HostGlob[] = [];
  const unsupported: string[] = [];
  const access: string[] = [];
  // Also those that are not text: what cannot be read must not be taken for absent.
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(NGINX) || SHARED.has(name)) continue;
    const says = nginxAccess(name.slice(NGINX.length), value);
    if (says === 'restricted') access.push(name);
    else if (says === 'unrelated') unsupported.push(name);
  }
  for (const [name, value] of textEntries(annotations)) {
    if (name === 'portico.dev/balance') {
      const known = BALANCES.find((candidate) => candidate === value);
      if (known) {
        balance = known;
        overridesAffinity = true;
      } else report('warning', 'AnnotationInvalid', name, wrongValue(value, BALANCES.join(', '), balance));
    } else if (name === 'portico.dev/hash-by') {
      const known = parseHashBy(value);
      if (known) hashBy = known;
      else
        report(
          'warning',
          'AnnotationInvalid',
          name,
          wrongValue(value, 'client-ip, uri, header:NAME', hashBy),
        );
    } else if (name === 'portico.dev/host-globs') {
      readGlobs(value, globs, (severity, message) => report(severity, 'HostGlobInvalid', name, message));
    } else if (name.startsWith(OURS) && !KNOWN.includes(name) && !name.startsWith(CLIENT_PREFIX)) {
      const message = `Portico has no such annotation and ignores it; did you mean ${nearest(name, KNOWN)}?`;
      report('warning', 'AnnotationUnknown', name, message);
    }
  }
  const namespace = object.namespace ?? '';
  const way = readBackendWay(Object.fromEntries(textEntries(annotations)), namespace, secretOf, report);
  const demand = readClientDemand(annotations, namespace, secretOf, report);
  const clientTerms = termsOf(demand.asks);
  if (unsupported.length > 0) {
    const names = enumerate(unsupported);
    const message = `Portico does not act on ${names}: requests are served as if they were absent.`;
    problems.push(problem('warning', 'AnnotationUnsupported', object, 'metadata.annotations', message));
  }
  if (access.length > 0) {
    const names = enumerate(access);
    const message = `Portico cannot enforce ${names}, so everything of this Ingress answers 503; remove what may be open to all.`;
    problems.push(problem('error', 'AccessPolicyUnsupported', object, 'metadata.annotations', message));
  }
  const policy: Policy = {
    ...{ balance, hashBy, ...(overridesAffinity && { overridesAffinity }), ...way.policy },
    ...(clientTerms !== null && { clientTerms }),
  };
  const refused =
    access.length > 0 ? 'access-policy-unsupported' : way.refused ? 'backend-unverifiable' : null;
  const authorities = [way.secret, demand.secret].filter((secret) => secret !== null);
  return { policy, globs, refused, clients: demand.asks, authorities, problems };
}

function enumerate(names: readonly string[]): string {
  const shown = names.toSorted().slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}

function wrongValue(value: string, choices: string, used: string): string {
  return `${quote(value)} is none of ${choices}; ${used} is used.`;
}

/** A header name is a token (RFC 9110, 5.1), compared without case. */
function parseHashBy(value: string): Policy['hashBy'] | null {
  if (value === 'client-ip' || value === 'uri') return value;
  const name = /^header:([!#$%&'*+.^_`|~0-9a-z-]{1,128})$/i.exec(value)?.[1];
  return name === undefined ? null : `header:${name.toLowerCase()}`;
}

function readGlobs(
  list: string,
  globs: HostGlob[],
  report: (severity: Severity, message: string) => void,
): void {
  const written = [...new Set(splitGlobs(list))];
  if (written.length > MAX_GLOBS) {
    report('error', `Only the first ${MAX_GLOBS} globs are used; give the others an Ingress of their own.`);
  }
  for (const glob of written.slice(0, MAX_GLOBS)) {
    const result = parseHostGlob(glob);
    if (result.kind === 'glob') globs.push(result.glob);
    else report('error', `The glob ${quote(glob)} ${result.reason}; it is ignored.`);
  }
}
