/** RFC 9113 8.2.1, and RFC 9110 5.1: what a field name may be made of in HTTP/2. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** Nothing of a value may end a line or a string anywhere on its way. */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const VISIBLE = /^[!-~]+$/;

/**
 * The request of a stream, as the head that it would have in HTTP/1.1 (latin-1): from there on it is read by the same
 * strict reader as every other request, so nothing passes over HTTP/2 that would not have passed without it. Null when
 * it is not well-formed (RFC 9113 8.2–8.3); most of such requests nghttp2 has refused before.
 *
 * `fields` are names and values in turns, as received. `bodyFollows` unless the head ended the stream.
 */
export function requestText(fields: readonly string[], bodyFollows: boolean): string | null {
  let method = '';
  let path = '';
  let authority: string | null = null;
  let host: string | null = null;
  let cookie = '';
  let hasLength = false;
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (CONTROL.test(value)) return null;
    switch (name) {
      case ':method':
        method = value;
        break;
      case ':path':
        path = value;
        break;
      case ':authority':
        authority = value;
        break;
      case ':scheme':
        break;
      case 'host':
        // Two of them stay two, and are refused as such.
        if (host !== null) lines += `host: ${host}\r\n`;
        host = value;
        break;
      case 'cookie':
        // RFC 9113 8.2.3: crumbs become one field again.
        cookie = cookie === '' ? value : `${cookie}; ${value}`;
        break;
      case 'te':
        break;
      case 'connection':
      case 'keep-alive':
      case 'proxy-connection':
      case 'transfer-encoding':
      case 'upgrade':
        return null;
      default:
        if (!NAME.test(name)) return null;
        if (name === 'content-length') hasLength = true;
        lines += `${name}: ${value}\r\n`;
    }
  }
  if (method === 'CONNECT') path = authority ?? '';
  if (!VISIBLE.test(method) || !VISIBLE.test(path)) return null;
  if (authority !== null) {
    // A Host that says another thing than :authority is a second Host.
    if (host !== null && host.toLowerCase() !== authority.toLowerCase()) lines += `host: ${host}\r\n`;
    host = authority;
  }
  if (host !== null) lines += `host: ${host}\r\n`;
  if (cookie !== '') lines += `cookie: ${cookie}\r\n`;
  if (bodyFollows && !hasLength) lines += 'transfer-encoding: chunked\r\n';
  return `${method} ${path} HTTP/1.1\r\n${lines}\r\n`;
}

/** The lines of a trailer section, up to and with the empty line; null when it is not well-formed. */
export function trailerText(fields: readonly string[]): string | null {
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (!NAME.test(name) || CONTROL.test(value)) return null;
    lines += `${name}: ${value}\r\n`;
  }
  return `${lines}\r\n`;
}

/**
 * The head of a response, as it would be in HTTP/1.1; null when it is not well-formed. A body whose length is not
 * told is `chunked` here: its end is known all the same.
 */
export function responseText(fields: readonly string[]): string | null {
  let status = '';
  let hasLength = false;
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    const value = fields[i + 1] ?? '';
    if (name === ':status') {
      status = value;
      continue;
    }
    if (!NAME.test(name) || CONTROL.test(value)) return null;
    switch (name) {
      case 'connection':
      case 'keep-alive':
      case 'proxy-connection':
      case 'transfer-encoding':
      case 'upgrade':
        return null;
      case 'content-length':
        hasLength = true;
        break;
      default:
        break;
    }
    lines += `${name}: ${value}\r\n`;
  }
  // RFC 9113 8.6: there is nothing to switch to.
  if (!/^[1-5]\d\d$/.test(status) || status === '101') return null;
  if (!hasLength && status !== '204' && status !== '304' && status.charCodeAt(0) !== ONE) {
    lines += 'transfer-encoding: chunked\r\n';
  }
  return `HTTP/1.1 ${status} \r\n${lines}\r\n`;
}

const ONE = 0x31;
