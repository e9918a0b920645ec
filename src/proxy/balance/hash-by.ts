import { type TemplateRequest, renderTemplate } from '../../http/variables.ts';
import type { HashBy } from '../../policies/balance.ts';

/** What a request is hashed by. One without it falls back to its client, so that it still stays in one place. */
export function hashKey(hashBy: HashBy, request: TemplateRequest): string {
  const { clientAddress, target } = request;
  if (hashBy === 'client-ip') return clientAddress;
  if (hashBy === 'uri') return target;
  if (typeof hashBy === 'string') return request.value(hashBy.slice('header:'.length)) ?? clientAddress;
  return renderTemplate(hashBy, request) || clientAddress;
}
