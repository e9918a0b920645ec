const CHARACTERS = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * A digest as crypt(3) writes it: three bytes at a time in the order of `places`, the last of them lowest, six bits a
 * character from the low end. `last` is the byte that is left over, if any.
 */
export function base64Of(digest: Uint8Array, places: readonly number[], ...last: readonly number[]): string {
  let text = '';
  for (let at = 0; at < places.length; at += 3) {
    const [a = 0, b = 0, c = 0] = places.slice(at, at + 3).map((place) => digest[place]);
    text += characters((a << 16) | (b << 8) | c, 4);
  }
  if (last.length === 0) return text;
  const value = last.reduce((sum, place) => (sum << 8) | (digest[place] ?? 0), 0);
  return text + characters(value, last.length + 1);
}

function characters(value: number, count: number): string {
  let text = '';
  for (let left = value, n = 0; n < count; n++, left >>= 6) text += CHARACTERS.charAt(left & 0x3f);
  return text;
}
