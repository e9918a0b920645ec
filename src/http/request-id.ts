import { randomFillSync } from 'node:crypto';
import { latin1 } from './latin1.ts';

const ID_BYTES = 16;
/** Random bytes are drawn for so many ids at once. */
const random = Buffer.alloc(128 * ID_BYTES);
let next = random.length;

const text = Buffer.from('00000000-0000-0000-0000-000000000000', 'latin1');
/** Where the two digits of each byte stand in it. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const DIGITS = Buffer.from('0123456789abcdef', 'latin1');

/**
 * A random UUID (RFC 9562, version 4) as one piece of text. Node joins that of `randomUUID` from twenty pieces: for a
 * request that was a tenth of all the memory it took.
 */
export function newRequestId(): string {
  if (next === random.length) {
    randomFillSync(random);
    next = 0;
  }
  const version = next + 6;
  const variant = next + 8;
  random[version] = ((random[version] ?? 0) & 0x0f) | 0x40;
  random[variant] = ((random[variant] ?? 0) & 0x3f) | 0x80;
  for (const place of PLACES) {
    const byte = random[next++] ?? 0;
    text[place] = DIGITS[byte >> 4] ?? 0;
    text[place + 1] = DIGITS[byte & 0x0f] ?? 0;
  }
  return latin1(text, 0, text.length);
}
