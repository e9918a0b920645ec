import { balanceOf, isHashed } from '../policies/balance.ts';
import type { Forward } from '../routing/decide.ts';
import { hashKey } from './balance/hash-by.ts';
import type { NativeRecord } from './native-record.ts';

/** What a consistent hash is taken of; empty for the other ways of balancing, which do not ask. */
export function hashOf({ route, backend }: Forward, request: NativeRecord): string {
  const config = route.policies?.configs.balance;
  if (!isHashed(balanceOf(config, backend.affinity !== undefined))) return '';
  return hashKey(config?.hashBy ?? 'client-ip', request);
}
