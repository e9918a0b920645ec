import { type LocalResponse } from '../../../http/local-response.ts';
import { isForbiddenTrailer } from '../../../http/header-fields.ts';
import type { FieldsView, HeadEdit } from '../../../http/head-edit.ts';
import { FieldKind } from '../../../http/field-names.ts';
import type { HttpVersion } from '../../native-record.ts';
import type { ResponseHead } from '../../upstream/http1/response-head.ts';
import { isDropped } from '../../upstream/http1/upstream-head.ts';
import type { Trailers } from '../../sides.ts';
import type { Slab } from '../../write-buffer.ts';

/** How the body of a response is framed for the client; a stream frames by itself, so `chunked` is "no length told" to it. */
export type ClientFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** The framing that the client understands for what the pod sends. */
export function clientFraming(response: ResponseHead, httpVersion: HttpVersion): ClientFraming {
  switch (response.framing.kind) {
    case 'none':
      return 'none';
    case 'length':
      return 'length';
    case 'chunked':
    case 'until-close':
      // RFC 9112 6.1: no chunks for HTTP/1.0, where a body ends with the connection.
      return httpVersion === '1.0' ? 'until-close' : 'chunked';
    default:
      return response.framing satisfies never;
  }
}

/** What the response says of the connection to the client; empty where the version says it already. */
export type ConnectionWord = '' | 'close' | 'keep-alive' | 'Upgrade';

/** `persists` when the client may ask again on the connection. */
export function connectionWord(persists: boolean, httpVersion: HttpVersion): ConnectionWord {
  if (!persists) return 'close';
  return httpVersion === '1.0' ? 'keep-alive' : '';
}

/** Puts the head of a pod's response together: our own status line and framing, its fields as they came. */
export function composeHead(
  slab: Slab,
  response: ResponseHead,
  bytes: Buffer,
  base: number,
  framing: ClientFraming,
  connection: ConnectionWord,
  now: number,
  edit: HeadEdit | null = null,
): void {
  slab.text(`HTTP/1.1 ${response.status} `);
  slab.copy(bytes, base + response.reasonStart, base + response.reasonEnd);
  slab.text('\r\n');
  composeFields(slab, response, bytes, base, edit);
  const { contentLength, status } = response;
  let last = '';
  if (framing === 'chunked') last = 'Transfer-Encoding: chunked\r\n';
  else if (contentLength >= 0 && status >= 200 && status !== 204)
    last = `Content-Length: ${contentLength}\r\n`;
  // RFC 9110 6.6.1: whoever passes on a response without a Date adds it.
  if (!response.hasDate && status >= 200) last += `Date: ${dateOf(now)}\r\n`;
  if (edit !== null) for (const [name, value] of edit.added) last += `${name}: ${value}\r\n`;
  if (connection === 'Upgrade') {
    last += `Upgrade: ${response.fields.valueOfKind(bytes, base, FieldKind.upgrade) ?? ''}\r\n`;
  }
  if (connection !== '') last += `Connection: ${connection}\r\n`;
  slab.text(`${last}\r\n`);
}

function composeFields(
  slab: Slab,
  response: ResponseHead,
  bytes: Buffer,
  base: number,
  edit: HeadEdit | null,
): void {
  const { fields } = response;
  const { names } = response.connection;
  let runStart = -1;
  for (let field = 0; field < fields.count; field++) {
    const relayed =
      isRelayedResponse(fields.kind(field)) &&
      !names?.has(fields.name(bytes, base, field)) &&
      !(edit !== null && isDropped(edit, fields, bytes, base, field));
    if (fields.hasBareLf) {
      if (!relayed) continue;
      slab.copy(bytes, base + fields.lineStart(field), base + fields.valueEnd(field));
      slab.text('\r\n');
      continue;
    }
    if (relayed && runStart < 0) runStart = base + fields.lineStart(field);
    if (!relayed && runStart >= 0) {
      slab.copy(bytes, runStart, base + fields.lineStart(field));
      runStart = -1;
    }
  }
  if (runStart >= 0) slab.copy(bytes, runStart, base + fields.lineEnd(fields.count - 1));
}

/** The fields of a pod's response that go on, as policies look them up. */
export class RelayedFields implements FieldsView {
  readonly #response: ResponseHead;
  readonly #bytes: Buffer;
  readonly #base: number;

  constructor(response: ResponseHead, bytes: Buffer, base: number) {
    this.#response = response;
    this.#bytes = bytes;
    this.#base = base;
  }

  value(name: string): string | undefined {
    const { fields, connection } = this.#response;
    if (connection.names?.has(name)) return undefined;
    return fields.valueOfName(this.#bytes, this.#base, name);
  }
}

/** Whether a field of a response goes on as it is; the client hears of framing and connection in our own words. */
export function isRelayedResponse(kind: FieldKind): boolean {
  switch (kind) {
    case FieldKind.contentLength:
    case FieldKind.transferEncoding:
    case FieldKind.connection:
    case FieldKind.keepAlive:
    case FieldKind.upgrade:
    case FieldKind.te:
    case FieldKind.dropped:
      return false;
    default:
      return true;
  }
}

/** The end of a chunked body, with those trailers that may pass (RFC 9110 6.5.1). */
export function composeChunkedEnd(slab: Slab, { trailers, trailerBytes }: Trailers): void {
  if (!trailers || !trailerBytes) return slab.text('0\r\n\r\n');
  slab.text('0\r\n');
  for (let field = 0; field < trailers.count; field++) {
    if (!isRelayedTrailer(trailers.kind(field))) continue;
    if (isForbiddenTrailer(trailers.name(trailerBytes, 0, field))) continue;
    slab.copy(trailerBytes, trailers.lineStart(field), trailers.lineEnd(field));
  }
  slab.text('\r\n');
}

/** Whether a trailer may go on, as far as its kind says; `isForbiddenTrailer` knows more names. */
export function isRelayedTrailer(kind: FieldKind): boolean {
  return kind === FieldKind.other || kind === FieldKind.accept || kind === FieldKind.underscored;
}

/** Puts one of Portico's own responses together. */
export function composeAnswer(
  slab: Slab,
  answer: LocalResponse,
  connection: ConnectionWord,
  isHead: boolean,
  now: number,
): void {
  let out = `HTTP/1.1 ${answer.status} ${answer.reasonPhrase}\r\n`;
  for (const [name, value] of answer.fields) out += `${name}: ${value}\r\n`;
  out += `date: ${dateOf(now)}\r\n`;
  if (connection !== '') out += `connection: ${connection}\r\n`;
  slab.text(`${out}\r\n${isHead ? '' : answer.body}`);
}

let dateSecond = -1;
let dateText = '';

/** IMF-fixdate, made once a second. */
export function dateOf(now: number): string {
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}
