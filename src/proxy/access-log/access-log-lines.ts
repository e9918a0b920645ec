import { isDeepStrictEqual } from 'node:util';
import type { FieldsView } from '../../http/head-edit.ts';
import type { LogTemplate } from '../../http/log-template.ts';
import { Redaction } from '../../http/redact-target.ts';
import type { AccessLogOptions } from '../../routing/global-options.ts';
import type { Route } from '../../routing/table.ts';
import { type ExchangeRecord, type KeptFields, NO_KEPT_FIELDS } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';
import { jsonFormat } from './json-line.ts';
import { type LogFilterSettings, logFilter } from './log-filter.ts';
import { type LineContext, type LineFormat, keepFields } from './log-line.ts';
import { templateFormat } from './template-line.ts';
import { textFormat } from './text-line.ts';

/** Of the access log, as the flags say. Plain data. */
export interface AccessLogSettings {
  readonly format: 'off' | 'json' | 'text' | LogTemplate;
  readonly filter: LogFilterSettings;
  /** As `CREDENTIAL_NAMES`: whose values are left out. */
  readonly redact: readonly string[];
}

export interface AccessLogContext {
  /** Whole lines, and how many bytes of others were dropped since the last call. `taken` is to be called once they are. */
  readonly send: (lines: string, droppedBytes: number) => void;
  readonly listenerOf: LineContext['listenerOf'];
  /** From 0 to 1. */
  readonly random: () => number;
}

/** Lines are sent on when this many characters are gathered, or after `FLUSH_INTERVAL_MS`. */
const BATCH_CHARACTERS = 32 * 1024;
const FLUSH_INTERVAL_MS = 100;
/** What may wait for a control thread that is busy before lines are dropped. */
const MOST_WAITING = 1024 * 1024;

/**
 * Formats one line per exchange and hands batches of whole lines to `send`. The thread does not write them itself:
 * lines of several threads on one pipe would be torn, and a blocked pipe must not reach the data path. What the filter
 * leaves out is not formatted.
 */
export class AccessLog {
  readonly #settings: AccessLogSettings;
  readonly #context: AccessLogContext;
  readonly #line: LineContext;
  #options: AccessLogOptions | undefined = undefined;
  /** Null where nothing is logged. */
  #format: LineFormat | null;
  #isLogged: (exchange: ExchangeRecord) => boolean;
  #batch = '';
  #timer: NodeJS.Timeout | null = null;
  /** Characters that were sent and not taken. */
  #waiting = 0;
  #droppedBytes = 0;

  constructor(settings: AccessLogSettings, context: AccessLogContext) {
    this.#settings = settings;
    this.#context = context;
    this.#line = { redaction: new Redaction(settings.redact), listenerOf: context.listenerOf };
    this.#format = this.#formatOf(settings.format);
    this.#isLogged = logFilter(settings.filter, context.random);
  }

  /** What the ConfigMap of ingress-nginx says wins over the flags. */
  adopt(options: AccessLogOptions | undefined): void {
    if (isDeepStrictEqual(options, this.#options)) return;
    this.#options = options;
    const { format, filter } = this.#settings;
    const isOff = options?.isOff ?? format === 'off';
    this.#format = isOff ? null : this.#formatOf(options?.template ?? (format === 'off' ? 'json' : format));
    const skip = [...filter.skip, ...(options?.skip ?? [])];
    this.#isLogged = logFilter({ ...filter, skip }, this.#context.random);
  }

  /** What is needed of the fields of a request once it is over. */
  keep(fields: FieldsView, route: Route | null): KeptFields {
    const format = this.#format;
    if (format === null || format.kept.length === 0) return NO_KEPT_FIELDS;
    if (route?.policies?.configs['access-log'] !== undefined) return NO_KEPT_FIELDS;
    return new KeptForFormat(keepFields(format.kept, fields), format);
  }

  write(exchange: ExchangeRecord): void {
    if (this.#format === null || !this.#isLogged(exchange)) return;
    const { keptFields } = exchange;
    // Another format may have been adopted since, which has other fields.
    const format = keptFields instanceof KeptForFormat ? keptFields.format : this.#format;
    this.#gather(format.ofExchange(exchange));
  }

  writeStream(stream: StreamRecord): void {
    if (this.#format !== null) this.#gather(this.#format.ofStream(stream));
  }

  /** Sends what is gathered. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#batch === '') return;
    const lines = this.#batch;
    this.#batch = '';
    if (this.#waiting + lines.length > MOST_WAITING) {
      this.#droppedBytes += Buffer.byteLength(lines);
      return;
    }
    this.#waiting += lines.length;
    this.#context.send(lines, this.#droppedBytes);
    this.#droppedBytes = 0;
  }

  /** So many characters of what was sent were taken. */
  taken(characters: number): void {
    this.#waiting -= characters;
  }

  #gather(line: string): void {
    this.#batch += line;
    if (this.#batch.length >= BATCH_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_INTERVAL_MS).unref();
  }

  #formatOf(format: AccessLogSettings['format']): LineFormat | null {
    switch (format) {
      case 'off':
        return null;
      case 'json':
        return jsonFormat(this.#line);
      case 'text':
        return textFormat(this.#line);
      default:
        return templateFormat(format, this.#line);
    }
  }
}

class KeptForFormat implements KeptFields {
  readonly values: readonly string[];
  readonly format: LineFormat;

  constructor(values: readonly string[], format: LineFormat) {
    this.values = values;
    this.format = format;
  }
}
