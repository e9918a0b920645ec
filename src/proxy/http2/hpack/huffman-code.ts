/** The symbol that ends nothing: it must not be in a string, only its first bits pad one (RFC 7541 5.2). */
export const END_OF_STRING = 256;

/** How many bits there are per symbol (RFC 7541 appendix B), in order of the symbols: `a` is 5, `z` is 30. */
const LENGTHS = [
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhf',
  'ibccccccccccccccccccccccdcdioijbkabababbbaccbbbabcbaabccccckgjix',
  'prpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrs',
  'vvporsruvvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwv',
  'z',
].join('');

const SHORTEST = 5;
const LONGEST = 30;

/** Bits of the code of each symbol, the last one being that of `END_OF_STRING`. */
export const codeLengths = Uint8Array.from(LENGTHS, (letter) => letter.charCodeAt(0) - 97 + SHORTEST);

/** The code of each symbol, in its lowest bits. The code is canonical: the lengths tell it. */
export const codes = new Uint32Array(codeLengths.length);

let next = 0;
for (let length = SHORTEST; length <= LONGEST; length++) {
  next <<= 1;
  codeLengths.forEach((bits, symbol) => {
    if (bits === length) codes[symbol] = next++;
  });
}
