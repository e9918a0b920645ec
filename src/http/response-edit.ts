import { type FieldsView, HeadEdit } from './head-edit.ts';

/** The codings of content that Portico makes (RFC 9110 8.4.1), as they are written in fields. */
export type ContentCoding = 'zstd' | 'br' | 'gzip';

/** What the content of a response is encoded with on its way to the client. */
export interface ContentEncoding {
  readonly coding: ContentCoding;
  /** In the scale of the coding. */
  readonly level: number;
}

/** What policies change in a response. */
export class ResponseEdit extends HeadEdit {
  /** Null for a response whose content stays as it is: one of Portico's own, or one more than there is memory for. */
  readonly encodable: { readonly status: number } | null;
  /** The content that follows; null leaves it. To be set only where it is encodable. */
  encoding: ContentEncoding | null = null;

  constructor(fields: FieldsView, encodable: { readonly status: number } | null = null) {
    super(fields);
    this.encodable = encodable;
  }
}
