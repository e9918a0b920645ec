import { type UntypedObject, asArray, asObject, isAbsent, quote } from '../../model/untyped.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import { MOST_ATTEMPTS } from '../../policies/retries.ts';
import type { RouteKind } from '../table.ts';
import { durationMs } from './duration.ts';
import type { Fault } from './kinds.ts';

/** Where none is written. */
const USUAL_BACKOFF_MS = 25;
/** A request that waits holds its connection and its body. */
const LONGEST_BACKOFF_MS = 60_000;

/**
 * `retry` of a rule, as the config of a policy. What annotations of the route say of methods and of the time for all
 * attempts holds for it, too.
 */
export function readRuleRetry(
  rule: UntypedObject,
  kind: RouteKind,
  field: string,
  annotated: PolicyConfigs['retries'],
): { readonly configs: PolicyConfigs; readonly fault: Fault | null } {
  if (kind !== 'HTTPRoute' || isAbsent(rule['retry'])) return { configs: {}, fault: null };
  const { codes, attempts, backoff } = asObject(rule['retry']);
  const backoffMs = isAbsent(backoff) ? USUAL_BACKOFF_MS : durationMs(backoff);
  if (backoffMs === undefined || backoffMs > LONGEST_BACKOFF_MS) {
    return invalid(
      `The backoff ${quote(backoff)} of ${field}.retry is not valid: write a duration of at most 1m, like 250ms.`,
    );
  }
  const bad = asArray(codes).find((code) => !isWithin(code, 400, 599));
  if (bad !== undefined)
    return invalid(`The code ${quote(bad)} of ${field}.retry is not valid: write a number from 400 to 599.`);
  if (!isAbsent(attempts) && !isWithin(attempts, 1, Infinity))
    return invalid(
      `The attempts ${quote(attempts)} of ${field}.retry are not valid: write a whole number of at least 1.`,
    );
  const statuses = [...new Set(asArray(codes).map(Number))].sort((a, b) => a - b);
  return {
    configs: {
      retries: {
        on: {
          conditions: ['connect', 'connect-timed-out', 'reset', 'timeout'],
          statuses,
          nonIdempotent: annotated?.on?.nonIdempotent ?? false,
        },
        // What is written counts retries, and may be any number.
        attempts: isAbsent(attempts)
          ? (annotated?.attempts ?? null)
          : Math.min(Number(attempts) + 1, MOST_ATTEMPTS),
        timeoutMs: annotated?.timeoutMs ?? null,
        repeats: true,
        ...(backoffMs > 0 && { backoffMs }),
      },
    },
    fault: null,
  };
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
}

function invalid(message: string): { readonly configs: PolicyConfigs; readonly fault: Fault } {
  return { configs: {}, fault: { reason: 'UnsupportedValue', message } };
}
