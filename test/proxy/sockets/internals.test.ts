import { type AddressInfo, Socket, connect, createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { expect, it } from 'vitest';
import {
  TESTED_NODE_VERSIONS,
  type TcpHandle,
  UV_EOF,
  acceptHandles,
  handleOf,
  hasUnreadEnd,
  tcpInternals,
} from '../../../src/proxy/sockets/tcp-internals.ts';
import { NativeSockets, chooseSockets } from '../../../src/proxy/sockets/sockets.ts';
import { tlsInternals } from '../../../src/proxy/sockets/tls-internals.ts';
import { happens, soon } from '../../support/until.ts';

/** What `NativeSocket` takes for granted of Node, one by one. When one of these fails, ADR 23 says what to do. */

it('this Node is one that native sockets are used with', () => {
  expect(TESTED_NODE_VERSIONS).toContain(process.versions.node);
  expect(chooseSockets('auto')).toMatchObject({ sockets: { kind: 'native' }, note: '' });
  expect(chooseSockets('node')).toMatchObject({ sockets: { kind: 'node' }, note: '' });
});

it('another Node gets sockets of Node, and a line that says so', () => {
  const { node } = process.versions;
  Object.defineProperty(process.versions, 'node', { value: '99.0.0', configurable: true });
  try {
    expect(chooseSockets('auto')).toMatchObject({
      sockets: { kind: 'node' },
      note: expect.stringContaining('99.0.0') as string,
    });
    expect(chooseSockets('native')).toMatchObject({
      sockets: { kind: 'native' },
      note: expect.stringContaining('99.0.0') as string,
    });
  } finally {
    Object.defineProperty(process.versions, 'node', { value: node, configurable: true });
  }
});

async function handles(): Promise<{ handle: TcpHandle; peer: Socket } & AsyncDisposable> {
  const server = createServer().listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const accepted = Promise.withResolvers<TcpHandle>();
  acceptHandles(server, accepted.resolve);
  const peer = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const handle = await soon(accepted.promise, () => 'a handle is accepted');
  return {
    ...{ handle, peer },
    async [Symbol.asyncDispose]() {
      handle.close();
      peer.destroy();
      server.close();
    },
  };
}

it('a handle reads into the buffer it was given, then into the one that onread gave last', async () => {
  const { bytesRead } = tcpInternals();
  await using pair = await handles();
  const { handle, peer } = pair;
  const [first, second] = [Buffer.alloc(4), Buffer.alloc(8)];
  const reads: unknown[] = [];
  const end = Promise.withResolvers<void>();
  handle.onread = () => {
    reads.push([bytesRead(), first.toString('latin1'), second.toString('latin1')]);
    if (bytesRead() < 0) end.resolve();
    return reads.length === 1 ? second : undefined;
  };
  handle.useUserBuffer(first);
  peer.end('abcdEFGHIJKL');
  expect(handle.readStart()).toBe(0);
  await soon(end.promise, () => 'the end of what the peer sends');
  const none = '\0'.repeat(8);
  expect(reads).toEqual([
    [4, 'abcd', none],
    [8, 'abcd', 'EFGHIJKL'],
    [UV_EOF, 'abcd', 'EFGHIJKL'],
  ]);
});

it('a write says whether it is done, and its request is told when it is', async () => {
  const { newWriteRequest, isWriting } = tcpInternals();
  await using pair = await handles();
  const { handle, peer } = pair;
  peer.pause();
  const unused = newWriteRequest();
  unused.oncomplete = () => expect.unreachable('a write that was done at once');
  expect(handle.writeBuffer(unused, Buffer.from('little'))).toBe(0);
  expect(isWriting()).toBe(false);
  // The same request again: libuv has not taken it.
  expect(handle.writev(unused, [Buffer.from('a'), Buffer.from('b')], true)).toBe(0);
  expect(isWriting()).toBe(false);
  const { promise, resolve } = Promise.withResolvers<number>();
  const much = newWriteRequest();
  much.oncomplete = resolve;
  much.bytes = Buffer.alloc(16_000_000);
  expect(handle.writeBuffer(much, much.bytes)).toBe(0);
  expect(isWriting()).toBe(true);
  peer.resume();
  expect(await soon(promise, () => 'the write is over')).toBe(0);
});

it('a write that is under way when its handle is closed is told so', async () => {
  const { newWriteRequest } = tcpInternals();
  await using pair = await handles();
  const { promise, resolve } = Promise.withResolvers<number>();
  const request = newWriteRequest();
  request.oncomplete = resolve;
  request.bytes = Buffer.alloc(16_000_000);
  pair.handle.writeBuffer(request, request.bytes);
  pair.handle.close();
  expect(await soon(promise, () => 'the write is over')).toBeLessThan(0);
});

it('Node keeps its handle and the end it has not told yet where they are looked for', async () => {
  await using pair = await handles();
  expect(handleOf(pair.peer)).toMatchObject({ readStart: expect.any(Function) as unknown });
  expect(hasUnreadEnd(pair.peer)).toBe(false);
  const server = createServer();
  expect(handleOf(server)).toBe(null);
  const socket = new Socket();
  socket.push(null);
  expect(hasUnreadEnd(socket)).toBe(true);
});

async function handshake(): Promise<
  { peer: Socket; failure: Promise<string | undefined> } & AsyncDisposable
> {
  const pair = await handles();
  const sockets = new NativeSockets(tcpInternals(), tlsInternals());
  const failure = Promise.withResolvers<string | undefined>();
  const context = createSecureContext();
  const terms = { context, named: () => undefined, protocols: Buffer.alloc(0) };
  const user = { onSecured: failure.reject, onHandshakeFailed: failure.resolve };
  sockets.handshake(pair.handle, terms, 1, user).begin(Buffer.alloc(0));
  return {
    peer: pair.peer,
    failure: failure.promise,
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}

it('a handshake that fails says why, to us and to the peer', async () => {
  await using begun = await handshake();
  begun.peer.write(Buffer.from([0x16, 3, 1, 0, 4, 0xff, 0, 0, 0]));
  expect(await soon(begun.failure, () => 'the failure')).toMatch(/^ERR_SSL_/);
  const [alert] = (await happens(begun.peer, 'data')) as unknown as [Buffer];
  expect(alert[0]).toBe(0x15);
  await happens(begun.peer, 'end');
});

it('a handshake whose peer leaves is over', async () => {
  await using begun = await handshake();
  begun.peer.end(Buffer.from([0x16, 3, 1]));
  expect(await soon(begun.failure, () => 'the failure')).toBe('ECONNRESET');
});
