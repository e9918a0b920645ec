import { END_OF_STRING, codeLengths, codes } from './huffman-code.ts';

/**
 * A machine that reads a byte at a time. Its states are the inner nodes of the tree of codes, 0 being the root; per
 * state and byte there is the next state (bits 0–7), how many symbols ended in the byte, which are two at most as the
 * shortest code has 5 bits (bits 8–9), the first of them (bits 10–17) and the second (bits 18–25). Or REFUSED.
 */
const STEPS = new Int32Array(256 * 256);
const REFUSED = -1;
const STATE = 0xff;
const SYMBOLS = 0x300;
const ONE = 0x100;
const TWO = 0x200;
const FIRST = 10;
const SECOND = 18;

/** Whether a string may end in a state: after at most 7 bits, all of them ones (RFC 7541 5.2). */
const MAY_END = new Uint8Array(256);

/** Per inner node what comes after a bit of 0 and of 1: another inner node, or a symbol as `~symbol`. */
type Tree = [zero: number, one: number][];

function tree(): Tree {
  const nodes: Tree = [[0, 0]];
  codes.forEach((code, symbol) => {
    let node = 0;
    for (let bit = (codeLengths[symbol] ?? 0) - 1; bit > 0; bit--) {
      const branches = nodes[node] ?? [0, 0];
      const one = (code >>> bit) & 1;
      branches[one] ||= nodes.push([0, 0]) - 1;
      node = branches[one] ?? 0;
    }
    (nodes[node] ?? [0, 0])[code & 1] = ~symbol;
  });
  return nodes;
}

function step(nodes: Tree, state: number, byte: number): number {
  let node = state;
  let symbols = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const after = (nodes[node] ?? [0, 0])[(byte >>> bit) & 1] ?? 0;
    node = Math.max(after, 0);
    if (after >= 0) continue;
    if (~after === END_OF_STRING) return REFUSED;
    symbols |= ~after << (count++ === 0 ? FIRST : SECOND);
  }
  return symbols | (count * ONE) | node;
}

const nodes = tree();
for (let state = 0; state < nodes.length; state++) {
  for (let byte = 0; byte < 256; byte++) STEPS[(state << 8) | byte] = step(nodes, state, byte);
}
for (let node = 0, bits = 0; bits <= 7; bits++) {
  MAY_END[node] = 1;
  node = nodes[node]?.[1] ?? 0;
}

/** How many bytes a string of so many bytes is decoded to at most. */
export function huffmanBound(bytes: number): number {
  return Math.ceil((bytes * 8) / 5);
}

/** Decodes a string (RFC 7541 5.2) into the beginning of `into`; returns its length, or -1 when it is malformed. */
export function decodeHuffman(bytes: Buffer, from: number, to: number, into: Buffer): number {
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const next = STEPS[(state << 8) | (bytes[at] ?? 0)] ?? REFUSED;
    if (next === REFUSED) return -1;
    const symbols = next & SYMBOLS;
    if (symbols !== 0) {
      into[length++] = next >>> FIRST;
      if (symbols === TWO) into[length++] = next >>> SECOND;
    }
    state = next & STATE;
  }
  return MAY_END[state] === 1 ? length : -1;
}
