import type { HeadEdit } from '../../http/head-edit.ts';
import { isForbiddenTrailer } from '../../http/header-fields.ts';
import { isRelayedResponse, isRelayedTrailer } from '../downstream/http1/client-head.ts';
import type { FieldBlock } from '../http1/field-block.ts';
import type { ResponseHead } from '../upstream/http1/response-head-parser.ts';
import type { Trailers } from '../http1/field-block.ts';
import { knownNameIn, knownNameOf } from './hpack/known-names.ts';
import { http1Trailers } from './text.ts';

/** Names and values in turns. */
export type Fields = string[];

export const NO_TRAILERS: Trailers = { trailers: null, trailerBytes: null };

/**
 * The fields of a response for a stream: without what is about the connection it came on. `date` is for a final one that
 * came without, and not looked at otherwise.
 */
export function responseFields(
  head: ResponseHead,
  bytes: Buffer,
  base: number,
  date: string,
  edit: HeadEdit | null = null,
): Fields {
  const { fields, status, contentLength } = head;
  const { names } = head.connection;
  // RFC 8441 5: what is a 101 to a connection is a 200 to a stream.
  const isSwitch = status === 101;
  const out: Fields = [':status', String(isSwitch ? 200 : status)];
  for (let field = 0; field < fields.count; field++) {
    if (!isRelayedResponse(fields.kind(field))) continue;
    const name = nameOf(fields, bytes, base, field);
    if (names?.has(name) || (isSwitch && name === 'sec-websocket-accept')) continue;
    if (edit !== null && edit.drops(name)) continue;
    out.push(name, fields.value(bytes, base, field));
  }
  const hasLength = contentLength >= 0 && status >= 200 && status !== 204;
  if (hasLength && !edit?.drops('content-length')) out.push('content-length', String(contentLength));
  if (status >= 200 && !head.hasDate) out.push('date', date);
  if (edit !== null) for (const [name, value] of edit.added) out.push(name.toLowerCase(), value);
  return out;
}

/** The head that goes to upstreams, as fields of a stream: its lines were all read or written by us. */
export function requestFields(text: string, scheme: string): Fields {
  let end = text.indexOf('\r\n');
  const [method = '', path = ''] = text.slice(0, end).split(' ', 2);
  const out: Fields = [':method', method, ':scheme', scheme, ':authority', '', ':path', path];
  // An empty line ends it.
  for (let at = end + 2; (end = text.indexOf('\r\n', at)) > at; at = end + 2) {
    const colon = text.indexOf(':', at);
    const name = knownNameOf(text, at, colon) ?? text.slice(at, colon).toLowerCase();
    if (name === 'connection' || name === 'upgrade' || name === 'transfer-encoding') continue;
    const value = withoutBlanks(text, colon + 1, end);
    if (name === 'host') out[5] = value;
    else out.push(name, value);
  }
  // Whatever the client can do with trailers, we can take them; a gRPC server asks for no less.
  out.push('te', 'trailers');
  return out;
}

/**
 * The same for a WebSocket, as an extended CONNECT (RFC 8441 4), with the key that no stream has any use for; null when
 * it asks for another protocol.
 */
export function connectFields(text: string, scheme: string): { fields: Fields; key: string } | null {
  if (!/^upgrade:[ \t]?websocket\r$/im.test(text)) return null;
  const fields = requestFields(text, scheme);
  const at = fields.findIndex((name, index) => index % 2 === 0 && name === 'sec-websocket-key');
  if (at < 0) return null;
  const [, key = ''] = fields.splice(at, 2);
  fields[1] = 'CONNECT';
  fields.splice(2, 0, ':protocol', 'websocket');
  return { fields, key };
}

/** In lower case; made of the bytes only where it is not known. */
function nameOf(fields: FieldBlock, bytes: Buffer, base: number, field: number): string {
  const known = knownNameIn(bytes, base + fields.lineStart(field), base + fields.nameEnd(field));
  return known ?? fields.name(bytes, base, field);
}

/** Those trailers that may pass (RFC 9110 6.5.1); null for none. */
export function trailerFields({ trailers, trailerBytes }: Trailers): Fields | null {
  if (!trailers || !trailerBytes) return null;
  const out: Fields = [];
  for (let field = 0; field < trailers.count; field++) {
    const name = nameOf(trailers, trailerBytes, 0, field);
    if (!isRelayedTrailer(trailers.kind(field)) || isForbiddenTrailer(name)) continue;
    out.push(name, trailers.value(trailerBytes, 0, field));
  }
  return out.length > 0 ? out : null;
}

/**
 * Reads a trailer section into `trailers`, as strictly as one of HTTP/1.1; null when it is not well-formed or too large. Its
 * bytes are gone with the next one: see `keepTrailers`.
 */
export function readTrailers(
  fields: readonly string[],
  trailers: FieldBlock,
  mostBytes: number,
): Trailers | null {
  const section = http1Trailers(fields);
  if (section === null) return null;
  trailers.reset(0);
  if (trailers.read(section.bytes, 0, section.length, mostBytes) !== 'done') return null;
  return trailers.count === 0 ? NO_TRAILERS : { trailers, trailerBytes: section.bytes };
}

/** Trailers that were just read, with bytes of their own. */
export function keepTrailers({ trailers, trailerBytes }: Trailers): Trailers {
  if (trailers === null || trailerBytes === null) return NO_TRAILERS;
  return { trailers, trailerBytes: Buffer.from(trailerBytes.subarray(0, trailers.next)) };
}

/** Not trim(): to JavaScript more bytes are blank than to HTTP. */
function withoutBlanks(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
