import { createHash, randomBytes } from 'node:crypto';
import { HeadBytes } from './head-bytes.ts';

/** RFC 9113 8.2.1, and RFC 9110 5.1: what a field name may be made of in HTTP/2. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** Nothing of a value may end a line or a string anywhere on its way. */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const VISIBLE = /^[!-~]+$/;
const SCHEME = /^https?$/i;

/** RFC 9113 8.2.1: a value that begins or ends with a blank would not come back as the same from HTTP/1.1. */
function isFieldValue(value: string): boolean {
  if (CONTROL.test(value)) return false;
  return value === '' || !(isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)));
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Of the request that was read last. */
const request = new HeadBytes();
/** Of the response, or of the trailers, that were read last. */
const answer = new HeadBytes();

/**
 * The request of a stream, as the head that it would have in HTTP/1.1: from there on it is read by the same
 * strict reader as every other request, so nothing passes over HTTP/2 that would not have passed without it. Null when
 * it is not well-formed (RFC 9113 8.2–8.3). A stream that wants to be the tunnel of a WebSocket (RFC 8441) asks for an
 * upgrade there.
 *
 * `fields` are names and values in turns, as received. `bodyFollows` unless the head ended the stream. The bytes are gone
 * with the next request.
 */
export function http1Request(fields: readonly string[], bodyFollows: boolean): HeadBytes | null {
  let method: string | null = null;
  let path: string | null = null;
  let authority: string | null = null;
  let scheme: string | null = null;
  let protocol: string | null = null;
  /** RFC 9113 8.3: pseudo-header fields come first, each of them once. */
  let i = 0;
  for (; fields[i]?.charCodeAt(0) === COLON; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (!isFieldValue(value)) return null;
    if (name === ':method' && method === null) method = value;
    else if (name === ':path' && path === null) path = value;
    else if (name === ':authority' && authority === null) authority = value;
    else if (name === ':scheme' && scheme === null) scheme = value;
    else if (name === ':protocol' && protocol === null) protocol = value;
    else return null;
  }
  const isTunnel = protocol !== null;
  if (isTunnel) {
    // RFC 8441 4: the one protocol that we know; a stream that has ended would be no tunnel.
    if (method !== 'CONNECT' || protocol?.toLowerCase() !== 'websocket' || !bodyFollows) return null;
    method = 'GET';
  }
  if (method === 'CONNECT') {
    // RFC 9113 8.5
    if (path !== null || scheme !== null) return null;
    path = authority;
  } else {
    if (scheme === null || !SCHEME.test(scheme)) return null;
    if (path?.charCodeAt(0) !== SLASH && !(path === '*' && method === 'OPTIONS')) return null;
  }
  if (method === null || path === null || !VISIBLE.test(method) || !VISIBLE.test(path)) return null;
  request.clear();
  request.add(method);
  request.add(' ');
  request.add(path);
  request.add(' HTTP/1.1\r\n');
  let host: string | null = null;
  let cookie = '';
  let hasLength = false;
  for (; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (!isFieldValue(value)) return null;
    switch (name) {
      case 'host':
        // Two of them stay two, and are refused as such.
        if (host !== null) request.line('host', host);
        host = value;
        break;
      case 'cookie':
        // RFC 9113 8.2.3: crumbs become one field again.
        cookie = cookie === '' ? value : `${cookie}; ${value}`;
        break;
      case 'sec-websocket-key':
        // RFC 8441 5: of no meaning there, and made anew below.
        if (!isTunnel) request.line(name, value);
        break;
      case 'te':
        if (value.toLowerCase() !== 'trailers') return null;
        break;
      default:
        if (!NAME.test(name) || isOfConnection(name)) return null;
        if (name === 'content-length') {
          // Told twice, or of a body that does not come.
          if (hasLength || isTunnel || (!bodyFollows && value !== '0')) return null;
          hasLength = true;
        }
        request.line(name, value);
    }
  }
  if (isTunnel) {
    request.add('connection: upgrade\r\nupgrade: websocket\r\n');
    request.line('sec-websocket-key', webSocketKey());
  }
  if (authority !== null) {
    // A Host that says another thing than :authority is a second Host.
    if (host !== null && host.toLowerCase() !== authority.toLowerCase()) request.line('host', host);
    host = authority;
  }
  if (host !== null) request.line('host', host);
  if (cookie !== '') request.line('cookie', cookie);
  if (bodyFollows && !isTunnel && !hasLength) request.add(CHUNKED_LINE);
  request.add('\r\n');
  return request;
}

const SLASH = 0x2f;
const COLON = 0x3a;

/** RFC 9113 8.2.2: a message with such a field is malformed. */
function isOfConnection(name: string): boolean {
  switch (name) {
    case 'connection':
    case 'keep-alive':
    case 'proxy-connection':
    case 'transfer-encoding':
    case 'upgrade':
      return true;
    default:
      return false;
  }
}

function webSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/**
 * The lines of a trailer section, up to and with the empty line; null when it is not well-formed. The bytes are gone with the
 * next response or trailer section.
 */
export function http1Trailers(fields: readonly string[]): HeadBytes | null {
  answer.clear();
  for (let i = 0; i < fields.length; i += 2) if (!addLine(fields[i] ?? '', fields[i + 1] ?? '')) return null;
  answer.add('\r\n');
  return answer;
}

/** False when it is not well-formed. */
function addLine(name: string, value: string): boolean {
  if (!NAME.test(name) || !isFieldValue(value) || isOfConnection(name)) return false;
  answer.line(name, value);
  return true;
}

/**
 * The head of a response, as it would be in HTTP/1.1; null when it is not well-formed. A body whose length is not
 * told is `chunked` here: its end is known all the same. The bytes are gone with the next response or trailer section.
 */
export function http1Response(fields: readonly string[]): HeadBytes | null {
  const status = statusOf(fields);
  if (status === null) return null;
  answer.clear();
  answer.add('HTTP/1.1 ');
  answer.add(status);
  answer.add(' \r\n');
  let hasLength = false;
  for (let i = 2; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (!addLine(name, fields[i + 1] ?? '')) return null;
    if (name === 'content-length') hasLength = true;
  }
  if (!hasLength && status !== '204' && status !== '304' && status.charCodeAt(0) !== ONE) {
    answer.add(CHUNKED_LINE);
  }
  answer.add('\r\n');
  return answer;
}

/** Null when there is none that may be. */
function statusOf(fields: readonly string[]): string | null {
  const [name, status = ''] = fields;
  // RFC 9113 8.6: there is nothing to switch to.
  return name === ':status' && /^[1-5]\d\d$/.test(status) && status !== '101' ? status : null;
}

const ONE = 0x31;
const CHUNKED_LINE = 'transfer-encoding: chunked\r\n';

/**
 * The answer to an extended CONNECT (RFC 8441 5) as that to the upgrade which it stands for, whose `Sec-WebSocket-Key`
 * was `key`; as it is when the upstream does not want it; null when it is not well-formed.
 */
export function http1Switch(fields: readonly string[], key: string): HeadBytes | null {
  if (!statusOf(fields)?.startsWith('2')) return http1Response(fields);
  const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64');
  answer.clear();
  answer.add('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n');
  answer.line('sec-websocket-accept', accept);
  for (let i = 2; i < fields.length; i += 2) if (!addLine(fields[i] ?? '', fields[i + 1] ?? '')) return null;
  answer.add('\r\n');
  return answer;
}

/** RFC 6455 1.3 */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
