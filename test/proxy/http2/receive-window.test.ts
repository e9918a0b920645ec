import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { CLIENT_STREAM_WINDOW, PROBE, ReceiveWindow } from '../../../src/proxy/http2/wire/receive-window.ts';
import {
  FLAG,
  FRAME,
  type FrameClient,
  frame,
  frameClient,
  headers,
  requestFields,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

describe('the window of streams', () => {
  /** A sender that always has something, over a link: what it gets rid of in a round trip. */
  const roundTrip = (window: ReceiveWindow, linkBytes: number, now: number): void => {
    if (!window.begins(now)) return;
    window.came(Math.min(window.size, linkBytes));
    expect(window.answered(PROBE, now)).toBe(true);
  };

  it('becomes what a link carries in a round trip, and no more than its bound', () => {
    for (const linkBytes of [1_000, 64_000, 300_000, 700_000, 5_000_000]) {
      const window = new ReceiveWindow(100_000, 1_000_000);
      for (let second = 0; second < 20; second++) roundTrip(window, linkBytes, second * 2_000);
      expect(window.size).toBeGreaterThanOrEqual(Math.min(linkBytes, 1_000_000));
      expect(window.size).toBeLessThanOrEqual(Math.min(Math.max(100_000, 4 * linkBytes), 1_000_000));
    }
  });

  it('is measured one PING at a time, and seldom where it is large enough', () => {
    const window = new ReceiveWindow(100_000, 1_000_000);
    expect(window.begins(0)).toBe(true);
    expect(window.begins(5_000)).toBe(false);
    expect(window.answered(0, 5_000)).toBe(false);
    expect(window.answered(PROBE, 5_000)).toBe(true);
    expect(window.answered(PROBE, 5_000)).toBe(false);
    expect(window.begins(5_499)).toBe(false);
    expect(window.begins(5_500)).toBe(true);
  });
});

/** What a client may still send on the stream and the connection, once it has the settings. */
function granted({ frames }: FrameClient, stream: number, first: number): number {
  return frames
    .filter(({ type, stream: of }) => type === FRAME.windowUpdate && of === stream)
    .reduce((window, { payload }) => window + payload.readUInt32BE(0), first);
}

/** In all, on stream 1. */
function roomOf(client: FrameClient): number {
  return Math.min(granted(client, 1, CLIENT_STREAM_WINDOW), granted(client, 0, 65_535));
}

/**
 * Sends on stream 1 whatever there is room for, until the room is `enough`; the most that there was at a time. PINGs of a client
 * that is far away come back when all that was sent is under way.
 */
async function fill(client: FrameClient, isFar: boolean, enough: number): Promise<number> {
  client.send(headers(1, requestFields('POST', '/'), FLAG.endHeaders));
  let sent = 0;
  let answered = 0;
  let largest = 0;
  for (let round = 0; round < 60 && largest < enough; round++) {
    const room = roomOf(client) - sent;
    for (let left = room; left > 0; left -= 16_000)
      client.send(frame(FRAME.data, 0, 1, Buffer.alloc(Math.min(left, 16_000))));
    sent += Math.max(0, room);
    largest = Math.max(largest, room);
    const pings = client.frames.filter(({ type, flags }) => type === FRAME.ping && flags === 0);
    const isAnswered = isFar && answered < pings.length;
    if (isAnswered) client.send(frame(FRAME.ping, FLAG.ack, 0, pings[answered++]!.payload));
    await client.until(() => roomOf(client) - sent > 0);
  }
  return largest;
}

it('a client whose PING comes back late may send more at a time than one that is near', async () => {
  await using upstream = await recordingUpstream('', () => ok('taken'));
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }], { h2c: true });
  using near = await frameClient(proxy.port);
  expect(await fill(near, false, 2 * CLIENT_STREAM_WINDOW + 1)).toBeLessThanOrEqual(CLIENT_STREAM_WINDOW);
  using far = await frameClient(proxy.port);
  expect(await fill(far, true, 5 * CLIENT_STREAM_WINDOW)).toBeGreaterThan(2 * CLIENT_STREAM_WINDOW);

  // The next stream begins with the window that the settings gave, and gets more once that is used.
  far.send(headers(3, requestFields('POST', '/'), FLAG.endHeaders));
  for (let left = CLIENT_STREAM_WINDOW; left > 0; left -= 16_000)
    far.send(frame(FRAME.data, 0, 3, Buffer.alloc(Math.min(left, 16_000))));
  await far.until(() => granted(far, 3, 0) > CLIENT_STREAM_WINDOW);
});
