import type { Claims } from '../ingress/claims.ts';
import type { Compilation, Members } from './compilation.ts';
import type { CompiledScopes } from './compile-scopes.ts';
import { type Move, move } from '../../model/reverse-index.ts';
import { type ScopeRoutes } from '../host-routes.ts';
import { type ShardedMap, difference, edit, get } from '../../model/sharded-map.ts';
import type { ClientPolicy } from '../table.ts';

export interface CompiledClients {
  readonly table: ShardedMap<ClientPolicy>;
  readonly members: Pick<Members, 'scopesByTerms'>;
}

/** Keeps the policies that some host's clients are verified by. */
export function compileClients(
  from: Compilation,
  { scopes }: Pick<CompiledScopes, 'scopes'>,
  claims: ShardedMap<Claims>,
): CompiledClients {
  const moves: Move[] = [];
  const policies = new Map<string, ClientPolicy>();
  for (const [scope, after] of difference(from.scopes, scopes)) {
    moves.push({ member: scope, before: termsAt(get(from.scopes, scope)), after: termsAt(after) });
    const asks = after?.routes.clients && get(claims, after.routes.clients.ingress)?.clients;
    if (asks && asks !== 'unverifiable') policies.set(asks.terms, asks);
  }
  const scopesByTerms = move(from.members.scopesByTerms, moves);
  const table = edit(from.table.clientPolicies);
  for (const terms of new Set(moves.flatMap(({ before, after }) => [...before, ...after]))) {
    const policy = policies.get(terms);
    if (!get(scopesByTerms, terms)) table.delete(terms);
    // One of the same terms is the same.
    else if (policy && !table.get(terms)) table.set(terms, policy);
  }
  return { table: table.done(), members: { scopesByTerms } };
}

function termsAt(scope: ScopeRoutes | undefined): readonly string[] {
  return scope?.routes.clients?.terms ? [scope.routes.clients.terms] : [];
}
