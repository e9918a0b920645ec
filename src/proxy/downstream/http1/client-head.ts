import { type LocalResponse } from '../../../http/local-response.ts';
import { isForbiddenTrailer } from '../../../http/header-fields.ts';
import type { FieldsView, HeadEdit } from '../../../http/head-edit.ts';
import { FieldKind } from '../../../http/field-names.ts';
import type { HttpVersion } from '../../native-record.ts';
import type { ResponseHead } from '../../upstream/http1/response-head-parser.ts';
import { isDropped } from '../../upstream/http1/upstream-head.ts';
import type { Trailers } from '../../http1/field-block.ts';
import type { ClientFraming, ConnectionOption } from '../../http1/framing.ts';
import type { WriteBuffer } from '../../write-buffer.ts';

/** The framing that the client understands for what the upstream sends. */
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

/** `persists` when the client may ask again on the connection. */
export function connectionOption(persists: boolean, httpVersion: HttpVersion): ConnectionOption {
  if (!persists) return 'close';
  return httpVersion === '1.0' ? 'keep-alive' : '';
}

/** Puts the head of an upstream's response together: our own status line and framing, its fields as they came. */
export function composeHead(
  output: WriteBuffer,
  response: ResponseHead,
  bytes: Buffer,
  base: number,
  framing: ClientFraming,
  connection: ConnectionOption,
  now: number,
  edit: HeadEdit | null = null,
): void {
  output.text(`HTTP/1.1 ${response.status} `);
  output.copy(bytes, base + response.reasonStart, base + response.reasonEnd);
  output.text('\r\n');
  composeFields(output, response, bytes, base, edit);
  const { contentLength, status } = response;
  let last = '';
  if (framing === 'chunked') last = 'Transfer-Encoding: chunked\r\n';
  else if (contentLength >= 0 && status >= 200 && status !== 204)
    last = `Content-Length: ${contentLength}\r\n`;
  // RFC 9110 6.6.1: a recipient that forwards a response without a Date adds it.
  if (!response.hasDate && status >= 200) last += `Date: ${dateOf(now)}\r\n`;
  if (edit !== null) for (const [name, value] of edit.added) last += `${name}: ${value}\r\n`;
  if (connection === 'Upgrade') {
    last += `Upgrade: ${response.fields.valueOfKind(bytes, base, FieldKind.upgrade) ?? ''}\r\n`;
  }
  if (connection !== '') last += `Connection: ${connection}\r\n`;
  output.text(`${last}\r\n`);
}

function composeFields(
  output: WriteBuffer,
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
      output.copy(bytes, base + fields.lineStart(field), base + fields.valueEnd(field));
      output.text('\r\n');
      continue;
    }
    if (relayed && runStart < 0) runStart = base + fields.lineStart(field);
    if (!relayed && runStart >= 0) {
      output.copy(bytes, runStart, base + fields.lineStart(field));
      runStart = -1;
    }
  }
  if (runStart >= 0) output.copy(bytes, runStart, base + fields.lineEnd(fields.count - 1));
}

/** The fields of an upstream's response that go on, as policies look them up. */
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

  values(name: string): readonly string[] {
    const { fields, connection } = this.#response;
    return connection.names?.has(name) ? [] : fields.valuesOfName(this.#bytes, this.#base, name);
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
export function composeChunkedEnd(output: WriteBuffer, { trailers, trailerBytes }: Trailers): void {
  if (!trailers || !trailerBytes) return output.text('0\r\n\r\n');
  output.text('0\r\n');
  for (let field = 0; field < trailers.count; field++) {
    if (!isRelayedTrailer(trailers.kind(field))) continue;
    if (isForbiddenTrailer(trailers.name(trailerBytes, 0, field))) continue;
    output.copy(trailerBytes, trailers.lineStart(field), trailers.lineEnd(field));
  }
  output.text('\r\n');
}

/** Whether a trailer may go on, as far as its kind says; `isForbiddenTrailer` knows more names. */
export function isRelayedTrailer(kind: FieldKind): boolean {
  return kind === FieldKind.other || kind === FieldKind.accept || kind === FieldKind.underscored;
}

/** Whether nothing says that no body follows: a gRPC status is the whole of its response, and has no length over HTTP/2. */
function endsUnsaid({ status, fields }: LocalResponse): boolean {
  return status !== 204 && status !== 304 && !fields.some(([name]) => name === 'content-length');
}

/** Puts one of Portico's own responses together. */
export function composeLocalResponse(
  output: WriteBuffer,
  answer: LocalResponse,
  connection: ConnectionOption,
  isHead: boolean,
  now: number,
): void {
  let out = `HTTP/1.1 ${answer.status} ${answer.reasonPhrase}\r\n`;
  for (const [name, value] of answer.fields) out += `${name}: ${value}\r\n`;
  if (answer.body === '' && endsUnsaid(answer)) out += 'content-length: 0\r\n';
  out += `date: ${dateOf(now)}\r\n`;
  if (connection !== '') out += `connection: ${connection}\r\n`;
  output.text(`${out}\r\n${isHead ? '' : answer.body}`);
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
