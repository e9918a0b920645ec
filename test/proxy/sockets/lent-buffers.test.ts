import { expect, it } from 'vitest';
import { LentBuffer } from '../../../src/proxy/sockets/lent-buffer.ts';
import { NativeSockets } from '../../../src/proxy/sockets/sockets.ts';
import { tcpInternals } from '../../../src/proxy/sockets/tcp-internals.ts';
import { tlsInternals } from '../../../src/proxy/sockets/tls-internals.ts';
import { WriteBuffer } from '../../../src/proxy/write-buffer.ts';
import { isPatternOf, pattern } from '../../support/pattern.ts';
import { happens, until } from '../../support/until.ts';
import { type Pair, accepted, connected } from './a-connection.ts';

const MUCH = 24_000_000;
const sockets = new NativeSockets(tcpInternals(), tlsInternals());

/** From one connection to another as bodies go, with a rule of its own for when reading stops. */
function relay(from: Pair, to: Pair, output: WriteBuffer, stops: boolean): void {
  const { user, socket } = from;
  user.onPiece = (bytes, length) => {
    output.copy(bytes, 0, length);
    if (!output.send(to.socket) && stops) socket.pause();
  };
  to.user.onDrain = () => socket.resume();
  socket.resume();
}

it.each([
  ['stops', true],
  ['reads on regardless', false],
])('bytes that were written from where they were read are right when the source %s', async (_, stops) => {
  const output = new WriteBuffer();
  await using from = await accepted(sockets);
  await using to = await connected(sockets);
  relay(from, to, output, stops);
  from.peer.end(pattern(7, MUCH));
  await until(() => LentBuffer.inUse > 0, 'a buffer is lent');
  // Only now is anything taken: nearly all writes have to wait.
  const pieces: Buffer[] = [];
  to.peer.on('data', (bytes: Buffer) => {
    pieces.push(bytes);
    to.peer.pause();
    setImmediate(() => to.peer.resume());
  });
  to.peer.resume();
  await from.user.hears('end');
  to.socket.end();
  await happens(to.peer, 'end');
  const bytes = Buffer.concat(pieces);
  expect(bytes.length).toBe(MUCH);
  expect(isPatternOf(7, bytes)).toBe(true);
  from.socket.destroy();
  await until(() => LentBuffer.inUse === 0, 'all buffers are back');
});

it('a source that stops and goes on within one call reads on, although a write holds its buffer', async () => {
  const output = new WriteBuffer();
  await using from = await accepted(sockets);
  await using to = await connected(sockets);
  relay(from, to, output, true);
  const { onPiece } = from.user;
  from.user.onPiece = (bytes, length) => {
    onPiece(bytes, length);
    from.socket.resume();
  };
  from.peer.end(pattern(10, MUCH));
  await from.user.hears('end');
  expect(isPatternOf(10, from.user.bytes)).toBe(true);
  to.peer.resume();
  to.socket.end();
  await happens(to.peer, 'end');
});

it('a buffer that a write holds is kept from others after its reader has gone, until the write is over', async () => {
  const output = new WriteBuffer();
  await using from = await accepted(sockets);
  await using to = await connected(sockets);
  relay(from, to, output, true);
  from.peer.write(pattern(8, MUCH));
  // The first read is copied; what the kernel takes without its peer reading is less than what follows.
  await until(() => to.socket.needsDrain && LentBuffer.inUse > 0, 'a write waits');
  from.socket.destroy();
  expect(LentBuffer.inUse).toBe(1);
  to.socket.destroy();
  await until(() => LentBuffer.inUse === 0, 'it is back');
});

it('those that are lent are bounded, and connections beyond go on without', async () => {
  const taken: LentBuffer[] = [];
  for (let lent = LentBuffer.lend(); lent; lent = LentBuffer.lend()) taken.push(lent);
  expect(taken).toHaveLength(32);
  const output = new WriteBuffer();
  await using from = await accepted(sockets);
  await using to = await connected(sockets);
  relay(from, to, output, true);
  to.peer.resume();
  from.peer.end(pattern(9, 1_000_000));
  await from.user.hears('end');
  expect(isPatternOf(9, from.user.bytes)).toBe(true);
  for (const lent of taken) lent.giveBack();
  expect(LentBuffer.inUse).toBe(0);
});
