import { describe, expect, it } from 'vitest';
import {
  CODE,
  FLAG,
  FRAME,
  type FrameClient,
  SETTING,
  codeOf,
  data,
  frame,
  frameClient,
  headers,
  number,
  requestFields,
  settings,
  settingsOf,
  windowUpdate,
} from '../../../support/http2-frames.ts';
import { startProxy } from '../../../support/proxy.ts';
import { nativeEngine } from '../../../../src/proxy/native-engine.ts';
import { http2Upstream } from '../../../support/http2-upstream.ts';
import {
  CONNECTION_FRAME_SIZE,
  CONNECTION_PROTOCOL,
  IGNORED,
  answerOn,
  barrier,
  bodyOn,
  conforms,
  siteForAll,
} from './site.ts';

const site = siteForAll();
const get = (stream: number, path: string): Buffer => headers(stream, requestFields('GET', path));
const upload = (stream: number, path = '/sum'): Buffer =>
  headers(stream, requestFields('POST', path), FLAG.endHeaders);
const MOST = 0x7fff_ffff;
const DEFAULT_WINDOW = 65_535;

/** Octets of DATA that came, on one stream or on all. */
function received(client: FrameClient, stream?: number): number {
  return client.frames
    .filter(({ type, stream: of }) => type === FRAME.data && (stream === undefined || of === stream))
    .reduce((sum, { payload }) => sum + payload.length, 0);
}

/** Resolves when so many octets of DATA have come; fails when there were more. */
async function receives(client: FrameClient, octets: number, stream?: number): Promise<void> {
  await client.until(() => received(client, stream) >= octets);
  // Two round trips: whatever else could come has come.
  await barrier(client);
  await barrier(client);
  expect(received(client, stream)).toBe(octets);
}

