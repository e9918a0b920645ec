import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  type FramePod,
  forEachRequest,
  framePod,
  response,
  responseHead,
  valueOf,
} from '../../support/http2-frame-pod.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type FrameClient,
  codeOf,
  frame,
  frameClient,
  goaway,
  headers,
  ping,
  requestFields,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { happens } from '../../support/until.ts';

/** What waits on some streams, and what that may cost the others: nothing. */

const WINDOW = 65_535;
const PIECE = Buffer.alloc(16_000, 'x');

/** Sends so much on a stream, as the window of the connection allows. */
async function send(
  client: FrameClient,
  stream: number,
  octets: number,
  spent: { octets: number },
): Promise<void> {
  for (let left = octets; left > 0;) {
    const length = Math.min(left, PIECE.length);
    while (Math.min(granted(client, 0) - spent.octets, granted(client, stream) - (octets - left)) < length)
      await happens(client.socket, 'data');
    client.send(frame(FRAME.data, left === length ? FLAG.endStream : 0, stream, PIECE.subarray(0, length)));
    spent.octets += length;
    left -= length;
  }
}

/** Sends as much on a stream as is let, until no more is. */
async function fill(client: FrameClient, stream: number, spent: { octets: number }): Promise<void> {
  let sent = 0;
  const mayGoOn = (): boolean =>
    granted(client, stream) - sent >= PIECE.length && granted(client, 0) - spent.octets >= PIECE.length;
  for (let before = -1; before !== sent;) {
    before = sent;
    for (; mayGoOn(); sent += PIECE.length, spent.octets += PIECE.length)
      client.send(frame(FRAME.data, 0, stream, PIECE));
    for (let i = 0; i < 3; i++) await barrier(client);
  }
}

let pings = 0;

async function barrier(client: FrameClient): Promise<void> {
  const payload = String(++pings).padStart(8);
  client.send(ping(payload));
  await client.until(
    ({ type, flags, payload: of }) => type === FRAME.ping && flags === 1 && of.toString() === payload,
  );
}

function granted({ frames }: FrameClient, stream: number): number {
  return frames
    .filter(({ type, stream: of }) => type === FRAME.windowUpdate && of === stream)
    .reduce((window, { payload }) => window + payload.readUInt32BE(0), WINDOW);
}

