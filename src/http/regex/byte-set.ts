/** Which of the 256 bytes belong to a set: 1 for each that does. */
export type ByteSet = Uint8Array;

export const ANY: ByteSet = new Uint8Array(256).fill(1);
export const NOT_NEWLINE: ByteSet = complement(range(0x0a, 0x0a));
export const DIGIT = setOf('09');
export const WORD = setOf('09AZaz__');
export const SPACE = setOf('\t\n\f\r  ');

/** The names that may stand as `[:name:]` in brackets. */
export const POSIX: Readonly<Record<string, ByteSet | undefined>> = {
  alnum: setOf('09AZaz'),
  alpha: setOf('AZaz'),
  ascii: range(0x00, 0x7f),
  blank: setOf('\t\t  '),
  cntrl: setOf('\x00\x1f\x7f\x7f'),
  digit: DIGIT,
  graph: setOf('!~'),
  lower: setOf('az'),
  print: setOf(' ~'),
  punct: setOf('!/:@[`{~'),
  space: setOf('\t\r  '),
  upper: setOf('AZ'),
  word: WORD,
  xdigit: setOf('09AFaf'),
};

/** The bytes from `low` to `high`. */
export function range(low: number, high: number): ByteSet {
  return new Uint8Array(256).fill(1, low, high + 1);
}

export function complement(set: ByteSet): ByteSet {
  return set.map((bit) => 1 - bit);
}

/** With each ASCII letter the other case too. */
export function fold(set: ByteSet): ByteSet {
  const folded = set.slice();
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    const either = (set[upper] ?? 0) | (set[upper + 0x20] ?? 0);
    folded[upper] = either;
    folded[upper + 0x20] = either;
  }
  return folded;
}

export function isWordByte(byte: number): boolean {
  return WORD[byte] === 1;
}

/** Pairs of characters, each from the first to the second. */
function setOf(pairs: string): ByteSet {
  const set = new Uint8Array(256);
  for (let i = 0; i < pairs.length; i += 2) set.fill(1, pairs.charCodeAt(i), pairs.charCodeAt(i + 1) + 1);
  return set;
}