describe('WINDOW_UPDATE (RFC 9113 6.9)', () => {
  const flow = [CODE.flowControlError];
  conforms(site, {
    'of nothing, for the connection': { sends: [windowUpdate(0, 0)], outcome: CONNECTION_PROTOCOL },
    'of three octets': {
      sends: [frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(3))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'of five octets on a stream': {
      sends: [upload(1), frame(FRAME.windowUpdate, 0, 1, Buffer.alloc(5))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'to the highest window there may be': {
      sends: [upload(1), windowUpdate(0, MOST - DEFAULT_WINDOW), windowUpdate(1, MOST - DEFAULT_WINDOW)],
      outcome: IGNORED,
    },
    'beyond it, for the connection': {
      sends: [windowUpdate(0, MOST - DEFAULT_WINDOW), windowUpdate(0, 1)],
      outcome: { connection: flow },
    },
    'beyond it, for a stream': {
      sends: [upload(1), windowUpdate(1, MOST - DEFAULT_WINDOW), windowUpdate(1, 1)],
      outcome: { stream: flow },
    },
    'beyond it at once, for a stream': {
      sends: [upload(1), windowUpdate(1, MOST)],
      outcome: { stream: flow },
    },
    'SETTINGS that bring a stream beyond it': {
      sends: [upload(1), windowUpdate(1, MOST - DEFAULT_WINDOW), settings(DEFAULT_WINDOW + 1)],
      outcome: { connection: flow },
    },
  });
});

describe('what is sent to a client (RFC 9113 6.9.1, 6.9.2)', () => {
  it('is no octet without a window, and all of it with one', async () => {
    using client = await frameClient(site().proxy.port, settings(0));
    client.send(get(1, '/bytes/1000'));
    await client.until(({ type }) => type === FRAME.headers);
    await receives(client, 0);
    client.send(windowUpdate(1, 1));
    await receives(client, 1);
    client.send(windowUpdate(1, 998));
    await receives(client, 999);
    client.send(windowUpdate(1, 5));
    expect((await answerOn(client, 1)).body).toBe('x'.repeat(1000));
  });

  it('comes in order, octet by octet where the window is one', async () => {
    using client = await frameClient(site().proxy.port, settings(1));
    client.send(get(1, '/ok'));
    await receives(client, 1);
    client.send(windowUpdate(1, 1));
    expect((await answerOn(client, 1)).body).toBe('ok');
    expect(
      client.frames.filter(({ type }) => type === FRAME.data).every(({ payload }) => payload.length <= 1),
    ).toBe(true);
  });

  it('ends without a window where there is nothing to send', async () => {
    using client = await frameClient(site().proxy.port, settings(0));
    client.send(get(1, '/empty'), get(3, '/bytes/0'));
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '' });
    expect(await answerOn(client, 3)).toMatchObject({ status: 200, body: '' });
  });

  it('follows INITIAL_WINDOW_SIZE on streams that are open, up, down and below zero', async () => {
    using client = await frameClient(site().proxy.port, settings(100));
    client.send(get(1, '/bytes/1000'));
    await receives(client, 100);
    client.send(settings(250));
    await receives(client, 250);
    // Now 150 below zero.
    client.send(settings(100), windowUpdate(1, 150));
    await receives(client, 250);
    client.send(windowUpdate(1, 1));
    await receives(client, 251);
    client.send(settings(0), settings(100), settings(101));
    await receives(client, 252);
    client.send(settings(MOST));
    expect((await answerOn(client, 1)).body).toHaveLength(1000);
  });

  it('takes the last of many values in one SETTINGS', async () => {
    const { initialWindowSize } = SETTING;
    using client = await frameClient(
      site().proxy.port,
      settingsOf([initialWindowSize, 500], [initialWindowSize, 7]),
    );
    client.send(get(1, '/bytes/1000'));
    await receives(client, 7);
  });

  it('INITIAL_WINDOW_SIZE says nothing of the connection', async () => {
    using client = await frameClient(site().proxy.port, settings(1_000_000));
    client.send(get(1, '/bytes/200000'));
    await receives(client, DEFAULT_WINDOW);
    client.send(settings(2_000_000), windowUpdate(1, 1_000_000));
    await receives(client, DEFAULT_WINDOW);
    client.send(windowUpdate(0, 200_000));
    expect((await answerOn(client, 1)).body).toHaveLength(200_000);
  });

  it('comes in frames that the client takes', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(windowUpdate(0, 1_000_000), get(1, '/bytes/60000'));
    await answerOn(client, 1);
    expect(Math.max(...client.frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(16_384);
    client.send(settingsOf([SETTING.maxFrameSize, 100_000]), get(3, '/bytes/60000'));
    expect((await answerOn(client, 3)).body).toHaveLength(60_000);
  });

  it('shares the window of the connection among its streams', async () => {
    using client = await frameClient(site().proxy.port, settings(MOST));
    const streams = [1, 3, 5, 7];
    client.send(...streams.map((stream) => headers(stream, requestFields('GET', '/bytes/1000000'))));
    for (const stream of streams) {
      await client.until(({ type, stream: of }) => type === FRAME.headers && of === stream);
    }
    await receives(client, DEFAULT_WINDOW);
    for (let i = 1; i <= 64; i++) {
      client.send(windowUpdate(0, 16_384));
      await client.until(() => received(client) >= DEFAULT_WINDOW + i * 16_384);
      // So that all have something to send.
      await barrier(client);
    }
    for (const stream of streams) expect(received(client, stream)).toBeGreaterThan(100_000);
  });

  it('a stream without a window holds up no other', async () => {
    using client = await frameClient(site().proxy.port, settings(0));
    client.send(get(1, '/bytes/1000'), get(3, '/bytes/1000'), get(5, '/bytes/1000'));
    client.send(windowUpdate(5, 1000));
    expect((await answerOn(client, 5)).body).toHaveLength(1000);
    client.send(windowUpdate(3, 1000));
    expect((await answerOn(client, 3)).body).toHaveLength(1000);
    expect(bodyOn(client, 1)).toBe('');
  });

  it('a stream that is taken back gives its share of the connection to the others', async () => {
    using client = await frameClient(site().proxy.port, settings(MOST));
    client.send(get(1, '/bytes/500000'));
    await receives(client, DEFAULT_WINDOW);
    client.send(frame(FRAME.reset, 0, 1, number(CODE.cancel)), get(3, '/bytes/1000'));
    await client.until(({ type, stream }) => type === FRAME.headers && stream === 3);
    client.send(windowUpdate(0, 1000));
    expect((await answerOn(client, 3)).body).toHaveLength(1000);
  });
});

describe('what a client sends', () => {
  /** Sends as much DATA as the proxy allows, padded or not. */
  async function sendWithinWindows(
    client: FrameClient,
    stream: number,
    octets: number,
    padding: number,
  ): Promise<void> {
    let window = DEFAULT_WINDOW;
    let connectionWindow = DEFAULT_WINDOW;
    let seen = 0;
    const look = (): void => {
      for (; seen < client.frames.length; seen++) {
        const { type, stream: of, payload, flags } = client.frames[seen]!;
        if (type === FRAME.windowUpdate && of === stream) window += payload.readUInt32BE(0);
        if (type === FRAME.windowUpdate && of === 0) connectionWindow += payload.readUInt32BE(0);
        if (type !== FRAME.settings || flags === FLAG.ack) continue;
        for (let at = 0; at < payload.length; at += 6) {
          if (payload.readUInt16BE(at) === SETTING.initialWindowSize)
            window += payload.readUInt32BE(at + 2) - DEFAULT_WINDOW;
        }
      }
    };
    await client.until(({ type }) => type === FRAME.settings);
    const size = Math.min(1_000, octets);
    for (let sent = 0; sent < octets; sent += size) {
      const cost = size + (padding > 0 ? padding + 1 : 0);
      await client.until(() => {
        look();
        return window >= cost && connectionWindow >= cost;
      });
      window -= cost;
      connectionWindow -= cost;
      const end = sent + size >= octets ? FLAG.endStream : 0;
      const content = Buffer.alloc(size, 'y');
      if (padding === 0) client.send(frame(FRAME.data, end, stream, content));
      else
        client.send(
          frame(
            FRAME.data,
            end | FLAG.padded,
            stream,
            Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(padding)]),
          ),
        );
    }
  }

  it('is taken as far as it goes, and the windows are given back', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(upload(1));
    await sendWithinWindows(client, 1, 600_000, 0);
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '600000' });
  });

  it('padding is given back like the rest', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(upload(1));
    await sendWithinWindows(client, 1, 500_000, 255);
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '500000' });
  });

  it('without an octet needs no window', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(upload(1), data(1, '', false), data(1, 'abc', false), data(1, '', false), data(1, '', true));
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '3' });
  });

  it('on streams that came to nothing is given back to the connection', async () => {
    using client = await frameClient(site().proxy.port);
    // Refused before its body is there: that is thrown away, but it was flow-controlled all the same.
    const body = Array.from({ length: 4 }, () => Buffer.alloc(15_000, 'n'));
    let seen = 0;
    let window = DEFAULT_WINDOW;
    for (let stream = 1; stream < 80; stream += 2) {
      await client.until(() => {
        for (; seen < client.frames.length; seen++) {
          const { type, stream: of, payload } = client.frames[seen]!;
          if (type === FRAME.windowUpdate && of === 0) window += payload.readUInt32BE(0);
        }
        return window >= 60_000;
      });
      window -= 60_000;
      client.send(headers(stream, requestFields('POST', '/ok', ['connection', 'close']), FLAG.endHeaders));
      client.send(...body.map((part) => frame(FRAME.data, 0, stream, part)));
      await client.until(({ type, stream: of }) => of === stream && type !== FRAME.windowUpdate);
    }
    client.send(upload(1001), data(1001, 'abc', true));
    expect(await answerOn(client, 1001)).toMatchObject({ status: 200, body: '3' });
  });

  it('beyond the window is an error', async () => {
    // A pod that takes nothing, so that the window is not given back.
    await using pod = await http2Upstream((stream) => stream.pause());
    const sites = [{ ports: [pod.port], protocol: 'h2c' as const }];
    await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
    using neighbour = await frameClient(proxy.port);
    using client = await frameClient(proxy.port);
    client.send(upload(1));
    const chunk = frame(FRAME.data, 0, 1, Buffer.alloc(16_384));
    const end = client.until(({ type }) => type === FRAME.reset || type === FRAME.goaway);
    // Far more than all windows and buffers on the way.
    for (let i = 0; i < 1_000 && !client.frames.some(({ type }) => type === FRAME.reset); i++) {
      client.send(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(codeOf(await end)).toBe(CODE.flowControlError);
    await barrier(neighbour);
  });
});
