import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MOST_ENCRYPTED, type StreamHandle } from '../../../src/proxy/sockets/tcp-internals.ts';
import { isPatternOf, pattern } from '../../support/pattern.ts';
import { happens, until } from '../../support/until.ts';
import { unusedPort } from '../../support/loopback.ts';
import {
  KINDS,
  type Pair,
  Recorder,
  accepted,
  connected,
  named,
  secured,
  securedByUs,
  shaken,
} from './a-connection.ts';

/** More than the buffers of the kernel take. */
const MUCH = 10_000_000;
const NOTHING = (): void => {};

const EVERY_SOCKET = [
  ['accepted', accepted],
  ['made', connected],
  ['made by Node', named],
  ['over TLS', secured],
  ['over TLS from the first byte', shaken],
  ['made over TLS', securedByUs],
] as const;

describe.each(KINDS)('%s sockets', (kind, make) => {
  const sockets = make();

  it.each(EVERY_SOCKET)('%s: bytes both ways, and nothing is read before resume', async (_, open) => {
    await using pair = await open(sockets);
    const { socket, user, peer } = pair;
    peer.resume();
    peer.write('to us');
    await nextTurn();
    expect(user.told).not.toContain('bytes');
    socket.resume();
    await user.hears('bytes');
    expect(user.bytes.toString()).toBe('to us');
    socket.write(Buffer.from('to the peer'), NOTHING);
    expect(String(await happens(peer, 'data'))).toBe('to the peer');
    expect(socket.localAddress).toMatch(/127\.0\.0\.1$/);
  });

  it('each side ends by itself, and it closes when both have', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    socket.resume();
    peer.end('last');
    await user.hears('end');
    expect(user.told).toEqual(['bytes', 'end']);
    expect(socket.isWritable).toBe(true);
    socket.write(Buffer.from('answer'), NOTHING);
    socket.end();
    expect(socket.isWritable).toBe(false);
    peer.resume();
    expect(String(await happens(peer, 'data'))).toBe('answer');
    await user.hears('close');
    expect(user.told).toEqual(['bytes', 'end', 'finish', 'close']);
    expect(socket.isFinished).toBe(true);
  });

  it.each([
    ['made', connected],
    ['over TLS', secured],
    ['over TLS from the first byte', shaken],
    ['made over TLS', securedByUs],
  ] as const)('%s: our end first: what the peer still sends is read', async (_, open) => {
    await using pair = await open(sockets);
    const { socket, user, peer } = pair;
    socket.resume();
    socket.end();
    await user.hears('finish');
    peer.resume();
    await happens(peer, 'end');
    peer.end('late');
    await user.hears('close');
    const told = user.told.filter((what) => what !== 'connect');
    expect(told).toEqual(['finish', 'bytes', 'end', 'close']);
  });

  it.each([
    ['TCP', accepted],
    ['TLS', secured],
    ['TLS from the first byte', shaken],
    ['TLS of ours', securedByUs],
  ] as const)(
    '%s: the end comes after all that was written, however slowly the peer reads',
    async (_, open) => {
      await using pair = await open(sockets);
      const { socket, user, peer } = pair;
      let isDone = socket.write(pattern(1, MUCH), () => (isDone = true));
      expect(isDone).toBe(false);
      expect(socket.needsDrain).toBe(true);
      expect(socket.writableLength).toBeGreaterThan(0);
      socket.end();
      const bytes = await readAll(pair);
      expect(isPatternOf(1, bytes) && bytes.length === MUCH).toBe(true);
      await user.hears('finish');
      expect(isDone).toBe(true);
      expect(socket.writableLength).toBe(0);
      expect(peer.readableEnded).toBe(true);
    },
  );

  it('several pieces of memory are written in their order', async () => {
    await using pair = await accepted(sockets);
    const all = pattern(2, MUCH);
    const cuts = [0, 1, 1, 100_000, 5_000_000, MUCH];
    const pieces = cuts.slice(1).map((to, index) => all.subarray(cuts[index], to));
    const done = Promise.withResolvers<void>();
    if (pair.socket.writeAll(pieces, done.resolve)) done.resolve();
    pair.socket.end();
    const bytes = await readAll(pair);
    expect(isPatternOf(2, bytes) && bytes.length === MUCH).toBe(true);
    await done.promise;
  });

  it('many writes at once over TLS arrive in their order, each with its end', async () => {
    await using pair = await secured(sockets);
    const { socket, user } = pair;
    const all = pattern(4, 4_000_000);
    let open = 0;
    for (let from = 0; from < all.length; from += 40_000) {
      const taken = all.subarray(from, from + 20_000);
      if (!socket.write(taken, () => open--)) open++;
      if (!socket.writeAll([all.subarray(from + 20_000, from + 40_000)], () => open--)) open++;
    }
    socket.end();
    const bytes = await readAll(pair);
    expect(isPatternOf(4, bytes) && bytes.length === all.length).toBe(true);
    await user.hears('finish');
    expect(open).toBe(0);
  });

  it.runIf(kind === 'native')('no write over TLS takes more than a connection may keep', async () => {
    await using pair = await secured(sockets);
    using written = tlsWrites();
    pair.socket.write(Buffer.alloc(1_000_000), NOTHING);
    pair.socket.writeAll([Buffer.alloc(1), Buffer.alloc(300_000), Buffer.alloc(1)], NOTHING);
    pair.peer.resume();
    await pair.user.hears('drain');
    expect(written.lengths.reduce((sum, length) => sum + length)).toBe(1_300_002);
    expect(Math.max(...written.lengths)).toBe(MOST_ENCRYPTED);
  });

  it('says when it takes more, once for each time that it did not', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    socket.write(Buffer.alloc(MUCH), NOTHING);
    expect(socket.needsDrain).toBe(true);
    peer.resume();
    await user.hears('drain');
    expect(socket.needsDrain).toBe(false);
    socket.write(Buffer.from('little'), NOTHING);
    await nextTurn();
    expect(user.told.filter((what) => what === 'drain')).toHaveLength(1);
  });

  it('a pause keeps what comes with the system, and the peer from sending', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    user.onPiece = () => socket.pause();
    socket.resume();
    peer.write(pattern(3, MUCH));
    await user.hears('bytes');
    expect(socket.isPaused).toBe(true);
    const { length } = user;
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(user.length).toBe(length);
    expect(peer.writableLength).toBeGreaterThan(0);
    user.onPiece = NOTHING;
    socket.resume();
    await user.until((each) => each.length === MUCH, 'all is read');
    expect(isPatternOf(3, user.bytes)).toBe(true);
  });

  it('a pause keeps what was decrypted with other bytes, and the end behind it', async () => {
    await using pair = await secured(sockets);
    const { socket, user, peer } = pair;
    user.onPiece = () => socket.pause();
    socket.resume();
    // Several records, which come with one read.
    peer.end(pattern(5, 60_000));
    await user.hears('bytes');
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(user.length).toBeLessThan(60_000);
    while (user.length < 60_000) {
      const { length } = user;
      socket.resume();
      await user.until((each) => each.length > length, 'the next piece');
      expect(socket.isPaused).toBe(true);
    }
    socket.resume();
    await user.hears('end');
    expect(isPatternOf(5, user.bytes)).toBe(true);
    expect(user.told).toEqual(['bytes', 'end']);
  });

  it('what was put back comes first, and to the user of that time', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    const next = new Recorder();
    user.onPiece = (bytes, length) => {
      socket.pause();
      socket.unshift(Buffer.from(bytes.subarray(2, length)));
      socket.user = next;
      socket.resume();
    };
    socket.resume();
    peer.write('abcdef');
    await next.hears('bytes');
    peer.end('ghi');
    await next.hears('end');
    expect(next.bytes.toString()).toBe('cdefghi');
    expect(user.told).toEqual(['bytes']);
  });

  it('a reset of the peer is an error by its name', async () => {
    await using pair = await accepted(sockets);
    pair.socket.resume();
    pair.peer.resetAndDestroy();
    await pair.user.hears('close ECONNRESET');
    expect(pair.user.told).toEqual(['close ECONNRESET']);
  });

  it('a port that nobody listens on is an error by its name', async () => {
    const user = new Recorder();
    sockets.connect('127.0.0.1', await unusedPort(), 1024, user);
    await user.hears('close ECONNREFUSED');
    expect(user.told).toEqual(['close ECONNREFUSED']);
  });

  it('a connection that is given up before it is made says nothing', async () => {
    await using other = await accepted(sockets);
    const user = new Recorder();
    const port = other.peer.remotePort ?? 0;
    const given = sockets.connect('127.0.0.1', port, 1024, user);
    given.destroy();
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(user.told).toEqual([]);
  });

  it('a reset of ours is one for the peer, also after our end', async () => {
    for (const endFirst of [false, true]) {
      await using pair = await accepted(sockets);
      const { socket, peer } = pair;
      const error = happens(peer, 'error');
      if (endFirst) socket.write(Buffer.alloc(MUCH), NOTHING);
      socket.reset();
      peer.resume();
      expect(String(await error)).toContain('ECONNRESET');
    }
  });

  // What Node fails to reset is never closed, and its thread never ends.
  it.each(EVERY_SOCKET)('%s: a reset closes it while a write or our end is under way', async (_, open) => {
    const ways = [{ writes: true }, { ends: true }, { writes: true, ends: true }];
    for (const { writes = false, ends = false } of ways) {
      await using pair = await open(sockets);
      const { socket, user, peer } = pair;
      const isOver = Promise.withResolvers<void>();
      if (!writes || socket.write(Buffer.alloc(MUCH), isOver.resolve)) isOver.resolve();
      if (ends) socket.end();
      socket.reset();
      await isOver.promise;
      peer.resume();
      await until(() => {
        peer.write('more');
        return peer.destroyed;
      }, 'the end of the connection');
      expect(user.told.some((what) => what.startsWith('close'))).toBe(false);
    }
  });

  it('says nothing after destroy, and gives every write its end', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    let ended = 0;
    socket.resume();
    socket.write(Buffer.alloc(MUCH), () => ended++);
    peer.write('something');
    socket.destroy();
    await until(() => ended === 1);
    expect(socket.write(Buffer.from('late'), () => ended++)).toBe(true);
    socket.end();
    socket.reset();
    peer.resume();
    await until(() => peer.closed);
    expect(user.told).toEqual([]);
    expect(ended).toBe(1);
  });

  it('reads on after a write that failed, where the user wants it so', async () => {
    await using pair = await connected(sockets);
    const { socket, user, peer } = pair;
    user.readsOnAfterWriteError = true;
    // The peer answers, and closes with something unread: a reset follows the answer.
    socket.write(Buffer.from('request'), NOTHING);
    await happens(peer, 'readable');
    await new Promise<void>((resolve) => void peer.write('answer', () => resolve()));
    peer.destroy();
    await until(() => {
      socket.write(Buffer.from('more'), NOTHING);
      return user.told.includes('write failed');
    });
    expect(socket.write(Buffer.from('dropped'), NOTHING) || kind === 'node').toBe(true);
    socket.resume();
    await user.until(
      ({ told }) => told.includes('end') || told.some((what) => what.startsWith('close')),
      'end',
    );
    expect(user.bytes.toString()).toBe('answer');
    expect(user.told.filter((what) => what === 'write failed')).toHaveLength(1);
  });

  it('goes on with what it drops after a write that failed', async () => {
    await using pair = await connected(sockets);
    const { socket, user, peer } = pair;
    user.readsOnAfterWriteError = true;
    let isDone = socket.write(pattern(6, MUCH), () => (isDone = true));
    expect(socket.needsDrain).toBe(true);
    peer.resetAndDestroy();
    await user.hears('write failed');
    await user.hears('drain');
    expect(socket.needsDrain).toBe(false);
    await until(() => isDone, 'the end of the write');
  });

  it.each([
    ['taken', secured],
    ['from the first byte', shaken],
    ['made', securedByUs],
  ] as const)('over TLS, %s: tells of a write that fails while nothing is read', async (_, open) => {
    await using pair = await open(sockets);
    const { socket, user, peer } = pair;
    peer.destroy();
    await until(() => {
      socket.write(Buffer.from('more'), NOTHING);
      return user.told.some((what) => what.startsWith('close'));
    }, 'the end of the connection');
    expect(user.told.at(-1)).toMatch(/^close E(PIPE|CONNRESET)$/);
  });

  // What is written to such a peer never leaves, and a socket that ended after it would never close.
  describe.runIf(kind === 'native').each([
    ['taken', secured],
    ['from the first byte', shaken],
  ] as const)('over TLS, %s: a peer that resets before it has a session ticket is gone', (_, open) => {
    const gone = (): Promise<Pair> => open(sockets, (carrier) => carrier.resetAndDestroy());

    it('with a write under way', async () => {
      await using pair = await gone();
      const { socket, user } = pair;
      await nextTurn();
      let isDone = socket.write(Buffer.from('answer'), () => (isDone = true));
      socket.resume();
      await user.hears('close ECONNRESET');
      expect(user.told).toEqual(['write failed', 'end', 'close ECONNRESET']);
      await until(() => isDone, 'the end of the write');
    });

    it('with one that fails while the user reads on', async () => {
      await using pair = await gone();
      const { socket, user } = pair;
      user.readsOnAfterWriteError = true;
      await nextTurn();
      socket.write(Buffer.from('request'), NOTHING);
      socket.resume();
      await user.hears('end');
      expect(user.told).toEqual(['write failed', 'end']);
      expect(socket.write(Buffer.from('dropped'), NOTHING)).toBe(true);
    });

    it('before anything is written', async () => {
      await using pair = await gone();
      const { socket, user } = pair;
      socket.resume();
      await user.hears('end');
      expect(socket.write(Buffer.from('dropped'), NOTHING)).toBe(true);
      socket.end();
      await user.hears('close');
      expect(user.told).toEqual(['end', 'finish', 'close']);
    });
  });

  it('what a user throws is told to it, and the socket goes on', async () => {
    await using pair = await accepted(sockets);
    const { socket, user, peer } = pair;
    const fault = new Error('thrown on purpose');
    user.onPiece = () => {
      throw fault;
    };
    socket.resume();
    peer.write('once');
    await user.hears('fault');
    expect(user.faults).toEqual([fault]);
    user.onPiece = NOTHING;
    peer.write('twice');
    await user.until(({ length }) => length === 9, 'what came after the fault');
  });
});

async function readAll({ peer }: Pair): Promise<Buffer> {
  const pieces: Buffer[] = [];
  peer.on('data', (bytes: Buffer) => pieces.push(bytes));
  peer.resume();
  await happens(peer, 'end');
  return Buffer.concat(pieces);
}

/** How much Node is asked to encrypt at once from now on. */
function tlsWrites(): { readonly lengths: readonly number[] } & Disposable {
  const bindings = process as unknown as {
    binding(name: 'tls_wrap'): { TLSWrap: { prototype: StreamHandle } };
  };
  const { prototype } = bindings.binding('tls_wrap').TLSWrap;
  const { writeBuffer, writev } = prototype;
  const lengths: number[] = [];
  prototype.writeBuffer = function (request, bytes) {
    lengths.push(bytes.length);
    return writeBuffer.call(this, request, bytes);
  };
  prototype.writev = function (request, pieces, all) {
    lengths.push(pieces.reduce((sum, { length }) => sum + length, 0));
    return writev.call(this, request, pieces, all);
  };
  return { lengths, [Symbol.dispose]: () => void Object.assign(prototype, { writeBuffer, writev }) };
}
