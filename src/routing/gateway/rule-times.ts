import { type UntypedObject, asObject, isAbsent, quote } from '../../model/untyped.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { RouteKind } from '../table.ts';
import type { Fault } from './kinds.ts';

const UNITS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
/** GEP-2257 */
const DURATION = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;
/** A timer that is set for longer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

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
  const limits = times.filter((each): each is number => typeof each === 'number' && each > 0);
  const totalMs = limits.length > 0 ? Math.min(...limits) : null;
  const isOff = request !== undefined && totalMs === null;
  return {
    configs: {
      'request-timeout': { totalMs },
      ...(isOff && { timeouts: { connectMs: null, sendMs: LONGEST_MS, readMs: LONGEST_MS } }),
    },
    fault: null,
  };
}

/** Undefined for what is none. */
function durationMs(written: unknown): number | undefined {
  if (typeof written !== 'string' || !DURATION.test(written)) return undefined;
  let sum = 0;
  for (const [, number = '', unit = 's'] of written.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    sum += Number(number) * UNITS[unit as keyof typeof UNITS];
  }
  return Math.min(sum, LONGEST_MS);
}
