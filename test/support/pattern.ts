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
  const { byteOffset, length } = bytes;
  if (byteOffset % 4 !== 0) return bytes.equals(pattern(of, length));
  // Word by word, where they are: they may be many, and to make them once more takes longer.
  const words = new Int32Array(bytes.buffer, byteOffset, length >> 2);
  for (let word = 0; word < words.length; word++) {
    if (words[word] !== (word % 2 === 0 ? of : word - 1)) return false;
  }
  const rest = pattern(of, 8).subarray(0, 4);
  if (words.length % 2 === 1) rest.writeInt32LE(words.length - 1);
  return bytes.subarray(4 * words.length).equals(rest.subarray(0, length % 4));
}
