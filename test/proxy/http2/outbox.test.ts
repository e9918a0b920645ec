import { createServer } from 'node:http';
import { type AddressInfo, type Socket, connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, it } from 'vitest';
import { EarlyContent } from '../../../src/proxy/http2/early-content.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  FLAG,
  FRAME,
  type FrameClient,
  PREFACE,
  frameEnd,
  headers,
  requestFields,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { isPatternOf, pattern } from '../../support/pattern.ts';
import { startProxy } from '../../support/proxy.ts';
import { startTlsProxy } from '../../support/tls-proxy.ts';
import { happens } from '../../support/until.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

/** What waits for a client that does not read is still the same when it does, whatever others were sent meanwhile. */

/** More than the buffers of the kernel take. */
const MUCH = 12_000_000;

function client(socket: Socket): FrameClient {
  const end = frameEnd(socket);
  end.send(PREFACE, settings(2 ** 30), windowUpdate(0, 2 ** 30));
  return end;
}

/** `/ID/SIZE` */
function ask(of: FrameClient, stream: number, id: number, size: number): void {
  of.send(headers(stream, requestFields('GET', `/${id}/${size}`)));
}

async function bodyOn({ frames, until }: FrameClient, stream: number): Promise<Buffer> {
  await until((came) => came.stream === stream && (came.flags & FLAG.endStream) !== 0);
  return Buffer.concat(
    frames.filter((came) => came.type === FRAME.data && came.stream === stream).map(({ payload }) => payload),
  );
}

async function keepsApart(connect: () => Promise<Socket>): Promise<void> {
  using slow = client(await connect());
  using quick = client(await connect());
  slow.socket.pause();
  ask(slow, 1, 1, MUCH);
  for (let stream = 1; stream < 100; stream += 2) {
    ask(quick, stream, stream + 1, 200_000);
    expect(isPatternOf(stream + 1, await bodyOn(quick, stream))).toBe(true);
  }
  slow.socket.resume();
  const body = await bodyOn(slow, 1);
  expect(body.length).toBe(MUCH);
  expect(isPatternOf(1, body)).toBe(true);
}

async function pod(): Promise<{ port: number } & Disposable> {
  const server = createServer(STAYS_OPEN, (request, response) => {
    const [, id, size] = (request.url ?? '').split('/').map(Number);
    response.end(pattern(id ?? 0, size ?? 0));
  }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const end = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: end };
}

it('without TLS', async () => {
  using upstream = await pod();
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], { h2c: true });
  await keepsApart(async () => {
    const socket = connectTcp({ port: proxy.port, host: '127.0.0.1' });
    await happens(socket, 'connect');
    return socket;
  });
});

it('over TLS', async () => {
  using upstream = await pod();
  await using proxy = await startTlsProxy(nativeEngine, [{ ports: [upstream.port] }]);
  await keepsApart(async () => {
    const where = { port: proxy.httpsPort, host: '127.0.0.1', servername: 'app.test' };
    const socket = connectTls({ ...where, ALPNProtocols: ['h2'], rejectUnauthorized: false });
    await happens(socket, 'secureConnect');
    return socket;
  });
});

it('what several heads wait with stays apart, and leaves its memory to the next', () => {
  const first = new EarlyContent();
  const second = new EarlyContent();
  const large = pattern(1, 100_000);
  for (const at of [0, 1, 2]) {
    first.add(Buffer.from('abc'), at, at + 1);
    second.add(Buffer.from('xyz'), at, at + 1);
  }
  const read = ({ bytes, length }: EarlyContent): string => bytes.toString('latin1', 0, length);
  expect([read(first), read(second)]).toEqual(['abc', 'xyz']);
  // More than the memory that takes turns.
  first.add(large, 0, large.length);
  const third = new EarlyContent();
  third.add(Buffer.from('third'), 0, 5);
  expect(read(first)).toBe(`abc${large.toString('latin1')}`);
  expect([read(second), read(third)]).toEqual(['xyz', 'third']);
  const { bytes } = third;
  third.giveBack();
  expect(new EarlyContent().bytes).toBe(bytes);
});
