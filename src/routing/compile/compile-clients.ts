import type { Claims } from '../ingress/claims.ts';
import type { Compilation, Indexes } from './compilation.ts';
import type { CompiledPorts } from './compile-ports.ts';
import type { CompiledScopes } from './compile-scopes.ts';
import { type IndexUpdate, updateIndex } from '../../model/reverse-index.ts';
import { type ScopeRoutes } from '../host-routes.ts';
import { type ShardedMap, difference, edit, get } from '../../model/sharded-map.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';

export interface CompiledClients {
  readonly table: ShardedMap<ClientAuth>;
  readonly indexes: Pick<Indexes, 'scopesByClientAuth'>;
}

/** Keeps the policies that some host's clients are verified by, on ports of Gateways too. */
export function compileClients(
  from: Compilation,
  { scopes }: Pick<CompiledScopes, 'scopes'>,
  claims: ShardedMap<Claims>,
  ports: Pick<CompiledPorts, 'clientUpdates' | 'clientPolicies'>,
): CompiledClients {
  const updates: IndexUpdate[] = [...ports.clientUpdates];
  const policies = new Map<string, ClientAuth>(ports.clientPolicies);
  for (const [scope, after] of difference(from.scopes, scopes)) {
    const update = { member: scope, before: policyIdsAt(get(from.scopes, scope)), after: policyIdsAt(after) };
    if (update.before.length > 0 || update.after.length > 0) updates.push(update);
    const asks = after?.routes?.clients && get(claims, after.routes.clients.ingress)?.clients;
    if (asks && asks !== 'unverifiable') policies.set(asks.policyId, asks);
  }
  const scopesByClientAuth = updateIndex(from.indexes.scopesByClientAuth, updates);
  const table = edit(from.table.clientPolicies);
  for (const policyId of new Set(updates.flatMap(({ before, after }) => [...before, ...after]))) {
    const policy = policies.get(policyId);
    if (!get(scopesByClientAuth, policyId)) table.delete(policyId);
    // One of the same id is the same.
    else if (policy && !table.get(policyId)) table.set(policyId, policy);
  }
  return { table: table.done(), indexes: { scopesByClientAuth } };
}

function policyIdsAt(scope: ScopeRoutes | undefined): readonly string[] {
  return scope?.routes?.clients?.policyId ? [scope.routes.clients.policyId] : [];
}
