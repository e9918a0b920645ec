import type { Dependency, ObjectReader } from '../../model/object-reader.ts';
import { type GatewayResource, type ObjectKey, objectKey } from '../../model/objects.ts';
import { isSubdomain } from '../../model/names.ts';
import { type ObjectReference, referenceTo } from '../../model/problem.ts';
import { readCaBundle } from '../../model/secrets.ts';
import { asArray, asObject, asString, isAbsent, quote } from '../../model/untyped.ts';
import { compareText } from '../precedence.ts';
import { ageOf, generationOf } from './gateways.ts';
import type { Fault } from './kinds.ts';

/** A BackendTLSPolicy, read by itself. */
export interface BackendTlsPolicyRead {
  readonly key: ObjectKey;
  readonly object: ObjectReference;
  readonly generation: number;
  readonly age: number;
  readonly targets: readonly BackendTlsTarget[];
  /** The name that endpoints are asked for (SNI), and that certificates are for unless `names` says otherwise. */
  readonly hostname: string;
  /** `DNS:a.example.com`, `URI:spiffe://a/b`: one of them must be in the certificate; none leaves it to the hostname. */
  readonly names: readonly string[];
  /** PEM, or the CAs that come with Node; null where there is none that can be used. */
  readonly caCertificates: string | 'system' | null;
  /** Why it is not accepted. */
  readonly rejected: Fault | null;
  readonly unresolved: Fault | null;
  readonly dependencies: readonly Dependency[];
}

export interface BackendTlsTarget {
  readonly service: ObjectKey;
  /** The name of a port; empty for all. */
  readonly port: string;
}

const MAX_TARGETS = 16;
const MAX_NAMES = 5;
const MAX_CA_REFS = 8;

export function readBackendTlsPolicy(policy: unknown, objects: ObjectReader): BackendTlsPolicyRead {
  const key = objectKey(policy as { metadata?: null });
  const namespace = key.slice(0, key.indexOf('/'));
  const spec = asObject(asObject(policy)['spec']);
  const validation = asObject(spec['validation']);
  const targets = asArray(spec['targetRefs']).slice(0, MAX_TARGETS).map(asObject);
  const usable = targets.filter(({ group = '', kind }) => group === '' && kind === 'Service');
  const names = asArray(validation['subjectAltNames']).slice(0, MAX_NAMES).map(nameOf);
  const hostname = asString(validation['hostname']) ?? '';
  const ca = readCa(validation, namespace, objects);
  return {
    key,
    object: referenceTo('BackendTLSPolicy', key, policy),
    generation: generationOf(policy),
    age: ageOf(policy),
    targets: usable.map(({ name, sectionName }) => ({
      service: `${namespace}/${asString(name) ?? ''}`,
      port: asString(sectionName) ?? '',
    })),
    hostname,
    names: names.filter((name) => name !== null),
    caCertificates: ca.certificates,
    rejected: ca.rejected ?? rejection(hostname, names),
    unresolved: ca.unresolved,
    dependencies: objects.dependencies(),
  };
}

const policiesByService = new WeakMap<
  readonly GatewayResource[],
  ReadonlyMap<unknown, readonly GatewayResource[]>
>();

/** Those policies of a namespace that are for a Service (by its name). They are indexed once, however many refs ask. */
export function policiesForService(
  policies: readonly GatewayResource[],
  name: string,
): readonly GatewayResource[] {
  let byService = policiesByService.get(policies);
  if (!byService) {
    const found = new Map<unknown, GatewayResource[]>();
    for (const policy of policies) {
      const targets = asArray(asObject(asObject(policy)['spec'])['targetRefs']).slice(0, MAX_TARGETS);
      for (const service of new Set(targets.map((target) => asObject(target)['name']))) {
        const others = found.get(service);
        if (others) others.push(policy);
        else found.set(service, [policy]);
      }
    }
    policiesByService.set(policies, (byService = found));
  }
  return byService.get(name) ?? [];
}

/** Null for what is none. */
function nameOf(written: unknown): string | null {
  const { type, hostname, uri } = asObject(written);
  if (type === 'Hostname' && typeof hostname === 'string') return `DNS:${hostname.toLowerCase()}`;
  return type === 'URI' && typeof uri === 'string' ? `URI:${uri}` : null;
}

