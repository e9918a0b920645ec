import type { LogEscape } from './log-template.ts';

/** Characters that end a string of JSON, a line, or what a terminal shows as text. */
const UNSAFE = /["\\\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/;

/** A string of JSON on one line, in which nothing moves a cursor. */
export function quoted(text: string): string {
  return UNSAFE.test(text) ? quotedSlowly(text) : `"${text}"`;
}

function quotedSlowly(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029]/g, unicodeEscape);
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The same of a text that came as bytes in Latin-1. */
export function quotedBytes(latin1: string): string {
  return UNSAFE_BYTES.test(latin1) ? quoted(textOfBytes(latin1)) : `"${latin1}"`;
}

const UNSAFE_BYTES = /["\\\u0000-\u001f\u007f-\uffff]/;

/** The text that bytes in Latin-1 stand for: header fields come as bytes, and what is not ASCII is UTF-8 nearly always. */
export function textOfBytes(latin1: string): string {
  return NOT_ASCII.test(latin1) ? Buffer.from(latin1, 'latin1').toString() : latin1;
}

const NOT_ASCII = /[^\u0000-\u007f]/;

/**
 * Gives what writes a value in the way of nginx (`log_format`, `escape=`). A value that there is not is a hyphen, or nothing
 * with `json` and `none`. Unlike in nginx no control character comes through `none`: a client must not begin a line.
 */
export function logEscape(escape: LogEscape): (value: string | null) => string {
  switch (escape) {
    case 'default':
      return (value) => (value === null ? '-' : escapedBytes(value));
    case 'json':
      return (value) => (value === null ? '' : quoted(value).slice(1, -1));
    case 'none':
      return (value) => (value === null ? '' : printable(value));
    default:
      return escape satisfies never;
  }
}

/** `\xHH` for each byte that is a quote, a backslash, a control character or not ASCII. */
function escapedBytes(value: string): string {
  if (!NOT_PLAIN.test(value)) return value;
  return value.replace(/["\\\u0000-\u001f\u007f-\uffff]+/g, (run) => {
    let text = '';
    for (const byte of Buffer.from(run)) text += `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    return text;
  });
}

const NOT_PLAIN = /["\\\u0000-\u001f\u007f-\uffff]/;

/** What others send must not move the cursor of a person who reads the log, nor begin a line of its own. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
