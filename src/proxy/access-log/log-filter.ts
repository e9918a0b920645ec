import { compilePattern } from '../../http/pattern.ts';
import type { ExchangeRecord } from '../exchange-record.ts';

/** Which requests are lines of the access log. Plain data. */
export interface LogFilterSettings {
  /** Statuses that are always logged. */
  readonly statuses: readonly StatusRange[];
  /** Requests that take as long are always logged; null for none. */
  readonly minDurationMs: number | null;
  /** The share of all others that is logged: from 0 to 1. */
  readonly share: number;
  /** Never logged: paths as they are sent, or with `?` paths with their query, or `~` and a regular expression. */
  readonly skip: readonly string[];
}

/** Both ends are in the range. */
export type StatusRange = readonly [lowest: number, highest: number];

export const LOG_ALL: LogFilterSettings = { statuses: [], minDurationMs: null, share: 1, skip: [] };

/** Says for an exchange that is over whether it is a line. `random` gives numbers from 0 to 1. */
export function logFilter(
  { statuses, minDurationMs, share, skip }: LogFilterSettings,
  random: () => number,
): (exchange: ExchangeRecord) => boolean {
  const isSkipped = skipped(skip);
  const always = new Set(
    statuses.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
  );
  return (exchange) => {
    const { detail, route, durationMs, target } = exchange;
    // Health checks come every few seconds from every node.
    if (detail === 'healthy' || route?.policies?.configs['access-log'] !== undefined) return false;
    if (isSkipped?.(target)) return false;
    if (share === 1) return true;
    if (always.has(statusOf(exchange)) || (minDurationMs !== null && durationMs >= minDurationMs))
      return true;
    return share > 0 && random() < share;
  };
}

/** A response that was cut off is an error, whatever its head said. */
function statusOf({ status, detail }: ExchangeRecord): number {
  return detail !== '' && status >= 200 && status < 300 ? 502 : status;
}

/** Null where nothing is skipped. */
function skipped(skip: readonly string[]): ((target: string) => boolean) | null {
  if (skip.length === 0) return null;
  const targets = new Set(skip.filter((each) => !each.startsWith('~')));
  const patterns = skip.flatMap((each) => (each.startsWith('~') ? [compilePattern(each.slice(1))] : []));
  return (target) => {
    const mark = target.indexOf('?');
    if (targets.has(target) || (mark >= 0 && targets.has(target.slice(0, mark)))) return true;
    return patterns.some((matches) => matches(target));
  };
}
