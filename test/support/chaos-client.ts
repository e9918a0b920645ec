import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { blockReader } from './hpack.ts';
import {
  FLAG,
  FRAME,
  type FieldList,
  type FrameClient,
  SETTING,
  codeOf,
  frame,
  frameEnd,
  headers,
  ping,
  PREFACE,
  reset,
  settings,
  settingsOf,
  windowUpdate,
} from './http2-frames.ts';
import { isPatternOf, pattern } from './pattern.ts';
import { LIMIT_MS } from './until.ts';

const WINDOW = 65_535;
const AT_A_TIME = 30;
/** For the uploads of the end, which are not mixed with anything. */
const WIDE = 10_000_000;

interface Asked {
  readonly id: number;
  readonly what: string;
  readonly isTunnel: boolean;
  readonly isHead: boolean;
  /** Of the response, when it is not cut; of a tunnel, that of the upload. */
  readonly size: number;
  /** Nobody promises that it comes to an answer. */
  readonly mayFail: boolean;
  readonly upload: Buffer;
  uploaded: number;
  uploadEnded: boolean;
  sendWindow: number;
  /** What the proxy may send. */
  window: number;
  readonly got: Buffer[];
  heads: FieldList[];
  over: 'ended' | 'reset' | 'given up' | null;
}

export interface Outcome {
  readonly completed: number;
  readonly faults: readonly string[];
}

/** One connection of HTTP/2 that asks for what a chaos pod gives, keeps all the rules, and is no easy company. */
export class ChaosClient {
  readonly #end: FrameClient;
  readonly #socket: Socket;
  readonly #random: () => number;
  readonly #nth: number;
  readonly #streams = new Map<number, Asked>();
  readonly #faults: string[] = [];
  readonly #read = blockReader(4_096);
  #block: Buffer[] = [];
  #blockEnds = false;
  #seen = 0;
  #nextStream = 1;
  #open = 0;
  #completed = 0;
  #initial = WINDOW;
  #sendWindow = WINDOW;
  #window = WINDOW;
  #changes = 0;
  #isOver = false;
  #calm = false;

