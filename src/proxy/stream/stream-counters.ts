import type { StreamOutcome, StreamRecord } from './stream-record.ts';

/** The streams of one port; those of `tls` have the port 0, and those beyond the limit the port -1. */
export interface StreamTotals {
  readonly protocol: StreamRecord['protocol'];
  readonly port: number;
  /** Those that go on now. */
  open: number;
  readonly ends: Partial<Record<StreamOutcome, number>>;
  seconds: number;
  receivedBytes: number;
  sentBytes: number;
  receivedDatagrams: number;
  sentDatagrams: number;
}

const MOST_ROWS = 2_000;
const OTHER_PORT = -1;
const SUMS = ['open', 'seconds', 'receivedBytes', 'sentBytes', 'receivedDatagrams', 'sentDatagrams'] as const;

/** Counts streams by protocol and port, of which there are as many as are listened on. */
export class StreamCounters {
  readonly #rows = new Map<string, StreamTotals>();

  /** Where a stream is counted, for as long as it goes on. */
  of({ protocol, port }: Pick<StreamRecord, 'protocol' | 'port'>): StreamTotals {
    const key = `${protocol} ${port}`;
    let row = this.#rows.get(key);
    if (row) return row;
    if (this.#rows.size >= MOST_ROWS && port !== OTHER_PORT) return this.of({ protocol, port: OTHER_PORT });
    row = {
      ...{ protocol, port, open: 0, ends: {}, seconds: 0 },
      ...{ receivedBytes: 0, sentBytes: 0, receivedDatagrams: 0, sentDatagrams: 0 },
    };
    this.#rows.set(key, row);
    return row;
  }

  /** Adds what another thread counted. */
  add(totals: Iterable<StreamTotals>): this {
    for (const each of totals) {
      const row = this.of(each);
      for (const sum of SUMS) row[sum] += each[sum];
      for (const [end, count] of Object.entries(each.ends) as [StreamOutcome, number][])
        row.ends[end] = (row.ends[end] ?? 0) + count;
    }
    return this;
  }

  /** Of a thread that is gone: what it has counted stays, and nothing of it goes on. */
  addEnded(totals: Iterable<StreamTotals>): void {
    this.add(Array.from(totals, (each) => ({ ...each, open: 0 })));
  }

  /**
   * With what others count now. A row that was told of is kept in this one: it would go over to those beyond the limit otherwise,
   * and come back, and they would shrink.
   */
  sumWith(totals: Iterable<StreamTotals>): readonly StreamTotals[] {
    const sum = new StreamCounters().add(this.table()).add(totals).table();
    for (const each of sum) this.of(each);
    return sum;
  }

  table(): readonly StreamTotals[] {
    return [...this.#rows.values()];
  }
}

/** One stream under way: counts it, and tells of it when it is over. */
export class StreamAccount {
  readonly record: StreamRecord;
  readonly #totals: StreamTotals;
  readonly #now: () => number;
  readonly #onEnd: (record: StreamRecord) => void;
  #isOver = false;

  constructor(
    record: StreamRecord,
    totals: StreamTotals,
    now: () => number,
    onEnd: (record: StreamRecord) => void,
  ) {
    this.record = record;
    this.#totals = totals;
    this.#now = now;
    this.#onEnd = onEnd;
    totals.open++;
  }

  tried(endpoint: string): void {
    this.record.endpoint = endpoint;
    this.record.attempts++;
  }

  received(bytes: number): void {
    this.record.receivedBytes += bytes;
    this.#totals.receivedBytes += bytes;
  }

  sent(bytes: number): void {
    this.record.sentBytes += bytes;
    this.#totals.sentBytes += bytes;
  }

  datagramReceived(bytes: number): void {
    this.received(bytes);
    this.record.receivedDatagrams++;
    this.#totals.receivedDatagrams++;
  }

  datagramSent(bytes: number): void {
    this.sent(bytes);
    this.record.sentDatagrams++;
    this.#totals.sentDatagrams++;
  }

  /** The first end counts. */
  end(end: StreamOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { record } = this;
    record.end = end;
    record.durationMs = Math.max(0, this.#now() - record.startedAt);
    const totals = this.#totals;
    totals.open--;
    totals.ends[end] = (totals.ends[end] ?? 0) + 1;
    totals.seconds += record.durationMs / 1000;
    this.#onEnd(record);
  }
}
