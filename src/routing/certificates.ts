import type { Claims, TlsClaim } from './claims.ts';
import type { ObjectKey } from './objects.ts';
import { byAge } from './precedence.ts';
import { type Problem, problem } from './problem.ts';
import { isTlsSecret, readTlsSecret } from './secrets.ts';
import { get } from './sharded-map.ts';
import type { Snapshot } from './snapshot.ts';
import type { CertificateReference } from './table.ts';

/** The certificate of one TLS host, and what each Ingress that asked for one should know. */
export interface HostCertificate {
  /** Null leaves the host to a wildcard or to the default certificate. */
  readonly certificate: CertificateReference | null;
  readonly problems: ReadonlyMap<ObjectKey, readonly Problem[]>;
  /** When the passing of time alone will change this: milliseconds since the epoch. */
  readonly validUntil: number;
}

/** The oldest Ingress that names a Secret for a host decides, even when that Secret is no good. */
export function hostCertificate(
  host: string,
  claimants: readonly Claims[],
  snapshot: Snapshot,
  now: number,
): HostCertificate {
  const problems = new Map<ObjectKey, readonly Problem[]>();
  const asking = [...claimants].sort(byAge).flatMap((claims) => {
    const claim = claims.tls.get(host);
    return claim ? [{ claims, claim }] : [];
  });
  const [first, ...others] = asking;
  if (!first) return { certificate: null, problems, validUntil: Infinity };

  for (const { claims, claim } of others) {
    if (claim.secret === first.claim.secret) continue;
    const message = `Ingress ${first.claims.ingress} comes first and sets Secret ${first.claim.secret} for host "${host}", so ${claim.secret} is not used; agree on one.`;
    problems.set(claims.ingress, [problem('error', 'TlsConflict', claims.object, claim.field, message)]);
  }
  const { claim, claims } = first;
  const verdict = judge(host, claim, snapshot, now);
  if (verdict.problem) {
    const { severity, code, message } = verdict.problem;
    // Ingresses that agree on the Secret share its trouble, but one of them saying so is enough.
    problems.set(claims.ingress, [problem(severity, code, claims.object, claim.field, message)]);
  }
  const certificate = verdict.usable ? { host, secret: claim.secret, ingress: claims.ingress } : null;
  return { certificate, problems, validUntil: verdict.validUntil };
}

interface Verdict {
  readonly usable: boolean;
  readonly validUntil: number;
  readonly problem: Pick<Problem, 'severity' | 'code' | 'message'> | null;
}

function judge(host: string, claim: TlsClaim, snapshot: Snapshot, now: number): Verdict {
  const refuse = (code: string, message: string): Verdict => ({
    usable: false,
    validUntil: Infinity,
    problem: { severity: 'error', code, message: `${message}; host "${host}" gets the default certificate.` },
  });
  const secret = get(snapshot.secrets, claim.secret);
  if (!secret || !isTlsSecret(secret)) {
    return refuse(
      'SecretNotFound',
      `There is no Secret ${claim.secret} of type kubernetes.io/tls: create it`,
    );
  }
  const read = readTlsSecret(secret);
  if (read.kind === 'malformed') {
    return refuse('SecretMalformed', `Secret ${claim.secret} ${read.reason}: create it anew`);
  }
  if (!read.covers(host)) {
    return refuse(
      'CertificateNotCovering',
      `The certificate in Secret ${claim.secret} is not for this host: issue one that is`,
    );
  }
  if (now < read.notBefore) {
    const date = new Date(read.notBefore).toISOString();
    return serve(
      read.notBefore,
      `The certificate in Secret ${claim.secret} is not valid before ${date}; it is served, and clients will refuse it.`,
    );
  }
  if (now > read.notAfter) {
    const date = new Date(read.notAfter).toISOString();
    return serve(
      Infinity,
      `The certificate in Secret ${claim.secret} expired on ${date}; it is served, and clients will refuse it: renew it.`,
    );
  }
  return serve(read.notAfter + 1, null);
}

function serve(validUntil: number, message: string | null): Verdict {
  const problem =
    message === null ? null : ({ severity: 'error', code: 'CertificateNotValid', message } as const);
  return { usable: true, validUntil, problem };
}