  /** On a connection that is open. */
  constructor(socket: Socket, random: () => number, nth: number) {
    this.#socket = socket;
    this.#random = random;
    this.#nth = nth;
    this.#end = frameEnd(socket);
    socket.write(Buffer.concat([PREFACE, settings()]));
    // The frames are there by then.
    socket.on('data', () => this.#look());
    socket.on('close', () => (this.#isOver = true));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Asks so many times, in between doing whatever else comes to its mind; then lets everything end. */
  async run(times: number): Promise<Outcome> {
    const patience = AbortSignal.timeout(LIMIT_MS);
    for (let asked = 0; asked < times && !this.#isOver && !patience.aborted;) {
      const dice = this.#random();
      if (dice < 0.25 && this.#open < AT_A_TIME) {
        this.#ask();
        asked++;
      } else if (dice < 0.6) this.#upload();
      else if (dice < 0.85) this.#widen();
      else if (dice < 0.88) this.#giveUp();
      else if (dice < 0.9) this.#change();
      else if (dice < 0.92) this.#socket.pause();
      else if (dice < 0.97) this.#socket.resume();
      else if (dice < 0.98) this.#end.send(ping());
      else await nextTurn();
      if (this.#open >= AT_A_TIME || this.#random() < 0.1) await nextTurn();
    }
    this.#settle();
    while (this.#open > 0 && !this.#isOver && !patience.aborted) {
      this.#upload();
      if (this.#window < WIDE / 2) this.#grantConnection(WIDE);
      await nextTurn();
    }
    for (const asked of this.#streams.values())
      if (!asked.over)
        this.#fault(
          asked,
          `not over; ${asked.uploaded} and ${asked.uploadEnded}, got ${Buffer.concat(asked.got).length}, windows ${asked.sendWindow} ${asked.window} ${this.#sendWindow} ${this.#window}`,
        );
    if (this.#isOver) this.#faults.push('the connection is over');
    return { completed: this.#completed, faults: this.#faults };
  }

  /** A whole upload that nobody disturbs; what became of it. */
  async uploads(size: number): Promise<string> {
    const asked = this.#request('POST', 'app.test', 10, '', size);
    const patience = AbortSignal.timeout(LIMIT_MS);
    while (!asked.over && !this.#isOver && !patience.aborted) {
      this.#upload();
      await nextTurn();
    }
    const windows = `windows ${this.#sendWindow} and ${asked.sendWindow}`;
    return asked.over ?? `not over: ${asked.uploaded} are uploaded, ${windows}`;
  }

  #settle(): void {
    this.#calm = true;
    this.#socket.resume();
    this.#end.send(settingsOf([SETTING.initialWindowSize, WIDE]));
    for (const asked of this.#streams.values()) asked.window += WIDE - this.#initial;
    this.#initial = WIDE;
    this.#grantConnection(WIDE);
  }

  #pick<Of>(of: readonly Of[]): Of {
    return of[Math.floor(this.#random() * of.length)] as Of;
  }

  #ask(): void {
    const host = this.#pick(['app.test', 'h2.test']);
    if (this.#random() < 0.1) return this.#tunnel(host);
    const method = this.#pick(['GET', 'POST', 'POST', 'HEAD', 'PUT']);
    const size = this.#pick([0, 1, 1_000, 20_000, 70_000, 300_000]);
    const upload =
      method === 'GET' || method === 'HEAD' ? 0 : this.#pick([0, 3, 5_000, 40_000, 90_000, 200_000]);
    const letters: readonly (readonly [string, number])[] = [
      ['e', 0.2],
      ['l', 0.4],
      ['t', 0.2],
      ['i', 0.1],
      ['n', 0.05],
      ['s', 0.1],
      ['p', 0.2],
      ['b', 0.05],
    ];
    const how = letters.filter(([, odds]) => this.#random() < odds).map(([letter]) => letter);
    this.#request(method, host, size, how.filter((of) => of !== 'l' || !how.includes('t')).join(''), upload);
  }

  #request(method: string, host: string, size: number, how: string, upload: number): Asked {
    const id = this.#nth * 1_000_000 + this.#nextStream;
    const isHead = method === 'HEAD' || how.includes('n');
    const fields: FieldList = [
      [':method', method],
      [':scheme', 'http'],
      [':authority', host],
      [':path', `/${id}/${size}/${how}`],
      ...(upload > 0 && this.#random() < 0.5 ? [['content-length', String(upload)] as const] : []),
    ];
    return this.#begin(fields, {
      id,
      what: `${method} ${host} /${id}/${size}/${how} with ${upload}`,
      isTunnel: false,
      isHead,
      size: isHead ? 0 : size,
      mayFail: how.includes('b'),
      upload: pattern(-id, upload),
    });
  }

  #tunnel(host: string): void {
    const id = this.#nth * 1_000_000 + this.#nextStream;
    const fields: FieldList = [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'http'],
      [':authority', host],
      [':path', `/${id}`],
      ['sec-websocket-version', '13'],
    ];
    const size = this.#pick([1, 10_000, 150_000]);
    const upload = pattern(id, size);
    const what = `tunnel ${id} to ${host} with ${size}`;
    this.#begin(fields, { id, what, isTunnel: true, isHead: false, size, mayFail: false, upload });
  }

  #begin(
    fields: FieldList,
    asked: Pick<Asked, 'id' | 'what' | 'isTunnel' | 'isHead' | 'size' | 'mayFail' | 'upload'>,
  ): Asked {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#open++;
    const isWhole = asked.upload.length === 0;
    const begun: Asked = {
      ...asked,
      uploaded: 0,
      uploadEnded: isWhole,
      sendWindow: WINDOW,
      window: this.#initial,
      got: [],
      heads: [],
      over: null,
    };
    this.#streams.set(stream, begun);
    this.#end.send(headers(stream, fields, FLAG.endHeaders | (isWhole ? FLAG.endStream : 0)));
    return begun;
  }

  /** Some frames of what there is to send. */
  #upload(): void {
    const frames: Buffer[] = [];
    for (const [stream, asked] of this.#streams) {
      if (asked.over || asked.uploadEnded || (!this.#calm && this.#random() < 0.5)) continue;
      const most = this.#pick([1, 100, 5_000, 16_000, 16_000]);
      const room = Math.min(asked.sendWindow, this.#sendWindow);
      const length = Math.min(asked.upload.length - asked.uploaded, this.#calm ? 16_000 : most, room);
      const padding = this.#random() < 0.1 && room - length > 256 ? Math.floor(this.#random() * 255) : -1;
      if (length === 0 && asked.uploaded < asked.upload.length) continue;
      const content = asked.upload.subarray(asked.uploaded, (asked.uploaded += length));
      asked.uploadEnded = asked.uploaded === asked.upload.length && this.#random() < 0.7;
      const flags = asked.uploadEnded ? FLAG.endStream : 0;
      const payload =
        padding < 0 ? content : Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(padding)]);
      frames.push(frame(FRAME.data, flags | (padding < 0 ? 0 : FLAG.padded), stream, payload));
      asked.sendWindow -= payload.length;
      this.#sendWindow -= payload.length;
    }
    if (frames.length > 0) this.#end.send(...frames);
  }

  #widen(): void {
    const by = this.#pick([1, 10, 1_000, 20_000, 20_000, 100_000]);
    if (this.#window < 200_000 && this.#random() < 0.5) return this.#grantConnection(by);
    const open = [...this.#streams].filter(([, asked]) => !asked.over && asked.window < 300_000);
    if (open.length === 0) return;
    const [stream, asked] = this.#pick(open);
    asked.window += by;
    this.#end.send(windowUpdate(stream, by));
  }

  #grantConnection(by: number): void {
    this.#window += by;
    this.#end.send(windowUpdate(0, by));
  }

  #giveUp(): void {
    const open = [...this.#streams].filter(([, asked]) => !asked.over);
    if (open.length === 0) return;
    const [stream, asked] = this.#pick(open);
    this.#end.send(reset(stream, 8));
    this.#over(asked, 'given up');
  }

  #change(): void {
    if (this.#changes++ > 50) return;
    const initial = this.#pick([0, 1, 100, 10_000, 65_535, 1_000_000]);
    for (const asked of this.#streams.values()) asked.window += initial - this.#initial;
    this.#initial = initial;
    const table = this.#pick([0, 100, 4_096, 4_096]);
    this.#end.send(settingsOf([SETTING.headerTableSize, table], [SETTING.initialWindowSize, initial]));
  }

  #over(asked: Asked, how: NonNullable<Asked['over']>): void {
    if (asked.over) return;
    asked.over = how;
    this.#open--;
  }

  #fault(asked: Asked, what: string): void {
    this.#faults.push(`${asked.what}: ${what} (${JSON.stringify(asked.heads)})`);
  }

  #look(): void {
    const { frames } = this.#end;
    for (; this.#seen < frames.length; this.#seen++) {
      const { type, flags, stream, payload } = frames[this.#seen]!;
      const asked = this.#streams.get(stream);
      switch (type) {
        case FRAME.data:
          this.#window -= payload.length;
          if (this.#window < 0) this.#faults.push('beyond the window of the connection');
          if (asked) this.#onData(asked, payload);
          if (asked && flags & FLAG.endStream) this.#onEnd(asked);
          break;
        case FRAME.headers:
        case FRAME.continuation:
          if (type === FRAME.headers) this.#blockEnds = (flags & FLAG.endStream) !== 0;
          this.#block.push(payload);
          if ((flags & FLAG.endHeaders) === 0) break;
          asked?.heads.push(this.#read(Buffer.concat(this.#block)));
          this.#block = [];
          if (asked && this.#blockEnds) this.#onEnd(asked);
          break;
        case FRAME.reset:
          if (!asked || asked.over) break;
          if (!asked.mayFail) this.#fault(asked, `reset with ${payload.readUInt32BE(0)}`);
          this.#over(asked, 'reset');
          break;
        case FRAME.goaway:
          this.#faults.push(`GOAWAY with ${codeOf({ type, payload })}`);
          break;
        case FRAME.windowUpdate:
          if (stream === 0) this.#sendWindow += payload.readUInt32BE(0);
          else if (asked) asked.sendWindow += payload.readUInt32BE(0);
          break;
        case FRAME.settings:
          if ((flags & FLAG.ack) === 0) this.#end.send(frame(FRAME.settings, FLAG.ack, 0));
          break;
        default:
      }
    }
  }

  #onData(asked: Asked, payload: Buffer): void {
    asked.window -= payload.length;
    // A change of our settings may not have been heard of.
    asked.got.push(payload);
    if (asked.over) return;
    if (statusOf(asked) !== '200' && !asked.mayFail) this.#fault(asked, 'content of no 200');
  }

  #onEnd(asked: Asked): void {
    if (asked.over) return;
    this.#over(asked, 'ended');
    const body = Buffer.concat(asked.got);
    const status = statusOf(asked);
    if (asked.mayFail && status === '502') return;
    this.#completed++;
    if (status !== '200' && !(asked.isHead && status === '204')) this.#fault(asked, `status ${status}`);
    else if (body.length !== asked.size) this.#fault(asked, `${body.length} octets`);
    else if (!isPatternOf(asked.id, body)) this.#fault(asked, 'another body');
    const upload = asked.heads.flat().find(([name]) => name === 'x-upload')?.[1];
    if (upload !== undefined && upload !== String(asked.upload.length))
      this.#fault(asked, `uploaded ${upload}`);
    const sum = asked.heads.flat().find(([name]) => name === 'x-sum')?.[1];
    if (sum !== undefined && sum !== String(asked.id)) this.#fault(asked, `trailers of ${sum}`);
  }
}

/** Of the last head that has one. */
function statusOf({ heads }: Asked): string {
  return heads.flat().findLast(([name]) => name === ':status')?.[1] ?? '';
}
