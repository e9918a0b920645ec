/** What single bytes may be in HTTP/1.1 (RFC 9110 5.6, RFC 9112), as look-ups: one load per byte. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const UNDERSCORE = 0x5f;

const TOKEN = 1;
const VALUE = 2;
const TARGET = 4;
/** In a token, but for the underscore. */
const WORD = 8;

const CLASSES = new Uint8Array(256);
for (let byte = 0x21; byte < 0x7f; byte++) CLASSES[byte] = VALUE | TARGET;
for (let byte = 0x80; byte < 0x100; byte++) CLASSES[byte] = VALUE;
CLASSES[SP] = VALUE;
CLASSES[HTAB] = VALUE;
// A fragment has no place in a request: some servers would end the target there, others not.
CLASSES[0x23] = VALUE;
for (const token of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
  CLASSES[token.charCodeAt(0)] = (CLASSES[token.charCodeAt(0)] ?? 0) | TOKEN | (token === '_' ? 0 : WORD);
}

/** Where the bytes that may be in a token end, from `at` on. */
export function endOfToken(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && ((CLASSES[bytes[at] ?? 0] ?? 0) & TOKEN) !== 0) at++;
  return at;
}

/** The same, and it ends before an underscore too. */
export function endOfWord(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && ((CLASSES[bytes[at] ?? 0] ?? 0) & WORD) !== 0) at++;
  return at;
}

/** Where the bytes that may be in a field value end: VCHAR, obs-text, SP and HTAB. */
export function endOfValue(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && ((CLASSES[bytes[at] ?? 0] ?? 0) & VALUE) !== 0) at++;
  return at;
}

/** Where the bytes that may be in a request-target end: visible ASCII but `#`. */
export function endOfTarget(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && ((CLASSES[bytes[at] ?? 0] ?? 0) & TARGET) !== 0) at++;
  return at;
}

/** Whether the bytes from `start` to `end` are `lower`, a lower-case ASCII name, in any case of letters. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    if (lowerCase(bytes[start + i] ?? 0) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether the bytes from `start` to `end` begin with `lower`, lower-case ASCII, in any case of letters. */
export function startsWithIgnoringCase(
  bytes: Uint8Array,
  start: number,
  end: number,
  lower: string,
): boolean {
  return end - start >= lower.length && equalsIgnoringCase(bytes, start, start + lower.length, lower);
}

/** Whether one of the bytes from `start` to `end` is `letter`, a lower-case ASCII letter, in either case. */
export function includesIgnoringCase(bytes: Uint8Array, start: number, end: number, letter: number): boolean {
  for (let at = start; at < end; at++) if (((bytes[at] ?? 0) | 0x20) === letter) return true;
  return false;
}

export function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

/** 1*DIGIT as a number; -1 when it is anything else, or more than an exact integer can hold. */
export function decimal(bytes: Uint8Array, start: number, end: number): number {
  // 15 digits are always exact in a double.
  if (end === start || end - start > 15) return -1;
  let number = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}

/** The value of a hexadecimal digit, -1 for any other byte. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** One character per byte: what came in can be compared and logged as it came, whatever it was meant to be. */
export function text(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end);
}
