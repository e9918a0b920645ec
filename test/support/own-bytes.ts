import { setImmediate as nextTurn } from 'node:timers/promises';
import { HpackEncoder, sizeBound } from '../../src/proxy/http2/hpack/encoder.ts';
import {
  FLAG,
  FRAME,
  type FieldList,
  type FrameClient,
  blocks,
  frame,
  ping,
  windowUpdate,
} from './http2-frames.ts';

/** Messages that say with every octet whose they are, in frames cut and mixed by chance. */

type Random = () => number;

/** A frame, written when its turn comes: the fields of a connection refer to those before them. */
export type Later = () => Buffer;

const own = (id: string, length: number): string => id.repeat(Math.ceil(length / id.length)).slice(0, length);

export function below(random: Random, most: number): number {
  return Math.floor(random() * most);
}

function ownFields(random: Random, id: string): FieldList {
  return Array.from({ length: below(random, 6) }, (_, i) => {
    const name = random() < 0.5 ? `x-own-${id}-${i}` : `x-own-${i}`;
    return [name, own(id, below(random, random() < 0.2 ? 3_000 : 40))];
  });
}

/** The fields, and the first octets of a body, that are another's. */
export function notOwn(id: string, fields: FieldList, body: string): readonly string[] {
  const others = fields.filter(([name, value]) => {
    if (name === 'x-id' || name === 'x-end') return value !== id;
    const [, of = id] = /^x-own-(\w+)-\d$/.exec(name) ?? [];
    return name.startsWith('x-own-') && (of !== id || value !== own(id, value.length));
  });
  const names = others.map(([name, value]) => `${id}: ${name}: ${value.slice(0, 60)}`);
  return body === own(id, body.length) ? names : [...names, `${id}: ${body.slice(0, 60)}`];
}

/** A request or a response, with a body and trailers or without. */
export function message(
  random: Random,
  encoder: HpackEncoder,
  stream: number,
  pseudo: FieldList,
  id: string,
): Later[] {
  const fields = (list: FieldList, ends: boolean): Later => {
    return () => section(random, encoder, stream, list, ends);
  };
  const body = own(id, random() < 0.3 ? 0 : below(random, random() < 0.2 ? 12_000 : 600));
  const hasTrailers = random() < 0.4;
  const frames = [fields([...pseudo, ['x-id', id], ...ownFields(random, id)], body === '' && !hasTrailers)];
  for (let at = 0; at < body.length;) {
    const to = Math.min(body.length, at + 1 + below(random, random() < 0.3 ? 40 : 6_000));
    const bytes = Buffer.from(body.slice(at, to));
    const ends = to === body.length && !hasTrailers ? FLAG.endStream : 0;
    frames.push(() => frame(FRAME.data, ends, stream, bytes));
    at = to;
  }
  if (hasTrailers) frames.push(fields([['x-end', id], ...ownFields(random, id)], true));
  return frames;
}

/** A field section in as many frames as it happens to be. */
export function section(
  random: Random,
  encoder: HpackEncoder,
  stream: number,
  fields: FieldList,
  ends: boolean,
): Buffer {
  const flat = fields.flat();
  const memory = Buffer.alloc(sizeBound(flat));
  const bytes = memory.subarray(0, encoder.encode(flat, memory, 0));
  const cuts = Array.from({ length: random() < 0.5 ? 0 : below(random, 4) }, () =>
    below(random, bytes.length),
  );
  const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  const pieces = places.slice(1).map((to, i) => bytes.subarray(places[i], to));
  return Buffer.concat(
    pieces.map((piece, i) => {
      const last = i === pieces.length - 1 ? FLAG.endHeaders : 0;
      if (i > 0) return frame(FRAME.continuation, last, stream, piece);
      return frame(FRAME.headers, last | (ends ? FLAG.endStream : 0), stream, piece);
    }),
  );
}

/** Sends frames of one end, of its messages by turns, cut anywhere. */
export class MixedFrames {
  readonly #random: Random;
  readonly #end: FrameClient;
  readonly #queues: Later[][] = [];
  /** Where windows are small they are opened as content comes, between two frames of ours. */
  readonly #updates: Buffer[] = [];
  #isSending = false;
  #seen = 0;

  constructor(random: Random, end: FrameClient) {
    this.#random = random;
    this.#end = end;
    end.socket.on('data', () => {
      for (const { type, flags, stream, payload } of end.frames.slice(this.#seen)) {
        if (type !== FRAME.data || payload.length === 0 || (flags & FLAG.endStream) !== 0) continue;
        this.#updates.push(windowUpdate(stream, payload.length));
      }
      this.#seen = end.frames.length;
      void this.#send();
    });
  }

  add(frames: Later[]): void {
    this.#queues.push(frames);
    void this.#send();
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    const random = this.#random;
    const { socket } = this.#end;
    while ((this.#queues.length > 0 || this.#updates.length > 0) && !socket.destroyed) {
      const out = this.#updates.splice(0);
      for (let i = below(random, 10); i >= 0 && this.#queues.length > 0; i--) {
        const at = below(random, this.#queues.length);
        const next = this.#queues[at]?.shift();
        if (next) out.push(next());
        else this.#queues.splice(at, 1);
        if (random() < 0.03) out.push(ping());
      }
      const bytes = Buffer.concat(out);
      const most = random() < 0.15 ? 12 : 4_000;
      for (let at = 0; at < bytes.length && !socket.destroyed;) {
        const to = at + 1 + below(random, most);
        socket.write(bytes.subarray(at, to));
        at = to;
        if (random() < most / 10_000) await nextTurn();
      }
    }
    this.#isSending = false;
  }
}

/** What came on a stream. */
export function cameOn({ frames }: FrameClient, stream: number) {
  const own = frames.filter((each) => each.stream === stream);
  const content = own.filter(({ type }) => type === FRAME.data).map(({ payload }) => payload);
  const isReset = own.some(({ type }) => type === FRAME.reset);
  const hasEnded = own.some(({ type, flags }) => type <= FRAME.headers && (flags & FLAG.endStream) !== 0);
  const sections = blocks(frames).filter((each) => each.stream === stream);
  return {
    fields: sections.flatMap(({ fields }) => fields),
    body: Buffer.concat(content).toString('latin1'),
    isReset,
    hasEnded,
  };
}
