import { type UntypedObject, asObject, isAbsent, quote } from '../../model/untyped.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { RouteKind } from '../table.ts';
import { LONGEST_MS, durationMs } from './duration.ts';
import type { Fault } from './kinds.ts';

/** `timeouts` of a rule, as the configs of policies. */
export function readRuleTimes(
  rule: UntypedObject,
  kind: RouteKind,
): { readonly configs: PolicyConfigs; readonly fault: Fault | null } {
  if (kind !== 'HTTPRoute' || isAbsent(rule['timeouts'])) return { configs: {}, fault: null };
  const { request, backendRequest } = asObject(rule['timeouts']);
  const times = [request, backendRequest].map((each) => (isAbsent(each) ? null : durationMs(each)));
  const bad = [request, backendRequest].find((_, index) => times[index] === undefined);
  if (bad !== undefined) {
    const message = `${quote(bad)} is not a duration: write it like 500ms or 1m30s.`;
    return { configs: {}, fault: { reason: 'UnsupportedValue', message } };
  }
  // 0 turns a time limit off, also those that hold without the rule.
  const [totalMs = null, attemptMs = null] = times.map((each) => each || null);
  const isOff = request !== undefined && totalMs === null && attemptMs === null;
  return {
    configs: {
      'request-timeout': { totalMs, attemptMs },
      ...(isOff && { timeouts: { connectMs: null, sendMs: LONGEST_MS, readMs: LONGEST_MS } }),
    },
    fault: null,
  };
}
