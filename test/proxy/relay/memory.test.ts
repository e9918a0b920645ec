import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { NodeSocket } from '../../../src/proxy/sockets/node-socket.ts';
import { WriteBuffer } from '../../../src/proxy/write-buffer.ts';
import { BUNDLE } from '../../support/bundle.ts';
import { rawClient } from '../../support/raw-client.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

const MIB = 1024 * 1024;

const ENTRY = BUNDLE
  ? pathToFileURL(join(BUNDLE, '../threads/relay/memory-entry.mjs'))
  : new URL('memory-entry.ts', import.meta.url);

test('uploads leave little garbage outside of the heap', async () => {
  const size = 64 * MIB;
  await using upstream = await scriptedUpstream((connection) => {
    let left = size;
    connection.socket.removeAllListeners('data');
    connection.socket.on('data', (bytes: Buffer) => {
      left -= bytes.length;
      if (left <= 0) connection.send(ok('got it'));
    });
  });
  // As small a young generation as in the image.
  const worker = new Worker(ENTRY, {
    workerData: upstream.port,
    resourceLimits: { maxYoungGenerationSizeMb: 3 },
  });
  onTestFinished(() => void worker.terminate());
  const [port] = (await happens(worker, 'message')) as [number];
  const most = once(worker, 'message');
  using client = await rawClient(port);
  client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${size}\r\n\r\n`);
  const piece = Buffer.alloc(MIB);
  for (let sent = 0; sent < size; sent += MIB) {
    if (!client.socket.write(piece)) await happens(client.socket, 'drain');
  }
  expect((await client.message()).status).toBe(200);
  const [mostBytes] = (await most) as [number];
  expect(mostBytes).toBeLessThan(16 * MIB);
});

test('what waits for a slow reader is put together in memory that is used again', async () => {
  const server = createServer({ pauseOnConnect: true, highWaterMark: 1024 }).listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const writer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const [reader] = await happens(server, 'connection');
  const memory = new Set<unknown>();
  const { write } = writer;
  writer.write = ((bytes: Buffer, ...more: []) => {
    if (bytes.length > 0) memory.add(bytes.buffer);
    return write.call(writer, bytes, ...more);
  }) as typeof write;

  const output = new WriteBuffer();
  const socket = new NodeSocket(writer, false);
  const pieces = 2_000;
  let cutShort = 0;
  const contents = Array.from({ length: 251 }, (_, i) => Buffer.alloc(20_000, i));
  const content = (i: number): Buffer => contents[i % 251]!;
  let read = 0;
  const wrong: number[] = [];
  reader.on('data', (bytes: Buffer) => {
    for (let at = 0; at < bytes.length;) {
      const within = read % 20_000;
      const length = Math.min(bytes.length - at, 20_000 - within);
      const expected = content(Math.floor(read / 20_000)).subarray(within, within + length);
      if (!expected.equals(bytes.subarray(at, at + length))) wrong.push(read);
      at += length;
      read += length;
    }
  });
  for (let i = 0; i < pieces; i++) {
    output.copy(content(i), 0, 20_000);
    const goesOn = output.send(socket);
    if (writer.writableLength > 0) cutShort++;
    if (goesOn) continue;
    reader.resume();
    await happens(writer, 'drain');
    reader.pause();
    await nextTurn();
  }
  reader.resume();
  writer.end();
  await happens(reader, 'end');
  expect(wrong).toEqual([]);
  expect(read).toBe(pieces * 20_000);
  // Else nothing was tried.
  expect(cutShort).toBeGreaterThan(20);
  expect(memory.size).toBeLessThan(4);
  reader.destroy();
  server.close();
});
