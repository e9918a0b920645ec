import { createHash } from 'node:crypto';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { relayEngine } from '../../../src/proxy/relay/engine.ts';
import { startProxy } from '../../support/proxy.ts';

const BODY_BYTES = 3 * 1024 * 1024;

/** Bytes that differ at every place and for every seed, so that a piece in the wrong place shows. */
function noise(seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(BODY_BYTES);
  let state = seed + 1;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

function digest(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

test('every byte arrives in its place, both ways at once, whoever is slow', async () => {
  // Answers while it still reads: both directions of an exchange are under way together.
  const pod = createServer((incoming, outgoing) => {
    const length = incoming.headers['content-length'];
    if (length !== undefined) outgoing.setHeader('Content-Length', length);
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  const { port } = pod.address() as AddressInfo;
  {
    await using proxy = await startProxy(relayEngine, [{ ports: [port] }]);

    async function echoed(seed: number): Promise<Buffer> {
      const body = noise(seed);
      const framed = seed % 2 === 0 ? { 'Content-Length': body.length } : {};
      const headers = { Host: 'app.test', ...framed };
      const outgoing = request({ port: proxy.port, host: '127.0.0.1', method: 'POST', headers });
      const pieces: Buffer[] = [];
      const over = new Promise<void>((resolve, reject) => {
        outgoing.on('error', reject);
        outgoing.on('response', async (incoming) => {
          for await (const piece of incoming) {
            pieces.push(piece as Buffer);
            if (seed % 3 === 0) await nextTurn();
          }
          resolve();
        });
      });
      for (let at = 0; at < body.length; at += 100_001) {
        if (!outgoing.write(body.subarray(at, at + 100_001))) {
          await new Promise<void>((resolve) => outgoing.once('drain', resolve));
        }
        if (seed % 4 === 1) await nextTurn();
      }
      outgoing.end();
      await over;
      return Buffer.concat(pieces);
    }

    const seeds = Array.from({ length: 12 }, (_, seed) => seed);
    const received = await Promise.all(seeds.map(async (seed) => digest(await echoed(seed))));
    expect(received).toEqual(seeds.map((seed) => digest(noise(seed))));
    expect(proxy.exchanges.map(({ requestBytes, responseBytes }) => [requestBytes, responseBytes])).toEqual(
      seeds.map(() => [BODY_BYTES, BODY_BYTES]),
    );
    expect(proxy.engine.gauges().inFlight).toBe(0);
  }
  pod.closeAllConnections();
  pod.close();
});
