import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../../../src/proxy/limits.ts';
import { nativeEngine } from '../../../../src/proxy/native-engine.ts';
import { forEachRequest, framePod, responseHead } from '../../../support/http2-frame-pod.ts';
import {
  FLAG,
  FRAME,
  type FrameClient,
  frame,
  frameClient,
  headers,
  number,
  ping,
  requestFields,
  settings,
  windowUpdate,
} from '../../../support/http2-frames.ts';
import { startProxy } from '../../../support/proxy.ts';
import { happens } from '../../../support/until.ts';

const get = (stream: number): Buffer => headers(stream, requestFields('GET', '/ok'));

describe('clients that read nothing', () => {
  const collect = (): number => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    return arrayBuffers + heapUsed;
  };

  it('hold no more than a little of each response, however many they ask for', async () => {
    const PIECE = Buffer.alloc(16_384, 'x');
    let sent = 0;
    // Sends as much as the proxy lets it.
    await using pod = await framePod(async (end) => {
      const windows = new Map<number, number>();
      let connection = 65_535;
      let initial = 65_535;
      let seen = 0;
      const look = (): void => {
        for (; seen < end.frames.length; seen++) {
          const { type, stream, payload, flags } = end.frames[seen]!;
          if (type === FRAME.windowUpdate && stream === 0) connection += payload.readUInt32BE(0);
          if (type === FRAME.windowUpdate && stream !== 0)
            windows.set(stream, (windows.get(stream) ?? 0) + payload.readUInt32BE(0));
          if (type === FRAME.headers) {
            windows.set(stream, initial);
            end.send(responseHead(stream));
          }
          if (type !== FRAME.settings || flags !== 0) continue;
          for (let at = 0; at < payload.length; at += 6) {
            if (payload.readUInt16BE(at) === 4) initial = payload.readUInt32BE(at + 2);
          }
        }
        for (const [stream, window] of windows) {
          for (let left = window; left >= PIECE.length && connection >= PIECE.length; left -= PIECE.length) {
            end.send(frame(FRAME.data, 0, stream, PIECE));
            sent += PIECE.length;
            connection -= PIECE.length;
            windows.set(stream, left - PIECE.length);
          }
        }
      };
      await end.until(() => {
        look();
        return false;
      });
    });
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    const readers: FrameClient[] = [];
    try {
      const before = collect();
      for (let i = 0; i < 3; i++) {
        const reader = await frameClient(proxy.port, settings(0));
        readers.push(reader);
        const streams = Array.from(
          { length: DEFAULT_LIMITS.streamsPerConnection },
          (_, index) => 2 * index + 1,
        );
        reader.send(...streams.map((stream) => get(stream)));
        for (const stream of streams)
          await reader.until(({ type, stream: of }) => type === FRAME.headers && of === stream);
      }
      // Until nothing more comes.
      for (let last = -1; last !== sent;) {
        last = sent;
        for (const reader of readers) {
          const payload = `${Math.random()}`.slice(0, 8).padEnd(8);
          reader.send(ping(payload));
          await reader.until((came) => came.type === FRAME.ping && came.payload.toString() === payload);
        }
      }
      const streams = 3 * DEFAULT_LIMITS.streamsPerConnection;
      expect(sent).toBeGreaterThan(0);
      expect(sent / streams).toBeLessThanOrEqual(3 * 65_536);
      expect((collect() - before) / streams).toBeLessThan(4 * 65_536);
      using other = await frameClient(proxy.port);
      other.send(get(1));
      await other.until(({ type, stream }) => type === FRAME.data && stream === 1);
    } finally {
      for (const reader of readers) reader[Symbol.dispose]();
    }
  });

  it('and do not even read their socket', async () => {
    const BODY = 'x'.repeat(1_000_000);
    await using pod = await framePod((end) =>
      forEachRequest(end, ({ stream }) => {
        end.send(responseHead(stream, ['content-length', String(BODY.length)]));
      }),
    );
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
      h2c: true,
    });
    using client = await frameClient(proxy.port, settings(0x7fff_ffff));
    client.send(windowUpdate(0, 0x7fff_0000), get(1));
    client.socket.pause();
    const end = await pod.connection(0);
    const { stream } = await end.request(0);
    // Far more than the kernel takes between the two.
    let window = 0;
    let seen = 0;
    let total = 0;
    const piece = frame(FRAME.data, 0, stream, Buffer.alloc(16_384));
    const idle = async (): Promise<void> => {
      const payload = number(total).toString('latin1').padEnd(8, '.');
      end.send(ping(payload));
      await end.until(
        (came) =>
          came.type === FRAME.ping && came.flags === FLAG.ack && came.payload.toString('latin1') === payload,
      );
    };
    window = 65_535;
    let calm = 0;
    while (total < 64 * 1024 * 1024 && calm < 20) {
      for (; seen < end.frames.length; seen++) {
        const came = end.frames[seen]!;
        if (came.type === FRAME.windowUpdate && came.stream === stream)
          window += came.payload.readUInt32BE(0);
      }
      calm = window >= 16_384 ? 0 : calm + 1;
      for (; window >= 16_384; window -= 16_384, total += 16_384) end.send(piece);
      await idle();
    }
    // What the kernel and one stream hold.
    expect(total).toBeLessThan(32 * 1024 * 1024);
    await happens(client.socket.destroy(), 'close');
  });
});
