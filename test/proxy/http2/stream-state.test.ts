import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { NodeSocket } from '../../../src/proxy/sockets/node-socket.ts';
import { Http2Connection } from '../../../src/proxy/http2/wire/connection.ts';
import { ErrorCode, FIRST_WINDOW } from '../../../src/proxy/http2/wire/frame.ts';
import type { Http2Stream, StreamUser } from '../../../src/proxy/http2/wire/stream.ts';
import { until } from '../../support/until.ts';
import { happens } from '../../support/until.ts';

/** One end of a connection, with what a test needs to see of it. */
interface End {
  readonly connection: Http2Connection;
  /** Those that the peer began. */
  readonly streams: Http2Stream[];
}

function endOf(socket: Socket, role: 'client' | 'server', streamWindow: number): End {
  const streams: Http2Stream[] = [];
  const terms = {
    role,
    window: 2 * streamWindow,
    streamWindow,
    mostStreamWindow: streamWindow,
    streams: 10,
    memory: null,
    headBytes: 8_192,
    fieldCount: 100,
  };
  const connection = new Http2Connection(new NodeSocket(socket, false), terms, {
    onRequest: (stream) => void streams.push(stream),
    onSettings() {},
    onGoaway() {},
    onPong() {},
    onCheapFrame() {},
    onOver: () => void socket.destroy(),
  });
  socket.on('data', (bytes: Buffer) => connection.read(bytes, bytes.length));
  socket.resume();
  return { connection, streams };
}

/** Two ends that speak to each other over a socket. */
async function pair(streamWindow = FIRST_WINDOW): Promise<{ client: End; server: End } & AsyncDisposable> {
  const listener = createServer().listen(0, '127.0.0.1');
  await happens(listener, 'listening');
  const accepted = once(listener, 'connection');
  const near = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await accepted) as [Socket];
  return {
    client: endOf(near, 'client', streamWindow),
    server: endOf(far, 'server', streamWindow),
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      listener.close();
      await happens(listener, 'close');
    },
  };
}

/** A user of a stream that only sends. */
class Writer implements StreamUser {
  readonly onDrain: () => void;

  constructor(onDrain: () => void) {
    this.onDrain = onDrain;
  }

  onFields(): void {}
  onContent(): void {}
  onFlush(): void {}
  onEnd(): void {}
  onClosed(): void {}
  onFault(fault: unknown): void {
    throw fault;
  }
}

const REQUEST = [':method', 'POST', ':path', '/', ':scheme', 'http', ':authority', 'app.test'];
const CONTENT = Buffer.from('content');

/** Opens a stream, and gives both ends of it. */
async function begin({ client, server }: { client: End; server: End }, ended: boolean) {
  const ours = client.connection.open(null);
  if (!ours) throw new Error('the connection takes no streams');
  expect(ours.state).toBe('idle');
  const before = server.streams.length;
  ours.fields(REQUEST, ended);
  await until(() => server.streams.length > before, 'the request');
  const theirs = server.streams[before];
  if (!theirs) throw new Error('no request came');
  return { ours, theirs };
}

it('a stream goes through the states of RFC 9113 5.1, as both ends see it', async () => {
  await using ends = await pair();
  const { ours, theirs } = await begin(ends, false);
  expect([ours.state, theirs.state]).toEqual(['open', 'open']);

  ours.write(CONTENT, 0, CONTENT.length, true);
  expect(ours.state).toBe('half-closed (local)');
  await until(() => theirs.state === 'half-closed (remote)', 'the end of the request');

  theirs.fields([':status', '200'], false);
  theirs.end(null);
  expect(theirs.state).toBe('closed');
  await until(() => ours.state === 'closed', 'the end of the response');
});

it('a response may be over before its request is', async () => {
  await using ends = await pair();
  const { ours, theirs } = await begin(ends, false);
  theirs.fields([':status', '200'], true);
  expect(theirs.state).toBe('half-closed (local)');
  await until(() => ours.state === 'half-closed (remote)', 'the response');
  ours.end(null);
  expect(ours.state).toBe('closed');
  await until(() => theirs.state === 'closed', 'the end of the request');
});

it('a request without content begins half-closed, and a reset closes it at once', async () => {
  await using ends = await pair();
  const { ours, theirs } = await begin(ends, true);
  expect([ours.state, theirs.state]).toEqual(['half-closed (local)', 'half-closed (remote)']);
  theirs.reset(ErrorCode.cancel);
  expect(theirs.state).toBe('closed');
  await until(() => ours.state === 'closed', 'the reset');
});

it('content that waits for its user does not keep a stream from being closed', async () => {
  await using ends = await pair();
  const { ours, theirs } = await begin(ends, false);
  theirs.pause();
  ours.write(CONTENT, 0, CONTENT.length, true);
  await until(() => theirs.state === 'half-closed (remote)', 'the end of the request');
  theirs.fields([':status', '200'], true);
  expect([theirs.state, theirs.isClosed]).toEqual(['closed', false]);
  theirs.resume();
  await until(() => theirs.isClosed, 'what was held');
});

it('streams that have much to send take turns, so that hardly anything has to wait in memory', async () => {
  await using ends = await pair(2 ** 24);
  const { connection } = ends.client;
  await until(() => connection.remote.initialWindow === 2 ** 24, 'the settings');
  let kept = 0;
  const memory = { add: (bytes: number) => void (kept += Math.max(0, bytes)) };
  const read = Buffer.alloc(64 * 1024);
  const READS = 40;
  for (let i = 0; i < 8; i++) {
    const stream = connection.open(memory);
    if (!stream) throw new Error('the connection takes no streams');
    stream.fields(REQUEST, false);
    let reads = 0;
    // As a response goes on from read to read of its Pod.
    const goOn = (): void => {
      reads++;
      stream.write(read, 0, read.length, reads === READS);
      if (reads < READS && stream.isWritable()) setImmediate(goOn);
    };
    stream.user = new Writer(() => void (reads < READS && setImmediate(goOn)));
    setImmediate(goOn);
  }
  const all = 8 * READS * read.length;
  await until(
    () => ends.server.streams.length === 8 && ends.server.streams.every(({ remoteEnded }) => remoteEnded),
    'all',
  );
  expect(kept / all).toBeLessThan(0.2);
});
