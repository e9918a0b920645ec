import { type Report, eventNamespace } from './events.ts';

/** An Event expires after an hour, so a problem that stays is reported again no more often than that. */
export const REPEAT_MS = 3_600_000;
/** A problem that comes and goes is reported again no more often than this. */
export const RECURRENCE_MS = 600_000;

/** By reason, how long a problem lasts before it is reported: a new Deployment has no ready Pod in its first seconds. */
const REPORT_AFTER_MS: Readonly<Record<string, number>> = { NoEndpoints: 30_000 };

export type Due =
  | { readonly kind: 'create' }
  /** The Event happened so often by now. */
  | { readonly kind: 'series'; readonly count: number };

interface Entry {
  report: Report;
  present: boolean;
  /** When the object began to have it, in whatever words. */
  sinceMs: number;
  /** How often it was seen to begin, or to be still there after an hour. */
  count: number;
  /** Null until it was sent, with the count that was sent. */
  sent: { readonly atMs: number; readonly count: number } | null;
}

/** Reports that are remembered for one namespace; beyond `CROWDED` in all, only so many as `FEW`. */
const MOST_OF_NAMESPACE = 1_000;
const FEW = 100;
const CROWDED = 10_000;
const MOST = 20_000;

/** What was reported and what is due, once per object and reason. Pure: time is an argument. */
export class EventAggregator {
  #entries = new Map<string, Entry>();
  readonly #counts = new Map<string, number>();
  /** A report did not fit since this was last set to false. */
  wasFull = false;

  get size(): number {
    return this.#entries.size;
  }

  report(key: string): Report | undefined {
    return this.#entries.get(key)?.report;
  }

  /** Where the Event for a key belongs. */
  namespaceOf(key: string): string {
    const report = this.report(key);
    return report ? eventNamespace(report) : '';
  }

  /** The object has this problem now. A different note makes a different Event. False when there is no room for it. */
  has(report: Report, nowMs: number): boolean {
    const entry = this.#entries.get(report.key);
    const same = entry?.report.note === report.note && entry.report.object.uid === report.object.uid;
    if (!entry && !this.#count(eventNamespace(report), 1)) return false;
    if (!entry || !same) {
      const sinceMs = entry?.present ? entry.sinceMs : nowMs;
      this.#entries.set(report.key, { report, present: true, sinceMs, count: 1, sent: null });
    } else if (!entry.present) {
      entry.present = true;
      entry.sinceMs = nowMs;
      if (entry.sent) entry.count++;
    }
    return true;
  }

  #count(namespace: string, change: 1 | -1): boolean {
    const count = this.#counts.get(namespace) ?? 0;
    const room = this.#entries.size < CROWDED ? MOST_OF_NAMESPACE : FEW;
    if (change === 1 && (count >= room || this.#entries.size >= MOST)) {
      this.wasFull = true;
      return false;
    }
    if (count + change === 0) this.#counts.delete(namespace);
    else this.#counts.set(namespace, count + change);
    return true;
  }

  #forget(key: string, { report }: Entry): void {
    this.#entries.delete(key);
    this.#count(eventNamespace(report), -1);
  }

  /** The object does not have this problem any more. */
  lost(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    entry.present = false;
    if (!entry.sent) this.#forget(key, entry);
  }

  /** What to send for this key now. */
  due(key: string, nowMs: number): Due | null {
    const entry = this.#entries.get(key);
    if (!entry?.present) return null;
    const { report, sinceMs, sent, count } = entry;
    if (nowMs - sinceMs < (REPORT_AFTER_MS[report.reason] ?? 0)) return null;
    if (sent === null) return { kind: 'create' };
    const quietMs = nowMs - sent.atMs;
    if (count > sent.count) return quietMs >= RECURRENCE_MS ? { kind: 'series', count } : null;
    return quietMs >= REPEAT_MS ? { kind: 'series', count: count + 1 } : null;
  }

  /** It was sent, if it still says the same. */
  sent(report: Report, due: Due, nowMs: number): void {
    const entry = this.#entries.get(report.key);
    if (entry?.report !== report) return;
    const count = due.kind === 'series' ? due.count : 1;
    entry.count = Math.max(entry.count, count);
    entry.sent = { atMs: nowMs, count };
  }

  /** Forgets what ended long ago. Returns the keys that have something to send. */
  sweep(nowMs: number): string[] {
    for (const [key, entry] of this.#entries) {
      const { present, sent } = entry;
      if (!present && (!sent || nowMs - sent.atMs >= REPEAT_MS)) this.#forget(key, entry);
    }
    return [...this.#entries.keys()].filter((key) => this.due(key, nowMs) !== null);
  }
}
