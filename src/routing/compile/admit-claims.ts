import { isDeepStrictEqual } from 'node:util';
import { type Claims, type NamespaceUse, claimNothing } from '../ingress/claims.ts';
import type { Compilation } from './compilation.ts';
import type { ClaimChange } from './compile-claims.ts';
import { problem } from '../../model/problem.ts';
import { byAge } from '../precedence.ts';
import { scopeKind } from '../scope.ts';
import { type ShardedMap, edit, get, values } from '../../model/sharded-map.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';

export interface AdmittedClaims {
  /** What Ingresses ask for and may have. */
  readonly claims: ShardedMap<Claims>;
  readonly changes: readonly ClaimChange[];
  readonly usesByNamespace: ShardedMap<NamespaceUse>;
}

const NONE: NamespaceUse = { routes: 0, globs: 0 };

/** Holds namespaces to their limits. Only one that is beyond them, or was, has all its Ingresses looked at. */
export function admitClaims(
  from: Compilation,
  asked: ShardedMap<Claims>,
  changes: readonly ClaimChange[],
): AdmittedClaims {
  const uses = edit(from.usesByNamespace);
  const affected = new Set<string>();
  for (const { before, after } of changes) {
    const namespace = (after ?? before)?.object.namespace ?? '';
    affected.add(namespace);
    const use = uses.get(namespace) ?? NONE;
    const [gone, come] = [before?.use ?? NONE, after?.use ?? NONE];
    const sum = {
      routes: use.routes - gone.routes + come.routes,
      globs: use.globs - gone.globs + come.globs,
    };
    if (sum.routes === 0 && sum.globs === 0) uses.delete(namespace);
    else if (sum.routes !== use.routes || sum.globs !== use.globs) uses.set(namespace, sum);
  }
  const beyond = [...affected].filter((namespace) => {
    return isBeyond(get(from.usesByNamespace, namespace)) || isBeyond(uses.get(namespace));
  });

  const claims = edit(from.claims);
  const admitted: ClaimChange[] = [];
  const put = (ingress: string, after: Claims | undefined): void => {
    const before = claims.get(ingress);
    if (before === after) return;
    admitted.push({ ingress, before, after });
    if (after) claims.set(ingress, after);
    else claims.delete(ingress);
  };
  for (const { ingress, before, after } of changes) {
    if (!after || !beyond.includes((after ?? before).object.namespace ?? '')) put(ingress, after);
  }
  for (const namespace of beyond) {
    for (const each of withinLimits(namespace, asked)) {
      if (!isDeepStrictEqual(claims.get(each.ingress), each)) put(each.ingress, each);
    }
  }
  return { claims: claims.done(), changes: admitted, usesByNamespace: uses.done() };
}

function isBeyond({ routes, globs }: NamespaceUse = NONE): boolean {
  return routes > TENANT_LIMITS.routesPerNamespace || globs > TENANT_LIMITS.globsPerNamespace;
}

/** What the Ingresses of a namespace may have: the oldest come first, and what does not fit any more is left out. */
function withinLimits(namespace: string, asked: ShardedMap<Claims>): readonly Claims[] {
  const { routesPerNamespace, globsPerNamespace } = TENANT_LIMITS;
  const oldestFirst = [...values(asked)].filter(({ object }) => object.namespace === namespace).sort(byAge);
  let routes = 0;
  let globs = 0;
  return oldestFirst.map((claims) => {
    const { object, problems, use } = claims;
    if (routes + use.routes > routesPerNamespace) {
      const message = `The Ingresses of a namespace may have ${routesPerNamespace} hosts and paths, counted for each host and glob; with this one they are more, so nothing of it is served: remove some, or use another namespace.`;
      const tooMany = problem('error', 'NamespaceTooManyRoutes', object, 'spec.rules', message);
      return { ...claimNothing(claims), problems: [...problems, tooMany] };
    }
    routes += use.routes;
    if (globs + use.globs > globsPerNamespace) {
      const message = `The Ingresses of a namespace may have ${globsPerNamespace} host globs, counted for each choice in braces; with this one they are more, so its globs are not served: remove some, or use wildcard hosts.`;
      const field = 'metadata.annotations[portico.dev/host-globs]';
      const scopes = withoutGlobs(claims.scopes);
      const tls = new Map([...claims.tls].filter(([, { scope }]) => scopes.has(scope)));
      return {
        ...claims,
        scopes,
        canary: claims.canary && { ...claims.canary, scopes: withoutGlobs(claims.canary.scopes) },
        tls,
        problems: [...problems, problem('error', 'TooManyHostGlobs', object, field, message)],
      };
    }
    globs += use.globs;
    return claims;
  });
}

function withoutGlobs(scopes: Claims['scopes']): Claims['scopes'] {
  return new Map([...scopes].filter(([scope]) => scopeKind(scope) !== 'glob'));
}
