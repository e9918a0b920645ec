import { createHash } from 'node:crypto';
import { type Fields, quote } from '../../model/untyped.ts';
import { nearest } from '../../model/closest-match.ts';
import type { ObjectKey, Secret } from '../../model/objects.ts';
import type { Severity } from '../../model/problem.ts';
import { readCaCertificates } from '../secrets.ts';
import type { ClientPolicy } from '../table.ts';

/** What the annotations of an Ingress ask of its clients; `unverifiable` asks for what cannot be done. */
export interface ClientDemand {
  readonly asks: ClientPolicy | 'unverifiable' | null;
  /** The Secret that clients are verified by; null when none is named. */
  readonly secret: ObjectKey | null;
}

/** The terms of what cannot be met: no connection and no host has them. */
export const UNVERIFIABLE = '';

/** The terms that hosts, routes and connections are compared by; null asks for nothing. */
export function termsOf(asks: ClientDemand['asks']): string | null {
  return asks === 'unverifiable' ? UNVERIFIABLE : (asks?.terms ?? null);
}

/** By what is asked: our annotation, and the one of ingress-nginx that means the same. */
const NAMES = {
  secret: ['portico.dev/client-ca-secret', 'nginx.ingress.kubernetes.io/auth-tls-secret'],
  verify: ['portico.dev/client-certificate', 'nginx.ingress.kubernetes.io/auth-tls-verify-client'],
  pass: [
    'portico.dev/client-certificate-to-pods',
    'nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream',
  ],
} as const;

/** Nothing limits the length of a chain but its own certificates: Node hands OpenSSL no such limit. */
const NGINX_DEPTH = 'nginx.ingress.kubernetes.io/auth-tls-verify-depth';

/** Every annotation that is read here. */
export const CLIENT_ANNOTATIONS: readonly string[] = [...Object.values(NAMES).flat(), NGINX_DEPTH];

const OUR_NAMES = Object.values(NAMES).map(([ours]) => ours);

/** Names that begin like this are read here or refused: a slip of the pen must not open what was to be closed. */
export const CLIENT_PREFIX = 'portico.dev/client-';

/** What becomes of an Ingress whose wish cannot be understood. */
const CLOSED = 'so nobody can be verified as this Ingress asks: its hosts answer 503 until that is mended';

type Report = (severity: Severity, code: string, name: string, message: string) => void;

/** Reads those annotations; ours win over those of ingress-nginx. Whatever cannot be understood closes. */
export function readClientDemand(
  annotations: Fields,
  namespace: string,
  secretOf: (key: ObjectKey) => Secret | undefined,
  report: Report,
): ClientDemand {
  // By name alone: what cannot be read must not be taken for absent.
  const unknown = Object.keys(annotations).filter(
    (name) => name.startsWith(CLIENT_PREFIX) && !CLIENT_ANNOTATIONS.includes(name),
  );
  for (const name of unknown) {
    const message = `Portico has no such annotation, ${CLOSED}; did you mean ${nearest(name, OUR_NAMES)}?`;
    report('error', 'AnnotationUnknown', name, message);
  }
  if (unknown.length > 0) return { asks: 'unverifiable', secret: null };
  if (!CLIENT_ANNOTATIONS.some((name) => name in annotations)) return { asks: null, secret: null };
  const verify = readVerify(annotations, report);
  if (verify === 'off') return { asks: null, secret: null };
  if (NGINX_DEPTH in annotations) {
    const message =
      'The length of chains is not limited: every certificate that leads to ca.crt is good; limit it by the pathLenConstraint of those that issue.';
    report('warning', 'AnnotationUnsupported', NGINX_DEPTH, message);
  }
  const secret = readSecret(annotations, namespace, report);
  const read = secret === null ? null : readCaCertificates(secret, secretOf(secret));
  const authority = read?.kind === 'certificates' ? read.pem : undefined;
  if (read?.kind === 'refused') {
    const message = `${read.reason}, ${CLOSED}.`;
    report('error', 'ClientCaMissing', written(annotations, 'secret'), message);
  }
  const passCertificate = readPass(annotations, report);
  if (verify === null || authority === undefined) return { asks: 'unverifiable', secret };
  const policy = { required: verify === 'required', authority, passCertificate };
  const digest = createHash('sha256').update(JSON.stringify(policy)).digest('base64url');
  // As long as OpenSSL lets the context of a session be.
  return { asks: { terms: digest.slice(0, 32), ...policy }, secret };
}

/** The annotation that counts: ours if it is there. */
function written(annotations: Fields, what: keyof typeof NAMES): string {
  const [ours, theirs] = NAMES[what];
  return ours in annotations || !(theirs in annotations) ? ours : theirs;
}

const OURS: ReadonlyMap<unknown, 'required' | 'optional' | 'off'> = new Map([
  ['required', 'required'],
  ['optional', 'optional'],
  ['off', 'off'],
]);
const THEIRS: typeof OURS = new Map([
  ['on', 'required'],
  ['optional', 'optional'],
  ['off', 'off'],
]);

function readVerify(annotations: Fields, report: Report): 'required' | 'optional' | 'off' | null {
  const name = written(annotations, 'verify');
  if (!(name in annotations)) return 'required';
  const choices = name === NAMES.verify[0] ? OURS : THEIRS;
  const verify = choices.get(annotations[name]);
  if (verify) return verify;
  const message = `${quote(annotations[name])} is none of ${[...choices.keys()].join(', ')}, ${CLOSED}.`;
  report('error', 'AnnotationInvalid', name, message);
  return null;
}

function readSecret(annotations: Fields, namespace: string, report: Report): ObjectKey | null {
  const [ours] = NAMES.secret;
  const name = written(annotations, 'secret');
  const text = annotations[name];
  const refuse = (why: string): null => {
    report(
      'error',
      name in annotations ? 'AnnotationInvalid' : 'ClientCaMissing',
      name,
      `${why}, ${CLOSED}.`,
    );
    return null;
  };
  if (!(name in annotations)) return refuse('No Secret is named that clients are verified by');
  if (name === ours) {
    if (typeof text === 'string' && text !== '' && !text.includes('/')) return `${namespace}/${text}`;
    return refuse(`${quote(text)} is not the name of a Secret of this namespace`);
  }
  const [itsNamespace, itsName, ...rest] = typeof text === 'string' ? text.split('/') : [];
  if (!itsNamespace || !itsName || rest.length > 0) return refuse(`${quote(text)} is not namespace/name`);
  if (itsNamespace === namespace) return `${namespace}/${itsName}`;
  return refuse(`${quote(text)} is in another namespace, whose Secrets an Ingress may not use`);
}

function readPass(annotations: Fields, report: Report): boolean {
  const name = written(annotations, 'pass');
  const value = name in annotations ? annotations[name] : 'false';
  if (value !== 'true' && value !== 'false') {
    report('warning', 'AnnotationInvalid', name, `${quote(value)} is none of true, false; false is used.`);
  }
  return value === 'true';
}
