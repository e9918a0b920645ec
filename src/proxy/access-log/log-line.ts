import type { FieldsView } from '../../http/head-edit.ts';
import type { Redaction } from '../../http/redact-target.ts';
import type { ExchangeRecord, KeptFields } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';

/** How exchanges and streams become lines of the access log, each with its line end. */
export interface LineFormat {
  ofExchange(exchange: ExchangeRecord): string;
  ofStream(stream: StreamRecord): string;
}

/** One value that is kept of the fields of a request, which are gone when the exchange is over. */
export interface KeptField {
  /** In lower case. */
  readonly field: string;
  /** What of its value is kept; all of it when absent. */
  read?(value: string): string | undefined;
}

/** What most formats need of them, at the beginning of what is kept. */
export const USUAL_FIELDS: readonly KeptField[] = [{ field: 'user-agent' }, { field: 'referer' }];

/** What a format is made with. */
export interface LineContext {
  readonly redaction: Redaction;
  /** The listener of a Gateway that an exchange belongs to; undefined for what Ingresses serve. */
  listenerOf(exchange: ExchangeRecord): string | undefined;
}

/** Of one value, and of all that are kept of one request: a client chooses them, and they stay for as long as it is served. */
const LONGEST_VALUE = 1_024;
const MOST_KEPT = 4_096;

/** The values of these fields, undefined for what there is not. They come as bytes: see `textOfBytes`. */
export function keepFields(kept: readonly KeptField[], fields: FieldsView): KeptFields['values'] {
  const values: (string | undefined)[] = [];
  let left = MOST_KEPT;
  for (const { field, read } of kept) {
    const found = fields.value(field);
    const value = found === undefined || read === undefined ? found : read(found);
    const most = Math.min(LONGEST_VALUE, left);
    const isShort = value === undefined || value.length <= most;
    // A copy: a part of a long text would keep all of it in memory.
    values.push(isShort ? value : Buffer.from(value.slice(0, most), 'latin1').toString('latin1'));
    left -= Math.min(value?.length ?? 0, most);
  }
  return values;
}
