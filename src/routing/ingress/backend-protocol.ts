import { quote } from '../../model/untyped.ts';
import { isSubdomain } from '../../model/names.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { Severity } from '../../model/problem.ts';
import { readCaCertificates } from '../secrets.ts';
import type { Secret } from '../../model/objects.ts';
import type { Policy } from '../table.ts';

/** What the annotations say about how pods are spoken to. */
export interface BackendWay {
  readonly policy: Pick<Policy, 'protocol' | 'serverName' | 'authority'>;
  /** The Secret that the certificates of pods are verified by; null when none is named. */
  readonly secret: ObjectKey | null;
  /** Pods are to be verified and cannot be: nothing may be sent to them. */
  readonly refused: boolean;
}

export const BACKEND_PROTOCOL = 'portico.dev/backend-protocol';
export const NGINX_BACKEND_PROTOCOL = 'nginx.ingress.kubernetes.io/backend-protocol';
export const BACKEND_CA_SECRET = 'portico.dev/backend-ca-secret';
export const BACKEND_SERVER_NAME = 'portico.dev/backend-server-name';

const PROTOCOLS: ReadonlyMap<string, NonNullable<Policy['protocol']>> = new Map([
  ['HTTP', 'http'],
  ['HTTPS', 'https'],
  ['GRPC', 'grpc'],
  ['GRPCS', 'grpcs'],
]);

/** Reads those annotations; ours win over those of ingress-nginx. */
export function readBackendWay(
  annotations: { readonly [name: string]: unknown },
  namespace: string,
  secretOf: (key: ObjectKey) => Secret | undefined,
  report: (severity: Severity, code: string, name: string, message: string) => void,
): BackendWay {
  const name = annotations[BACKEND_PROTOCOL] === undefined ? NGINX_BACKEND_PROTOCOL : BACKEND_PROTOCOL;
  const written = annotations[name];
  const protocol = typeof written === 'string' ? PROTOCOLS.get(written.toUpperCase()) : undefined;
  if (typeof written === 'string' && !protocol) {
    const choices = [...PROTOCOLS.keys()].join(', ');
    const message = `${quote(written)} is none of ${choices}; the appProtocol of the Service decides.`;
    report('warning', 'AnnotationInvalid', name, message);
  }

  const wanted = annotations[BACKEND_SERVER_NAME];
  const serverName = typeof wanted === 'string' && isSubdomain(wanted) ? wanted : undefined;
  const secretName = annotations[BACKEND_CA_SECRET];
  const secret = secretName === undefined ? null : `${namespace}/${String(secretName)}`;
  const read = secret === null ? null : readCaCertificates(secret, secretOf(secret));
  const authority = read?.kind === 'certificates' ? read.pem : undefined;
  if (wanted !== undefined && serverName === undefined) {
    const message = `${quote(wanted)} is not a DNS name, so the certificates of pods cannot be verified by it: requests get 503.`;
    report('error', 'AnnotationInvalid', BACKEND_SERVER_NAME, message);
  }
  if (read?.kind === 'refused') {
    const message = `${read.reason}, so the certificates of pods cannot be verified: requests get 503 until there is.`;
    report('error', 'BackendCaMissing', BACKEND_CA_SECRET, message);
  }
  const refused =
    (wanted !== undefined && serverName === undefined) || (secret !== null && authority === undefined);
  return {
    policy: {
      ...(protocol && { protocol }),
      ...(serverName && { serverName }),
      ...(authority && { authority }),
    },
    secret,
    refused,
  };
}
