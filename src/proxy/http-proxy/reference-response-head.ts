import type { IncomingMessage, InformationEvent, ServerResponse } from 'node:http';
import type { HeaderField } from '../../http/head-edit.ts';
import { connectionOptions, isForbiddenTrailer, isHopByHop } from '../../http/header-fields.ts';
import { valuesOf } from './reference-record.ts';

/**
 * The fields of an upstream's response that go on, as spelled; null when its framing is invalid
 * (RFC 9112 6.1 and 6.3: two lengths, a coding that is not chunked, or one in HTTP/1.0).
 */
export function relayedFields(response: IncomingMessage): HeaderField[] | null {
  const { rawHeaders } = response;
  const codings = valuesOf(rawHeaders, 'transfer-encoding');
  const lengths = valuesOf(rawHeaders, 'content-length');
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked')) return null;
  if (codings.length > 0 && response.httpVersion === '1.0') return null;
  if (lengths.length > 1 || (lengths.length > 0 && codings.length > 0)) return null;
  const names = connectionOptions(valuesOf(rawHeaders, 'connection').join(',')).names;
  return pairs(rawHeaders, (name) => {
    // RFC 9110 8.6: there is none in a 204.
    if (name === 'content-length' && response.statusCode === 204) return false;
    // Node accepts the field that announces trailers on a chunked message only.
    if (name === 'trailer' && codings.length === 0) return false;
    return !isHopByHop(name) && !names?.has(name);
  });
}

/** The trailer fields that go on. */
export function relayedTrailers(rawTrailers: readonly string[]): [string, string][] {
  // Node reads a DEL and throws when it should write one.
  return pairs(rawTrailers, (name) => !isForbiddenTrailer(name))
    .filter(([, value]) => !value.includes('\x7f'))
    .map(([name, value]) => [name, value]);
}

function pairs(raw: readonly string[], kept: (name: string) => boolean): HeaderField[] {
  const fields: HeaderField[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? '';
    if (kept(name.toLowerCase())) fields.push([name, raw[i + 1] ?? '']);
  }
  return fields;
}

/** Node can write these three; others, which nobody knows, stay here. */
export function relayInterim({ statusCode, headers }: InformationEvent, response: ServerResponse): void {
  if (statusCode === 100) response.writeContinue();
  else if (statusCode === 102) response.writeProcessing();
  else if (statusCode === 103 && headers.link !== undefined) {
    try {
      response.writeEarlyHints({ ...headers, link: headers.link } as Record<string, string | string[]>);
    } catch {
      // Node writes no Link that it does not understand. They are hints: the response comes all the same.
    }
  }
}
