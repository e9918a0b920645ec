/** RFC 9110 5: names, and values of visible ASCII, that a policy may set. */
const MAX_VALUE_LENGTH = 4096;
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i;
/** RFC 9110 5.5: visible characters of ASCII, with blanks between them. */
const VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
/** What the proxy itself says of the message and the connection. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a field is of the message or the connection itself. */
export function isReservedField(lowerName: string): boolean {
  return RESERVED.has(lowerName);
}

/** Why a field cannot be set, as the end of a sentence; null when it can. */
export function fieldFault(name: string, value: string): string | null {
  if (!NAME.test(name)) return 'does not begin with a header field name and a colon';
  if (RESERVED.has(name.toLowerCase())) return `sets ${name}, which Portico sets itself`;
  if (value.length > MAX_VALUE_LENGTH || !VALUE.test(value)) return `has an invalid value for ${name}`;
  return null;
}
