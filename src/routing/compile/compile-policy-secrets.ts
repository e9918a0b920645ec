import { isDeepStrictEqual } from 'node:util';
import { type SecretData, secretDataOf } from '../../model/secret-data.ts';
import { type IndexUpdate, type ReverseIndex, updateIndex } from '../../model/reverse-index.ts';
import { type ShardedMap, difference, edit, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { ClaimChange } from './compile-claims.ts';
import type { Attachment } from '../gateway/attachment.ts';
import type { GatewayChanges } from './compile-gateways.ts';
import type { Compilation } from './compilation.ts';

export interface CompiledPolicySecrets {
  /** By `namespace/name`. */
  readonly data: ShardedMap<SecretData>;
  readonly ingressesByPolicySecret: ReverseIndex;
}

/** The data of the Secrets that the policies of some Ingress use. A Secret with the same data as before keeps its object. */
export function compilePolicySecrets(
  from: Compilation,
  snapshot: Snapshot,
  changes: readonly ClaimChange[],
  gateways: GatewayChanges,
): CompiledPolicySecrets {
  const updates: IndexUpdate[] = changes.map(({ ingress, before, after }) => ({
    member: ingress,
    before: before?.policySecrets ?? [],
    after: after?.policySecrets ?? [],
  }));
  for (const { route, before, after } of gateways.changes) {
    const secretsOf = (attachment: Attachment | undefined) => attachment?.route.policySecrets ?? [];
    updates.push({ member: route, before: secretsOf(before), after: secretsOf(after) });
  }
  for (const [key, after] of difference(from.gateways.gateways, gateways.compiled.gateways)) {
    const before = get(from.gateways.gateways, key);
    const secretOf = (gateway: typeof before) => gateway?.backendClientSecret ?? [];
    updates.push({
      member: `Gateway ${key}`,
      before: [secretOf(before)].flat(),
      after: [secretOf(after)].flat(),
    });
  }
  const ingressesByPolicySecret = updateIndex(from.indexes.ingressesByPolicySecret, updates);
  const affected = new Set(updates.flatMap((each) => [...each.before, ...each.after]));
  for (const [key] of difference(from.snapshot.secrets, snapshot.secrets)) {
    if (get(ingressesByPolicySecret, key)) affected.add(key);
  }
  const data = edit(from.policySecrets);
  for (const key of affected) {
    const secret = get(ingressesByPolicySecret, key) && get(snapshot.secrets, key);
    const after = secret ? secretDataOf(secret) : null;
    if (!after) data.delete(key);
    else if (!isDeepStrictEqual(data.get(key), after)) data.set(key, after);
  }
  return { data: data.done(), ingressesByPolicySecret };
}
