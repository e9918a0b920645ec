import { createServer, get, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

/** More than the kernel's buffers take on the way, so that writes are cut short. */
const BODY_BYTES = 10 * 1024 * 1024;

/** Bytes that differ at every place and for every seed, so that a piece in the wrong place shows. */
const BODIES = [1, 2].map((seed) => {
  const words = new Uint32Array(BODY_BYTES / 4);
  let state = seed;
  for (let at = 0; at < words.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state;
  }
  return Buffer.from(words.buffer);
});

/** Which of the bodies it is; -1 for none of them. */
function which(bytes: Buffer): number {
  return BODIES.findIndex((body) => body.equals(bytes));
}

/** Resolves when a count has stood still for a while: the reader has stopped, and what is sent piles up. */
async function stands(count: () => number): Promise<void> {
  let still = 0;
  for (let last = -1; still < 5; await sleep(10)) {
    still = count() === last && last > 0 ? still + 1 : 0;
    last = count();
  }
}

async function readAll(readable: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readable) pieces.push(piece);
  return Buffer.concat(pieces);
}

test.each(['length', 'chunked'])('every byte of a response arrives in its place (%s)', async (framing) => {
  const pod = createServer(STAYS_OPEN, (incoming, outgoing) => {
    const body = BODIES[Number(incoming.url?.slice(1))]!;
    if (framing === 'length') outgoing.setHeader('Content-Length', body.length);
    for (let at = 0; at < body.length; at += 50_001) {
      outgoing.write(body.subarray(at, at + 50_001));
    }
    outgoing.end();
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  {
    await using proxy = await startProxy(nativeEngine, [{ ports: [(pod.address() as AddressInfo).port] }]);
    const received = await Promise.all(
      BODIES.map(async (_, index) => {
        const headers = { Host: 'app.test' };
        const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
        const asked = get({ port: proxy.port, host: '127.0.0.1', path: `/${index}`, headers }, (incoming) => {
          // Reads nothing until nothing moves any more.
          stands(() => incoming.socket.bytesRead)
            .then(() => readAll(incoming))
            .then(resolve, reject);
        });
        asked.on('error', reject);
        return which(await promise);
      }),
    );
    expect(received).toEqual([0, 1]);
  }
  pod.closeAllConnections();
  pod.close();
});

test.each(['length', 'chunked'])('every byte of a request arrives in its place (%s)', async (framing) => {
  const pod = createServer(STAYS_OPEN, async (incoming, outgoing) => {
    await stands(() => incoming.socket.bytesRead);
    outgoing.end(String(which(await readAll(incoming))));
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  {
    await using proxy = await startProxy(nativeEngine, [{ ports: [(pod.address() as AddressInfo).port] }]);
    const received = await Promise.all(
      BODIES.map(async (body) => {
        const headers = { Host: 'app.test', ...(framing === 'length' && { 'Content-Length': body.length }) };
        const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
        const asked = request(
          { port: proxy.port, host: '127.0.0.1', method: 'POST', headers },
          (incoming) => {
            readAll(incoming).then(resolve, reject);
          },
        );
        asked.on('error', reject);
        for (let at = 0; at < body.length; at += 50_001) {
          asked.write(body.subarray(at, at + 50_001));
        }
        asked.end();
        return Number(await promise);
      }),
    );
    expect(received).toEqual([0, 1]);
    expect(proxy.exchanges.map(({ requestBytes }) => requestBytes)).toEqual(BODIES.map(() => BODY_BYTES));
  }
  pod.closeAllConnections();
  pod.close();
});
