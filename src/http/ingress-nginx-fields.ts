import type { Forwarding } from './forwarded.ts';
import type { HeaderField } from './head-edit.ts';

/**
 * What ingress-nginx tells Pods besides: the scheme twice more, and what the client itself said in `X-Forwarded-For` and
 * `X-Forwarded-Host`, which nobody has verified.
 */
export function ingressNginxFields(
  { forwardedProto }: Forwarding,
  saidFor: string | undefined,
  saidHost: string | undefined,
): readonly HeaderField[] {
  return [
    ['X-Forwarded-Scheme', forwardedProto],
    ['X-Scheme', forwardedProto],
    ...(saidFor ? [['X-Original-Forwarded-For', saidFor] as const] : []),
    ...(saidHost ? [['X-Original-Forwarded-Host', saidHost] as const] : []),
  ];
}
