import { hostFault } from '../../model/names.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import { asObject, asArray, asString } from '../../model/untyped.ts';
import type { HostGlob } from '../glob.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';
import { CATCH_ALL, HOSTLESS, type Scope, globScope, scopeKind } from '../scope.ts';

/** What a `spec.tls` entry asks for one host. */
export interface TlsClaim {
  /** `namespace/name`; null asks for TLS with whatever certificate there is. */
  readonly secret: ObjectKey | null;
  readonly field: string;
  /** The rule of the same Ingress that covers the host: the first owner of that scope decides about its TLS. */
  readonly scope: Scope;
}

/**
 * The TLS entries of an Ingress by host; the first that names a Secret for a host counts. An entry counts only for
 * hosts that the Ingress has a rule for: a wildcard stands for the hosts of its rules that it covers too. An entry
 * without hosts is for all hosts of the rules.
 */
export function readTls(
  tls: unknown,
  object: ObjectReference,
  scopes: readonly Scope[],
  globs: readonly HostGlob[],
  problems: Problem[],
): ReadonlyMap<string, TlsClaim> {
  const claims = new Map<string, TlsClaim>();
  const asked = asArray(tls);
  if (asked.length === 0) return claims;
  const own = new Set(scopes);
  const below = hostsByWildcard(scopes);
  const wildcards = new Map<string, Entry>();
  let read = 0;
  for (const [index, entry] of asked.entries()) {
    const written = asArray(asObject(entry)['hosts']);
    const hosts = written.length > 0 ? written : scopes;
    read += Math.max(1, hosts.length);
    if (read > TENANT_LIMITS.tlsHostsPerIngress) {
      const message = `An Ingress may have ${TENANT_LIMITS.tlsHostsPerIngress} TLS hosts, where an entry without hosts counts for all of its rules; this entry and all after it are not used: name the hosts, or move some to another Ingress.`;
      problems.push(problem('error', 'TooManyTlsHosts', object, `spec.tls[${index}]`, message));
      break;
    }
    const secretName = asString(asObject(entry)['secretName']) ?? '';
    const secret = secretName === '' ? null : `${object.namespace ?? ''}/${secretName}`;
    for (const [at, host] of hosts.entries()) {
      if (typeof host !== 'string' || hostFault(host) !== null) continue;
      const field = written.length > 0 ? `spec.tls[${index}].hosts[${at}]` : `spec.tls[${index}]`;
      const scope = scopeOf(host, own, globs);
      if (scope !== null) put(claims, host, { secret, field, scope });
      if (below.has(host)) put(wildcards, host, { secret, field });
      if (scope !== null || below.has(host)) continue;
      const message = `This Ingress has no rule for host "${host}", so its TLS entry is not used there: add a rule for the host, or remove it here.`;
      problems.push(problem('warning', 'TlsHostWithoutRule', object, field, message));
    }
  }
  // After those that are named themselves.
  for (const [wildcard, entry] of wildcards) {
    for (const host of below.get(wildcard) ?? []) put(claims, host, { ...entry, scope: host });
  }
  return claims;
}

type Entry = Pick<TlsClaim, 'secret' | 'field'>;

function put<E extends Entry>(entries: Map<string, E>, host: string, entry: E): void {
  const before = entries.get(host);
  if (!before || (before.secret === null && entry.secret !== null)) entries.set(host, entry);
}

/** Precise hosts by the wildcard that takes each; it stands for one label (`IngressRule.host`). */
function hostsByWildcard(scopes: readonly Scope[]): ReadonlyMap<string, readonly Scope[]> {
  const hosts = new Map<string, Scope[]>();
  for (const scope of scopes) {
    if (scopeKind(scope) !== 'precise') continue;
    const wildcard = wildcardAbove(scope);
    const others = hosts.get(wildcard);
    if (others) others.push(scope);
    else hosts.set(wildcard, [scope]);
  }
  return hosts;
}

function wildcardAbove(host: string): string {
  return `*${host.slice(host.indexOf('.'))}`;
}

/** The narrowest scope of an Ingress that takes a host; null when it has no rule for it. */
function scopeOf(host: string, own: ReadonlySet<Scope>, globs: readonly HostGlob[]): Scope | null {
  if (own.has(host)) return host;
  const parent = wildcardAbove(host);
  if (own.has(parent)) return parent;
  const glob = globs.find((each) => host.endsWith(`.${each.suffix}`) && own.has(globScope(each)));
  if (glob) return globScope(glob);
  if (own.has(HOSTLESS)) return HOSTLESS;
  return own.has(CATCH_ALL) ? CATCH_ALL : null;
}