describe('bodies that nobody takes hold up no other', () => {
  it('uploads to a pod that does not read', async () => {
    await using pod = await framePod(
      (end) =>
        forEachRequest(end, async ({ stream, fields }) => {
          if (!fields.some(([, value]) => value === '/taken')) return;
          end.send(windowUpdate(0, 2 ** 30), windowUpdate(stream, 2 ** 30));
          void end
            .until(({ stream: of, flags, type }) => of === stream && type === FRAME.data && (flags & 1) === 1)
            .then(() => end.send(response(stream, String(end.received(stream)))));
        }),
      settings(0),
    );
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port);
    const spent = { octets: 0 };
    const STALLED = 12;
    for (let i = 0; i < STALLED; i++) {
      const stream = 2 * i + 1;
      client.send(headers(stream, requestFields('POST', '/stalled'), FLAG.endHeaders));
      await fill(client, stream, spent);
    }
    client.send(headers(99, requestFields('POST', '/taken'), FLAG.endHeaders));
    await send(client, 99, 2_000_000, spent);
    await client.until(
      ({ stream, flags, type }) => stream === 99 && type === FRAME.data && (flags & 1) === 1,
    );
    expect(proxy.engine.gauges().inFlight).toBe(STALLED);
  });

  it('responses to clients that do not read', async () => {
    const STALLED = 80;
    const filled = Array.from({ length: STALLED }, () => Promise.withResolvers<void>());
    let next = 0;
    await using pod = await framePod((end) => {
      const spent = { octets: 0 };
      return forEachRequest(end, (request) => {
        const { stream } = request;
        end.send(responseHead(stream));
        const isTaken = valueOf(request, ':path') === '/taken';
        if (!isTaken) {
          void fill(end, stream, spent).then(filled[next++]!.resolve);
          return;
        }
        return send(end, stream, 3_500_000, spent);
      });
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using stalled = await frameClient(proxy.port, settings(0));
    for (let i = 0; i < STALLED; i++) stalled.send(headers(2 * i + 1, requestFields('GET', '/stalled')));
    await Promise.all(filled.map(({ promise }) => promise));
    using client = http2Client(proxy.port);
    const answer = await client.ask({ ':path': '/taken' });
    expect([answer.status, answer.body.length, answer.code]).toEqual([200, 3_500_000, 0]);
    expect(pod.connections).toHaveLength(1);
  });
});

describe('what is held for a client that does not read', () => {
  it('is given to it in full, although the pod has closed its connection meanwhile', async () => {
    await using pod = await framePod(async (end) => {
      const { stream } = await end.request(0);
      end.send(responseHead(stream), frame(FRAME.data, 0, stream, PIECE));
      await barrier(end);
      const rest = [0, FLAG.endStream].map((flags) => frame(FRAME.data, flags, stream, PIECE));
      end.send(...rest, goaway(stream, CODE.noError));
      end.socket.end();
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port, settings(0));
    client.send(headers(1, requestFields('GET', '/')));
    await client.until(({ type }) => type === FRAME.headers);
    await (
      await pod.connection(0)
    ).closed;
    await barrier(client);
    client.send(windowUpdate(1, 1_000_000));
    const end = await client.until(
      ({ stream, flags, type }) => stream === 1 && (type === FRAME.reset || (flags & 1) === 1),
    );
    expect(end.type).toBe(FRAME.data);
    const octets = client.frames
      .filter(({ type }) => type === FRAME.data)
      .map(({ payload }) => payload.length);
    expect(octets.reduce((sum, length) => sum + length, 0)).toBe(3 * PIECE.length);
    expect((await proxy.exchange(0)).status).toBe(200);
    expect(proxy.engine.gauges()).toMatchObject({ inFlight: 0, upstreamConnections: 0 });
  });
});

describe('uploads that nobody takes', () => {
  const stall = async (): Promise<FramePod> =>
    framePod((end) => forEachRequest(end, () => undefined), settings(0));

  it('take the memory of their octets, in however many frames these come', async () => {
    await using pod = await stall();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port);
    const STREAMS = 8;
    for (let i = 0; i < STREAMS; i++) {
      client.send(
        headers(2 * i + 1, requestFields('POST', '/'), FLAG.endHeaders),
        frame(FRAME.data, 0, 2 * i + 1, PIECE),
      );
      await (await pod.connection(0)).request(i);
    }
    await barrier(client);
    const before = collect();
    for (let i = 0; i < STREAMS; i++) {
      const octet = frame(FRAME.data, 0, 2 * i + 1, Buffer.from('x'));
      client.send(Buffer.alloc(40_000 * octet.length, octet));
    }
    await barrier(client);
    // What was only on its way may take the collector another round.
    let held = Infinity;
    await until(() => (held = collect() - before) < STREAMS * 40_000 * 10);
    expect(held).toBeLessThan(STREAMS * 40_000 * 10);
  });

  it('and also those that wait for the window of a pod', async () => {
    await using pod = await stall();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port);
    const streams = Array.from({ length: 40 }, (_, index) => 2 * index + 1);
    client.send(...streams.map((stream) => headers(stream, requestFields('POST', '/'), FLAG.endHeaders)));
    await (await pod.connection(0)).request(streams.length - 1);
    const before = collect();
    for (const stream of streams) {
      const octet = frame(FRAME.data, 0, stream, Buffer.from('x'));
      client.send(Buffer.alloc(6_000 * octet.length, octet));
      await barrier(client);
    }
    // What was only on its way may take the collector another round.
    await expect
      .poll(() => collect() - before, { timeout: 10_000 })
      .toBeLessThan(streams.length * 6_000 * 10);
  });

  it('end with trailers that end them, or not at all', async () => {
    await using pod = await stall();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('POST', '/'), FLAG.endHeaders), frame(FRAME.data, 0, 1, PIECE));
    await (await pod.connection(0)).request(0);
    await barrier(client);
    client.send(frame(FRAME.data, 0, 1, PIECE), headers(1, [['x-sum', '1']], FLAG.endHeaders));
    const told = await client.until(({ type, stream }) => type === FRAME.reset && stream === 1);
    expect(codeOf(told)).toBe(CODE.protocolError);
  });
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function collect(): number {
  collectGarbage();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return arrayBuffers + heapUsed;
}
