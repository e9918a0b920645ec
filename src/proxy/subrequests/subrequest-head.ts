import type { Subrequest } from '../../http/subrequest.ts';

const METHOD = /^[A-Z]+$/;
/** Visible ASCII: no byte may end the request line. */
const TARGET = /^\/[\x21-\x7e]*$/;
/** RFC 9110 5.1 and 5.5. */
const FIELD = /^[\w!#$%&'*+.^`|~-]+: [\t\x20-\x7e\x80-\xff]*\r\n$/;
/** What the sender says itself. */
const FRAMING = /^(?:content-length|transfer-encoding|connection)$/i;
/** RFC 9110 8.6: what these methods usually come with is declared where there is none. */
const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/** The head of a subrequest, in Latin-1 and with the empty line; null when something in it is no valid HTTP. */
export function subrequestHead({ method, target, fields, body }: Subrequest): string | null {
  if (!METHOD.test(method) || !TARGET.test(target)) return null;
  let out = `${method} ${target} HTTP/1.1\r\n`;
  for (const [name, value] of fields) {
    const line = `${name}: ${value}\r\n`;
    if (!FIELD.test(line) || FRAMING.test(name)) return null;
    out += line;
  }
  if (body?.length === null) out += 'Transfer-Encoding: chunked\r\n';
  else if (body) out += `Content-Length: ${body.length}\r\n`;
  else if (WITH_BODY.has(method)) out += 'Content-Length: 0\r\n';
  return `${out}\r\n`;
}
