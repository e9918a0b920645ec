/** Octets that say whose they are and where: those of one number are found nowhere in those of another. */
export function pattern(of: number, length: number): Buffer {
  const words = new Int32Array(2 * Math.ceil(length / 8));
  for (let word = 0; word < words.length; word += 2) {
    words[word] = of;
    words[word + 1] = word;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** Whether these are the octets of a pattern from its beginning on. */
export function isPatternOf(of: number, bytes: Buffer): boolean {
  return bytes.equals(pattern(of, bytes.length));
}
