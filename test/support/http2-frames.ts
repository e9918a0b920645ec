import { type Socket, connect } from 'node:net';
import { blockReader } from './hpack.ts';
import { soon } from './until.ts';

/** HTTP/2 spoken by hand (RFC 9113 4): frames as bytes, so that a test can send what no library would. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const CODE = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  calm: 11,
} as const;

/** RFC 9113 6.5.2 */
export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export type FieldList = readonly (readonly [name: string, value: string])[];

/** A header block of literals that are never indexed (RFC 7541 6.2.2), latin-1. */
export function block(fields: FieldList): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])),
  );
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A request to `app.test`. */
export function requestFields(method = 'GET', path = '/', ...more: FieldList): FieldList {
  return [[':method', method], [':path', path], [':scheme', 'http'], [':authority', 'app.test'], ...more];
}

export function headers(
  stream: number,
  fields: FieldList,
  flags: number = FLAG.endStream | FLAG.endHeaders,
): Buffer {
  return frame(FRAME.headers, flags, stream, block(fields));
}

export function data(stream: number, body: string, end: boolean): Buffer {
  return frame(FRAME.data, end ? FLAG.endStream : 0, stream, Buffer.from(body, 'latin1'));
}

export function reset(stream: number, code: number): Buffer {
  return frame(FRAME.reset, 0, stream, number(code));
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  return frame(FRAME.windowUpdate, 0, stream, number(bytes));
}

/** `INITIAL_WINDOW_SIZE` (RFC 9113 6.5.2), or nothing. */
export function settings(initialWindow?: number): Buffer {
  if (initialWindow === undefined) return frame(FRAME.settings, 0, 0);
  return frame(FRAME.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(initialWindow)]));
}

/** Any settings, in this order. */
export function settingsOf(...values: readonly (readonly [setting: number, value: number])[]): Buffer {
  const parts = values.map(([setting, value]) => Buffer.concat([Buffer.from([0, setting]), number(value)]));
  return frame(FRAME.settings, 0, 0, Buffer.concat(parts));
}

export function ping(payload = 'portico!', flags = 0): Buffer {
  return frame(FRAME.ping, flags, 0, Buffer.from(payload, 'latin1'));
}

export function goaway(lastStream: number, code: number, words = ''): Buffer {
  const payload = Buffer.concat([number(lastStream), number(code), Buffer.from(words, 'latin1')]);
  return frame(FRAME.goaway, 0, 0, payload);
}

/** Four octets. */
export function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A connection on which frames are sent and seen. Disposing it aborts the connection. */
export interface FrameClient extends Disposable {
  readonly socket: Socket;
  readonly frames: readonly Frame[];
  send(...bytes: Uint8Array[]): void;
  /** The first frame, of those there are and those to come, for which the condition holds; rejects at the end. */
  until(condition: (frame: Frame) => boolean): Promise<Frame>;
  /** Resolves when the connection is over. */
  readonly closed: Promise<void>;
}

/** Connects and sends the preface and `first`, the client's SETTINGS. Its waits reject when they are not met in time. */
export async function frameClient(port: number, first = settings()): Promise<FrameClient> {
  const socket = connect({ port, host: '127.0.0.1' });
  const end = frameEnd(socket);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.write(Buffer.concat([PREFACE, first]));
  const came = (): string => `came last: ${end.frames.slice(-20).map(show).join(' ')}`;
  return {
    ...end,
    until: (condition) => soon(end.until(condition), () => `${condition.toString()}; ${came()}`),
    get closed() {
      return soon(end.closed, () => `the close of the connection; ${came()}`);
    },
  };
}

/** Either end of a connection; what comes begins with `preface`. */
export function frameEnd(socket: Socket, preface: Uint8Array = Buffer.alloc(0)): FrameClient {
  socket.setNoDelay(true);
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let unread = Buffer.alloc(0);
  let skip = preface.length;
  let over = false;
  const wake = (): void => waiting.forEach((look) => look());
  socket.on('data', (bytes: Buffer) => {
    // A copy: the payloads stay in it.
    unread = Buffer.concat([unread, bytes.subarray(Math.min(skip, bytes.length))]);
    skip = Math.max(0, skip - bytes.length);
    while (unread.length >= 9 && unread.length >= 9 + unread.readUIntBE(0, 3)) {
      const end = 9 + unread.readUIntBE(0, 3);
      const payload = unread.subarray(9, end);
      const stream = unread.readUInt32BE(5) & 0x7fffffff;
      frames.push({ type: unread[3] ?? 0, flags: unread[4] ?? 0, stream, payload });
      unread = unread.subarray(end);
    }
    wake();
  });
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) =>
    socket.on('close', () => {
      over = true;
      wake();
      resolve();
    }),
  );
  return {
    socket,
    frames,
    send: (...bytes) => void socket.write(Buffer.concat(bytes)),
    until: (condition) =>
      new Promise((resolve, reject) => {
        let seen = 0;
        const look = (): void => {
          while (seen < frames.length && !condition(frames[seen]!)) seen++;
          const found = frames[seen];
          if (found) resolve(found);
          else if (over)
            reject(new Error(`the connection is over; came last: ${frames.slice(-20).map(show).join(' ')}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

function show({ type, flags, stream, payload }: Frame): string {
  const name = Object.keys(FRAME).find((of) => FRAME[of as keyof typeof FRAME] === type) ?? type;
  const code = type === FRAME.goaway || type === FRAME.reset ? `, code ${codeOf({ type, payload })}` : '';
  return `${name}(${flags}, ${stream}, ${payload.length}${code})`;
}

/** The error code of a RST_STREAM or GOAWAY. */
export function codeOf({ type, payload }: Pick<Frame, 'type' | 'payload'>): number {
  return payload.readUInt32BE(type === FRAME.goaway ? 4 : 0);
}

/** A header block with its frames put together. */
export interface Block {
  readonly stream: number;
  readonly fields: FieldList;
  readonly endStream: boolean;
}

const collected = new WeakMap<readonly Frame[], () => readonly Block[]>();

/**
 * The header blocks among all frames of one direction, as far as they have come; throws at one that does not decode.
 * `tableSize` as the one who reads them has announced it.
 */
export function blocks(frames: readonly Frame[], tableSize?: number): readonly Block[] {
  let collect = collected.get(frames);
  if (!collect) collected.set(frames, (collect = collector(frames, tableSize)));
  return collect();
}

/** Reads each frame once, although it is asked again and again. */
function collector(frames: readonly Frame[], tableSize: number | undefined): () => readonly Block[] {
  const read = blockReader(tableSize);
  const out: Block[] = [];
  let parts: Buffer[] = [];
  let endStream = false;
  let seen = 0;
  return () => {
    for (; seen < frames.length; seen++) {
      const { type, flags, stream, payload } = frames[seen]!;
      if (type !== FRAME.headers && type !== FRAME.continuation) continue;
      if (type === FRAME.headers) endStream = (flags & FLAG.endStream) !== 0;
      parts.push(type === FRAME.headers ? content(flags, payload) : payload);
      if ((flags & FLAG.endHeaders) === 0) continue;
      out.push({ stream, fields: read(Buffer.concat(parts)), endStream });
      parts = [];
    }
    return out;
  };
}

/** What is left of HEADERS without padding and priority. */
function content(flags: number, payload: Buffer): Buffer {
  const padding = flags & FLAG.padded ? (payload[0] ?? 0) : 0;
  const from = (flags & FLAG.padded ? 1 : 0) + (flags & FLAG.priority ? 5 : 0);
  return payload.subarray(from, payload.length - padding);
}
