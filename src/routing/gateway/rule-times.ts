import type { UntypedObject } from '../../model/untyped.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { RouteKind } from '../table.ts';
import type { Fault } from './kinds.ts';

/** `timeouts` and `retry` of a rule, as the configs of policies. */
export function readRuleTimes(
  _rule: UntypedObject,
  _kind: RouteKind,
): { readonly configs: PolicyConfigs; readonly fault: Fault | null } {
  return { configs: {}, fault: null };
}
