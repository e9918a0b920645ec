import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { ByteSocket, SocketUser } from '../../../src/proxy/sockets/byte-socket.ts';
import { LentBuffer } from '../../../src/proxy/sockets/lent-buffer.ts';
import { WriteBuffer } from '../../../src/proxy/write-buffer.ts';
import { isPatternOf, pattern } from '../../support/pattern.ts';
import { seededRandom } from '../../support/random.ts';
import { soon, until } from '../../support/until.ts';
import { KINDS, accepted, connected, named, secured, securedByUs, shaken } from './a-connection.ts';

/** `PORTICO_SOCKET_ROUNDS=2000` looks for what a few rounds do not find. */
const ROUNDS = Number(process.env['PORTICO_SOCKET_ROUNDS'] ?? 6);
const MOST_BYTES = 3_000_000;

/** One of two sockets that are joined as the relay joins them, with a user that stops and goes on as it likes. */
class Side implements SocketUser {
  readonly #socket: ByteSocket;
  readonly #output: WriteBuffer;
  readonly #random: () => number;
  /** Only connections of clients are given something back. */
  readonly #putsBack: boolean;
  other: Side = this;
  #rests = false;
  #hasEnded = false;
  isClosed = false;
  read = 0;
  readonly faults: unknown[] = [];

  constructor(socket: ByteSocket, output: WriteBuffer, random: () => number, putsBack: boolean) {
    this.#putsBack = putsBack;
    this.#socket = socket;
    this.#output = output;
    this.#random = random;
    socket.user = this;
  }

  begin(): void {
    this.#socket.resume();
  }

