import { indexed, integer, literal, string, tableSize } from './hpack.ts';
import {
  FLAG,
  FRAME,
  block,
  data,
  frame,
  headers,
  number,
  requestFields,
  settingsOf,
} from './http2-frames.ts';

/** Frames as nobody would send them, and some as everybody does; the same for the same numbers. */
export function noise(random: () => number): Buffer[] {
  const upTo = (most: number): number => Math.floor(random() * (most + 1));
  const pick = <T>(of: readonly T[]): T => of[upTo(of.length - 1)]!;
  const octets = (most: number): Buffer => Buffer.from(Array.from({ length: upTo(most) }, () => upTo(255)));
  const stream = (): number => pick([0, 1, 1, 1, 2, 3, 3, 5, 7, 99, 0x7fff_ffff, 0x8000_0001]);
  const flags = (): number => pick([0, 1, 4, 5, 5, 5, 8, 13, 37, 45, 255, upTo(255)]);
  const piece = (): Uint8Array =>
    pick<() => Uint8Array>([
      () => indexed(upTo(80)),
      () => integer(2 ** upTo(40), pick([4, 5, 6, 7]), pick([0, 0x10, 0x20, 0x40, 0x80])),
      () =>
        literal(
          pick(['indexing', 'plain', 'never']),
          pick([upTo(70), 'x-noise', 'cookie', 'Bad', ':path', '']),
          octets(30).toString('latin1'),
          pick(['plain', 'huffman']),
        ),
      () => tableSize(pick([0, 31, 100, 4096, 4097])),
      () => string('noise', 'huffman', '0101'),
      () => octets(10),
    ])();
  const fields = (): Buffer => {
    const pieces = Array.from({ length: upTo(6) }, piece);
    return Buffer.concat(random() < 0.6 ? [block(requestFields('GET', '/ok')), ...pieces] : pieces);
  };
  const whole = (): Buffer =>
    pick<() => Buffer>([
      () => headers(stream(), requestFields('GET', '/ok')),
      () =>
        headers(stream(), requestFields('POST', '/ok', ['content-length', String(upTo(6))]), FLAG.endHeaders),
      () => data(stream(), octets(8).toString('latin1'), random() < 0.5),
      () => frame(FRAME.headers, flags(), stream(), fields()),
      () => frame(FRAME.continuation, flags(), stream(), fields()),
      () => frame(FRAME.data, flags(), stream(), octets(40)),
      () => frame(FRAME.windowUpdate, 0, stream(), number(pick([0, 1, 1_000, 0x7fff_ffff, 0xffff_ffff]))),
      () => settingsOf([upTo(9), pick([0, 1, 2, 100, 16_384, 65_535, 0x7fff_ffff, 0xffff_ffff])]),
      () => frame(FRAME.reset, 0, stream(), number(upTo(15))),
      () => frame(FRAME.ping, flags(), pick([0, 0, 0, 1]), Buffer.alloc(pick([8, 8, 8, 7]))),
      () => frame(FRAME.goaway, 0, 0, Buffer.concat([number(upTo(9)), number(upTo(15))])),
      () => frame(upTo(20), flags(), stream(), octets(60)),
      () => octets(20),
    ])();
  return Array.from({ length: 1 + upTo(20) }, () => {
    const bytes = whole();
    // Now and then a frame loses its end, or an octet changes.
    if (random() < 0.03) return bytes.subarray(0, upTo(bytes.length));
    if (random() < 0.05) bytes[upTo(bytes.length - 1)] = upTo(255);
    return bytes;
  });
}
