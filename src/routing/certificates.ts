import type { Claims } from './ingress/claims.ts';
import type { TlsClaim } from './ingress/tls-claims.ts';
import type { ObjectKey } from '../model/objects.ts';
import { byAge } from './precedence.ts';
import { type Problem, problem } from '../model/problem.ts';
import { type Scope, type ScopeKind, describeScope, scopeKind } from './scope.ts';
import { isTlsSecret, readTlsSecret } from '../model/secrets.ts';
import type { Dependency, ObjectReader } from '../model/object-reader.ts';
import type { CertificateReference } from './table.ts';

/** The certificate of one TLS host, and what each Ingress that asked for one should know. */
export interface HostCertificate {
  /** Null when no Ingress asks for TLS for the host. */
  readonly certificate: CertificateReference | null;
  readonly problems: ReadonlyMap<ObjectKey, readonly Problem[]>;
  /** When the passing of time alone will change this: milliseconds since the epoch. */
  readonly validUntil: number;
  /** What it was compiled from. */
  readonly dependencies: readonly Dependency[];
}

/**
 * The oldest Ingress that names a Secret for a host decides, even when that Secret is no good; a rule for the host
 * itself goes before one for a wildcard, and so on. `ownerOf` gives the namespace that has a scope: no other counts.
 */
export function hostCertificate(
  host: string,
  claimants: readonly Claims[],
  ownerOf: (scope: Scope) => string,
  objects: ObjectReader,
  now: number,
): HostCertificate {
  const problems = new Map<ObjectKey, readonly Problem[]>();
  const asking: { readonly claims: Claims; readonly claim: TlsClaim }[] = [];
  for (const claims of [...claimants].sort(byAge)) {
    const claim = claims.tls.get(host);
    if (!claim) continue;
    const scope = ownerOf(host) === '' ? claim.scope : host;
    const owner = ownerOf(scope);
    if (owner === claims.object.namespace) asking.push({ claims, claim });
    else {
      const message = `Namespace ${owner} has ${describeScope(scope)} first and decides about its TLS, so this entry is not used; use another host.`;
      problems.set(claims.ingress, [problem('error', 'TlsHostTaken', claims.object, claim.field, message)]);
    }
  }
  asking.sort((a, b) => breadth(a.claim.scope, host) - breadth(b.claim.scope, host));
  const [first, ...others] = asking.filter(({ claim }) => claim.secret !== null);
  if (!first?.claim.secret) {
    const certificate = asking[0] ? referenceOf(host, null, asking[0].claims) : null;
    return { certificate, problems, validUntil: Infinity, dependencies: [] };
  }

  const { secret } = first.claim;
  for (const { claims, claim } of others) {
    if (claim.secret === secret) continue;
    const message = `Ingress ${first.claims.ingress} comes first and sets Secret ${secret} for host "${host}", so ${claim.secret} is not used; name the same Secret in both.`;
    problems.set(claims.ingress, [problem('error', 'TlsConflict', claims.object, claim.field, message)]);
  }
  const { claim, claims } = first;
  const verdict = judge(host, secret, objects, now);
  if (verdict.problem) {
    const { severity, code, message } = verdict.problem;
    // Several Ingresses may use a bad Secret; one problem is enough.
    problems.set(claims.ingress, [problem(severity, code, claims.object, claim.field, message)]);
  }
  const certificate = referenceOf(host, verdict.usable ? secret : null, claims);
  return { certificate, problems, validUntil: verdict.validUntil, dependencies: objects.dependencies() };
}

function referenceOf(
  host: string,
  secret: ObjectKey | null,
  { ingress, object }: Claims,
): CertificateReference {
  return { host, secret, ingress, namespace: object.namespace ?? '' };
}

const SCOPE_KINDS: readonly ScopeKind[] = ['precise', 'wildcard', 'glob', 'regex', 'hostless', 'catch-all'];

/** How much more than a host its scope takes. */
function breadth(scope: Scope, host: string): number {
  return scope === host ? 0 : SCOPE_KINDS.indexOf(scopeKind(scope));
}

/** The default certificate, which `--default-tls-secret` names, and what is wrong with it. */
export interface DefaultCertificate {
  readonly certificate: CertificateReference | null;
  readonly problem: Problem | null;
  readonly validUntil: number;
}

export function defaultCertificate(key: ObjectKey, objects: ObjectReader, now: number): DefaultCertificate {
  const { usable, problem: found, validUntil } = judge(null, key, objects, now);
  const [namespace = '', name = ''] = key.split('/', 2);
  const object = { kind: 'Secret', namespace, name };
  return {
    certificate: usable ? { host: '', secret: key, ingress: '', namespace: '' } : null,
    problem: found && problem(found.severity, found.code, object, '', found.message),
    validUntil,
  };
}

interface Verdict {
  readonly usable: boolean;
  readonly validUntil: number;
  readonly problem: Pick<Problem, 'severity' | 'code' | 'message'> | null;
}

/** What a Secret is good for; `host` is null for the default certificate, which need not be for any host. */
function judge(host: string | null, key: ObjectKey, objects: ObjectReader, now: number): Verdict {
  const consequence =
    host === null
      ? 'a self-signed certificate is used as the default'
      : `host "${host}" gets the default certificate`;
  const refuse = (code: string, message: string): Verdict => ({
    usable: false,
    validUntil: Infinity,
    problem: { severity: 'error', code, message: `${message}; ${consequence}.` },
  });
  const secret = objects.secret(key);
  if (!secret || !isTlsSecret(secret)) {
    const absence = objects.absence(`Secret ${key}`, 'of type kubernetes.io/tls: create it');
    return refuse('SecretNotFound', absence);
  }
  const read = readTlsSecret(secret);
  if (read.kind === 'malformed') {
    return refuse('SecretMalformed', `Secret ${key} ${read.reason}: create it again`);
  }
  if (read.kind === 'too-costly') {
    return refuse('CertificateTooCostly', `Secret ${key} ${read.reason}`);
  }
  if (host !== null && !read.covers(host)) {
    return refuse(
      'CertificateNotCovering',
      `The certificate in Secret ${key} is not for this host: issue one that is`,
    );
  }
  if (now < read.notBefore) {
    const date = new Date(read.notBefore).toISOString();
    return serve(
      read.notBefore,
      `The certificate in Secret ${key} is not valid before ${date}; it is served, and clients will refuse it.`,
    );
  }
  if (now > read.notAfter) {
    const date = new Date(read.notAfter).toISOString();
    return serve(
      Infinity,
      `The certificate in Secret ${key} expired on ${date}; it is served, and clients will refuse it: renew it.`,
    );
  }
  return serve(read.notAfter + 1, null);
}

function serve(validUntil: number, message: string | null): Verdict {
  const problem =
    message === null ? null : ({ severity: 'error', code: 'CertificateNotValid', message } as const);
  return { usable: true, validUntil, problem };
}
