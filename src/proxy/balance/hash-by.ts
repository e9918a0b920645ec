import { type TemplateRequest, renderTemplate } from '../../http/variables.ts';
import { type HashBy, balanceOf, isHashed } from '../../policies/balance.ts';
import type { Forward } from '../../routing/decide.ts';

/** What a consistent hash is taken of; empty for the other ways of balancing, which do not ask. */
export function hashOf({ route, backend }: Forward, request: TemplateRequest): string {
  const config = route.policies?.configs.balance;
  if (!isHashed(balanceOf(config, backend.affinity !== undefined))) return '';
  return hashKey(config?.hashBy ?? 'client-ip', request);
}

/** A request without that falls back to its client, so that it still stays in one place. */
function hashKey(hashBy: HashBy, request: TemplateRequest): string {
  const { clientAddress, target } = request;
  if (hashBy === 'client-ip') return clientAddress;
  if (hashBy === 'uri') return target;
  if (typeof hashBy === 'string') return request.value(hashBy.slice('header:'.length)) ?? clientAddress;
  return renderTemplate(hashBy, request) || clientAddress;
}
