import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Writable } from 'node:stream';
import * as ws from 'ws';
import { GOING_AWAY, WebSocketFrames, maskedGoingAway } from '../../src/proxy/websocket-frames.ts';
import { examples } from '../support/examples.ts';

/** What the package writes and reads frames with, which its types do not tell of. */
const { Sender, Receiver } = ws as unknown as {
  readonly Sender: { frame(payload: Buffer, options: object): Buffer[] };
  readonly Receiver: new (options: { isServer: boolean }) => Writable;
};

function frame(opcode: number, payload: Buffer, mask: boolean, fin = true): Buffer {
  return Buffer.concat(Sender.frame(payload, { opcode, mask, fin, readOnly: true, rsv1: false }));
}

const CONTINUATION = 0;
const TEXT = 1;
const PING = 9;

function readBy(pieces: readonly Buffer[]): WebSocketFrames {
  const frames = new WebSocketFrames();
  for (const piece of pieces) frames.read(piece, 0, piece.length);
  return frames;
}

const anyFrame = fc.record({
  opcode: fc.constantFrom(CONTINUATION, TEXT, 2, PING, 10),
  // Around the places where the length needs more bytes.
  length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(65_535, 65_536, 70_000)),
  mask: fc.boolean(),
  fin: fc.boolean(),
});

describe('the frames of a WebSocket', () => {
  it('nothing is a boundary', () => {
    expect(new WebSocketFrames().mayClose).toBe(true);
  });

  it.each([0, 1, 125, 126, 127, 65_535, 65_536])(
    'a payload of %d bytes ends where it does and nowhere before',
    (length) => {
      for (const mask of [false, true]) {
        const bytes = frame(2, Buffer.alloc(length, 0x88), mask);
        const frames = new WebSocketFrames();
        for (let at = 0; at < bytes.length; at++) {
          frames.read(bytes, at, at + 1);
          if (frames.mayClose !== (at === bytes.length - 1)) expect.fail(`at byte ${at} of ${bytes.length}`);
        }
        expect(frames.mayClose).toBe(true);
      }
    },
  );

  it('reads only the part of the bytes that it is shown', () => {
    const bytes = Buffer.concat([Buffer.alloc(3, 0x88), frame(TEXT, Buffer.from('hello'), true)]);
    const frames = new WebSocketFrames();
    frames.read(bytes, 3, bytes.length - 1);
    expect(frames.mayClose).toBe(false);
    frames.read(bytes, bytes.length - 1, bytes.length);
    expect(frames.mayClose).toBe(true);
  });

  it('a close may stand between the pieces of a message, but not behind a close', () => {
    const piece = frame(TEXT, Buffer.from('to be contin'), false, false);
    expect(readBy([piece]).mayClose).toBe(true);
    expect(readBy([piece, GOING_AWAY]).mayClose).toBe(false);
    expect(readBy([piece, GOING_AWAY, frame(PING, Buffer.alloc(0), false)]).mayClose).toBe(false);
  });

  it('a length that never comes is never over', () => {
    const header = Buffer.from([0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    expect(readBy([header, Buffer.alloc(100_000)]).mayClose).toBe(false);
  });

  it('finds the same ends however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.nat(),
        (parts, cuts, stop) => {
          const written = parts.map(({ opcode, length, mask, fin }) =>
            frame(opcode, Buffer.alloc(length, 0x88), mask, fin),
          );
          const ends = new Set([0]);
          let length = 0;
          for (const { length: more } of written) ends.add((length += more));
          const end = stop % (length + 1);
          const bytes = Buffer.concat(written).subarray(0, end);
          const places = [...cuts.map((cut) => cut % (end + 1)), 0, end].sort((a, b) => a - b);
          const frames = new WebSocketFrames();
          for (let i = 1; i < places.length; i++) frames.read(bytes, places[i - 1] ?? 0, places[i] ?? 0);
          expect(frames.mayClose).toBe(ends.has(end));
          // And at each end of a frame, which arbitrary places hardly hit.
          for (const whole of ends)
            expect(readBy([Buffer.concat(written).subarray(0, whole)]).mayClose).toBe(true);
        },
      ),
      { numRuns: examples(75) },
    );
  });

  it.each([
    ['a client', false, GOING_AWAY],
    ['a server', true, maskedGoingAway(Buffer.from([1, 0x20, 0xff, 0x80]))],
  ])('what %s is told is a Close with 1001 to the `ws` package too', (_, isServer, bytes) => {
    const receiver = new Receiver({ isServer });
    let code = 0;
    receiver.on('conclude', (given: number) => (code = given));
    receiver.write(bytes);
    expect(code).toBe(1001);
    expect(readBy([bytes]).mayClose).toBe(false);
  });
});
