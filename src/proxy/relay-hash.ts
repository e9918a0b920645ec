import type { Decision } from '../routing/decide.ts';
import { balanceOf } from '../policies/balance.ts';
import { hashKey } from './balance/hash-by.ts';
import type { NativeRecord } from './native-record.ts';
import type { RequestHead } from './downstream/http1/request-head.ts';

/** What a consistent hash is taken of; empty for the other ways of balancing, which do not ask. */
export function hashOf(
  decision: Decision,
  { clientAddress, target }: NativeRecord,
  head: RequestHead,
  bytes: Buffer,
  base: number,
): string {
  if (decision.kind !== 'forward') return '';
  const config = decision.route.policies?.configs.balance;
  if (balanceOf(config, decision.backend.affinity !== undefined) !== 'consistent-hash') return '';
  const field = (name: string): string | undefined => head.fields.valueOfName(bytes, base, name);
  return hashKey(config?.hashBy ?? 'client-ip', { clientAddress, target, field });
}