function rejection(hostname: string, names: readonly (string | null)[]): Fault | null {
  if (!isSubdomain(hostname)) {
    const message = `The hostname ${quote(hostname)} is not a DNS name: correct spec.validation.hostname.`;
    return { reason: 'Invalid', message };
  }
  if (!names.includes(null)) return null;
  const message = 'A subjectAltName is a Hostname or a URI: correct spec.validation.subjectAltNames.';
  return { reason: 'Invalid', message };
}

interface CaRead {
  readonly certificates: BackendTlsPolicyRead['caCertificates'];
  readonly rejected: Fault | null;
  readonly unresolved: Fault | null;
}

function readCa(
  { caCertificateRefs, wellKnownCACertificates }: { readonly [name: string]: unknown },
  namespace: string,
  objects: ObjectReader,
): CaRead {
  const references = asArray(caCertificateRefs);
  if (references.length === 0) {
    if (wellKnownCACertificates === 'System')
      return { certificates: 'system', rejected: null, unresolved: null };
    const message = `Nothing says which CA certificates are trusted${isAbsent(wellKnownCACertificates) ? '' : ` (${quote(wellKnownCACertificates)} is not known)`}: name a ConfigMap in caCertificateRefs.`;
    return { certificates: null, rejected: { reason: 'NoValidCACertificate', message }, unresolved: null };
  }
  let pem = '';
  let unresolved: Fault | null = null;
  for (const { group = '', kind, name } of references.slice(0, MAX_CA_REFS).map(asObject)) {
    if (group !== '' || kind !== 'ConfigMap') {
      const message = `CA certificates are read from a ConfigMap, not from ${quote(kind)}: correct caCertificateRefs.`;
      unresolved ??= { reason: 'InvalidKind', message };
      continue;
    }
    const key = `${namespace}/${asString(name) ?? ''}`;
    const configMap = objects.configMap(key);
    const read = configMap && readCaBundle(key, configMap);
    if (read?.kind === 'certificates') pem += read.pem;
    else {
      const why = read?.reason ?? objects.absence(`ConfigMap ${key}`, 'with a certificate in its ca.crt');
      unresolved ??= { reason: 'InvalidCACertificateRef', message: `${why}: create or correct it.` };
    }
  }
  if (pem !== '') return { certificates: pem, rejected: null, unresolved };
  const message =
    'No CA certificate can be used, so requests to the Service get an error: correct caCertificateRefs.';
  return { certificates: null, rejected: { reason: 'NoValidCACertificate', message }, unresolved };
}

/** The older policy first, then by `namespace/name`. */
export function byPolicyAge(a: BackendTlsPolicyRead, b: BackendTlsPolicyRead): number {
  return a.age - b.age || compareText(a.key, b.key);
}

/** The policy that holds for a Service port, of those of its namespace: one for the port before one for all, then the oldest. */
export function policyFor(
  policies: readonly BackendTlsPolicyRead[],
  { service, port }: BackendTlsTarget,
): BackendTlsPolicyRead | null {
  const oldestFirst = [...policies].sort(byPolicyAge);
  const isFor = (wanted: string) => (policy: BackendTlsPolicyRead) =>
    policy.targets.some((target) => target.service === service && target.port === wanted);
  return (port === '' ? undefined : oldestFirst.find(isFor(port))) ?? oldestFirst.find(isFor('')) ?? null;
}

/** The oldest policy that has one of its targets and is older; null where it has all of them for itself. */
export function conflictOf(
  policy: BackendTlsPolicyRead,
  others: readonly BackendTlsPolicyRead[],
): BackendTlsPolicyRead | null {
  const isSame = (other: BackendTlsPolicyRead): boolean =>
    other.targets.some(({ service, port }) =>
      policy.targets.some((target) => target.service === service && target.port === port),
    );
  const [oldest = null] = others.filter(isSame).toSorted(byPolicyAge);
  return oldest !== null && byPolicyAge(oldest, policy) < 0 ? oldest : null;
}