  /** What is written is not right any more. */
  #giveUp(): void {
    this.isClosed = true;
    this.#socket.reset();
  }

  #goOn(): void {
    if (!this.#rests && !this.other.#socket.needsDrain) this.#socket.resume();
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#hasEnded || this.isClosed) throw new Error('bytes after the end');
    const socket = this.#socket;
    const dice = this.#random();
    // Some of it is for later.
    const taken = dice < 0.1 && this.#putsBack ? Math.ceil(length * this.#random()) : length;
    this.read += taken;
    this.#output.copy(bytes, 0, taken);
    if (taken < length) {
      socket.pause();
      socket.unshift(Buffer.from(bytes.subarray(taken, length)));
    }
    if (!this.#output.send(this.other.#socket)) socket.pause();
    if (dice < 0.2) socket.pause();
    if (dice < 0.15) return this.#goOn();
    // Within the call, even if others still hold the bytes.
    if (dice < 0.25) return socket.resume();
    if (dice > 0.95) socket.mayReadMuch = !socket.mayReadMuch;
    if (dice < 0.35 && socket.isPaused) this.#rest();
  }

  #rest(): void {
    this.#rests = true;
    setImmediate(() => {
      this.#rests = false;
      this.#goOn();
    });
  }

  onSocketEnd(): void {
    if (this.#hasEnded) throw new Error('a second end');
    this.#hasEnded = true;
    this.other.#socket.end();
  }

  onSocketDrain(): void {
    this.other.#goOn();
  }

  onSocketClose(error: NodeJS.ErrnoException | null): void {
    if (this.isClosed) throw new Error('a second close');
    this.isClosed = true;
    if (error && !this.other.isClosed) this.other.#giveUp();
  }

  onConnect(): void {}
  onSocketFinish(): void {}
  onWriteFailed(): boolean {
    return false;
  }

  onSocketFault(fault: unknown): void {
    this.faults.push(fault);
  }

  toString(): string {
    const { isPaused, needsDrain, writableLength, isFinished } = this.#socket;
    return JSON.stringify({
      ...{ read: this.read, isPaused, needsDrain, writableLength, isFinished },
      ...{ ended: this.#hasEnded, closed: this.isClosed, rests: this.#rests },
    });
  }
}

/** Sends the pattern of this number, now and then with a pause, and ends. */
async function sends(peer: Socket, of: number, size: number, random: () => number): Promise<void> {
  const all = pattern(of, size);
  const step = Math.ceil(size / 200 + random() ** 3 * 400_000);
  let goOn = (): void => {};
  peer.on('drain', () => goOn()).on('close', () => goOn());
  for (let at = 0; at < size && !peer.destroyed; at += step) {
    if (!peer.write(all.subarray(at, at + step)) && random() < 0.9)
      await new Promise<void>((resolve) => (goOn = resolve));
    if (random() < 0.3) await nextTurn();
  }
  peer.end();
}

/** Without a word, where Node can: it resets neither what it has ended, nor what is over TLS. */
function leaves(peer: Socket): void {
  if (peer.writableEnded || peer instanceof TLSSocket) peer.destroy();
  else peer.resetAndDestroy();
}

/** Reads, now and then after a pause, to the end or until it has `most`: then it leaves. */
function reads(peer: Socket, most: number, random: () => number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  const laziness = random();
  return new Promise((resolve) => {
    peer.on('data', (bytes: Buffer) => {
      pieces.push(bytes);
      length += bytes.length;
      if (length >= most) return leaves(peer);
      if (random() > laziness) return;
      peer.pause();
      if (random() < 0.9) setImmediate(() => peer.resume());
      else setTimeout(() => peer.resume(), 5);
    });
    peer.once('end', () => resolve(Buffer.concat(pieces)));
    peer.once('close', () => resolve(Buffer.concat(pieces)));
    peer.resume();
  });
}

describe.each(KINDS)('two joined %s sockets', (_, make) => {
  const sockets = make();

  async function round(seed: number, leaves: boolean): Promise<void> {
    const random = seededRandom(seed);
    const open = [accepted, secured, accepted, shaken][seed % 4] ?? accepted;
    const make = [connected, named, securedByUs][seed % 3] ?? connected;
    await using left = await open(sockets);
    await using right = await make(sockets);
    const output = new WriteBuffer();
    const one = new Side(left.socket, output, random, true);
    const two = new Side(right.socket, output, random, false);
    [one.other, two.other] = [two, one];
    const sizes = [random() ** 2 * MOST_BYTES, random() ** 4 * MOST_BYTES].map(Math.ceil);
    const [there = 0, back = 0] = random() < 0.5 ? sizes : sizes.toReversed();
    const most = leaves ? there * random() : Number.POSITIVE_INFINITY;
    one.begin();
    two.begin();
    const sent = Promise.all([sends(left.peer, 1, there, random), sends(right.peer, 2, back, random)]);
    const got = await soon(
      Promise.all([
        reads(right.peer, most, random),
        reads(left.peer, Number.POSITIVE_INFINITY, random),
        sent,
      ]),
      () =>
        `seed ${seed}: the end of ${there} and ${back} bytes; ${one}; ${two}; ` +
        `the peers have read ${right.peer.bytesRead} and ${left.peer.bytesRead}`,
    );
    const [forth, returned] = got;
    expect(isPatternOf(1, forth) && isPatternOf(2, returned), `seed ${seed}: the bytes`).toBe(true);
    if (!leaves) expect([forth.length, returned.length], `seed ${seed}`).toEqual([there, back]);
    await until(() => one.isClosed && two.isClosed, `seed ${seed}: both are closed; ${one}; ${two}`);
    expect([...one.faults, ...two.faults], `seed ${seed}`).toEqual([]);
  }

  it('bring every byte from end to end, however they are read and written', async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) await round(seed, false);
    await until(() => LentBuffer.inUse === 0, 'all buffers are back');
  });

  it('close when a peer leaves in the middle', async () => {
    for (let seed = 1; seed <= ROUNDS; seed++) await round(seed, true);
    await until(() => LentBuffer.inUse === 0, 'all buffers are back');
  });
});
