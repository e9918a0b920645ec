import { isDeepStrictEqual } from 'node:util';
import type { FieldsView } from '../../http/head-edit.ts';
import type { LogTemplate } from '../../http/log-template.ts';
import { Redaction } from '../../http/redact-target.ts';
import type { AccessLogOptions } from '../../routing/global-options.ts';
import type { Route } from '../../routing/table.ts';
import { type ExchangeRecord, type KeptFields, NO_KEPT_FIELDS } from '../exchange-record.ts';
import type { StreamRecord } from '../stream/stream-record.ts';
import { jsonFormat } from './json-line.ts';
import { LineBatch, type SendLines } from './line-batch.ts';
import { type LogFilterSettings, logFilter } from './log-filter.ts';
import { type KeptField, type LineContext, type LineFormat, USUAL_FIELDS, keepFields } from './log-line.ts';
import { otlpFormat } from './otlp-record.ts';
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
  readonly send: SendLines;
  /** Takes log records of OpenTelemetry, one on each line; null where nobody does. */
  readonly sendRecords: SendLines | null;
  readonly listenerOf: LineContext['listenerOf'];
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * Formats one line per exchange, and one log record where a collector wants them, and sends them in batches. The thread does
 * not write them itself: lines of several threads on one pipe would be torn, and a blocked pipe must not reach the data
 * path. What the filter leaves out is not formatted.
 */
export class AccessLog {
  readonly #settings: AccessLogSettings;
  readonly #context: AccessLogContext;
  readonly #line: LineContext;
  readonly lines: LineBatch;
  readonly records: LineBatch | null;
  #options: AccessLogOptions | undefined = undefined;
  #formats: Formats;
  #isLogged: (exchange: ExchangeRecord) => boolean;

  constructor(settings: AccessLogSettings, context: AccessLogContext) {
    this.#settings = settings;
    this.#context = context;
    this.#line = { redaction: new Redaction(settings.redact), listenerOf: context.listenerOf };
    this.lines = new LineBatch(context.send);
    this.records = context.sendRecords && new LineBatch(context.sendRecords);
    this.#formats = this.#formatsOf(settings.format);
    this.#isLogged = logFilter(settings.filter, context.random);
  }

  /** What the ConfigMap of ingress-nginx says wins over the flags. */
  adopt(options: AccessLogOptions | undefined): void {
    if (isDeepStrictEqual(options, this.#options)) return;
    this.#options = options;
    const { format, filter } = this.#settings;
    const isOff = options?.isOff ?? format === 'off';
    this.#formats = this.#formatsOf(
      isOff ? 'off' : (options?.template ?? (format === 'off' ? 'json' : format)),
    );
    const skip = [...filter.skip, ...(options?.skip ?? [])];
    this.#isLogged = logFilter({ ...filter, skip }, this.#context.random);
  }

  /** What is needed of the fields of a request once it is over. */
  keep(fields: FieldsView, route: Route | null): KeptFields {
    const formats = this.#formats;
    if (formats.kept.length === 0) return NO_KEPT_FIELDS;
    if (route?.policies?.configs['access-log'] !== undefined) return NO_KEPT_FIELDS;
    return new KeptForFormats(keepFields(formats.kept, fields), formats);
  }

  write(exchange: ExchangeRecord): void {
    const { keptFields } = exchange;
    // Others may have been adopted since, which have other fields.
    const { line, record } = keptFields instanceof KeptForFormats ? keptFields.formats : this.#formats;
    if ((line === null && record === null) || !this.#isLogged(exchange)) return;
    if (line !== null) this.lines.add(line.ofExchange(exchange));
    if (record !== null) this.records?.add(record.ofExchange(exchange));
  }

  writeStream(stream: StreamRecord): void {
    const { line, record } = this.#formats;
    if (line !== null) this.lines.add(line.ofStream(stream));
    if (record !== null) this.records?.add(record.ofStream(stream));
  }

  /** Sends what is gathered. */
  flush(): void {
    this.lines.flush();
    this.records?.flush();
  }

  #formatsOf(format: AccessLogSettings['format']): Formats {
    const kept: KeptField[] = [];
    if (format === 'json' || this.records) kept.push(...USUAL_FIELDS);
    const record = this.records && otlpFormat(this.#line);
    return { line: this.#lineFormat(format, kept), record, kept };
  }

  /** What the format needs of fields is added to `kept`. */
  #lineFormat(format: AccessLogSettings['format'], kept: KeptField[]): LineFormat | null {
    switch (format) {
      case 'off':
        return null;
      case 'json':
        return jsonFormat(this.#line);
      case 'text':
        return textFormat(this.#line);
      default:
        return templateFormat(format, this.#line, kept);
    }
  }
}

interface Formats {
  /** Null where nothing is written. */
  readonly line: LineFormat | null;
  /** Null where no collector takes log records. */
  readonly record: LineFormat | null;
  readonly kept: readonly KeptField[];
}

class KeptForFormats implements KeptFields {
  readonly values: KeptFields['values'];
  readonly formats: Formats;

  constructor(values: KeptFields['values'], formats: Formats) {
    this.values = values;
    this.formats = formats;
  }
}
