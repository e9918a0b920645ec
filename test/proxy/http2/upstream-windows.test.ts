import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { type Http2Client, type Http2Response, http2Client } from '../../support/http2-client.ts';
import {
  type FramePod,
  type PodEnd,
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
  SETTING,
  codeOf,
  data,
  frame,
  frameClient,
  headers,
  ping,
  requestFields,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';

const DEFAULT_WINDOW = 65_535;
const proxyFor = (pod: FramePod): Promise<RunningProxy> =>
  startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], { h2c: true });

let pings = 0;

/** Resolves when the proxy has seen all that was sent to it, twice over. */
async function barrier(end: PodEnd): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const payload = String(++pings).padStart(8);
    end.send(ping(payload));
    await end.until(
      (came) => came.type === FRAME.ping && came.flags === FLAG.ack && came.payload.toString() === payload,
    );
  }
}

/** Resolves when so many octets came on a stream; fails when there were more. */
async function receives(end: PodEnd, stream: number, octets: number): Promise<void> {
  await end.until(() => end.received(stream) >= octets);
  await barrier(end);
  expect(end.received(stream)).toBe(octets);
}

/** What the pod may send, as the proxy has said so far: of the connection, or of a stream. */
function granted(end: PodEnd, stream: number): number {
  let window = DEFAULT_WINDOW;
  for (const { type, flags, stream: of, payload } of end.frames) {
    if (type === FRAME.windowUpdate && of === stream) window += payload.readUInt32BE(0);
    if (type !== FRAME.settings || flags === FLAG.ack || stream === 0) continue;
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === SETTING.initialWindowSize)
        window += payload.readUInt32BE(at + 2) - DEFAULT_WINDOW;
    }
  }
  return window;
}

describe('what is sent to a pod (RFC 9113 6.9)', () => {
  const upload = (client: Http2Client, length: number): Promise<Http2Response> =>
    client.ask({ ':method': 'POST' }, Buffer.alloc(length, 'y'));

  /** A pod whose SETTINGS are known when the script comes to the second request, which is answered after the script. */
  function settled(first: Buffer, script: (end: PodEnd, stream: number) => Promise<void>): Promise<FramePod> {
    return framePod(async (end) => {
      end.send(response((await end.request(0)).stream));
      const { stream } = await end.request(1);
      await script(end, stream);
      end.send(response(stream));
    }, first);
  }

  it('is no octet without a window, and all of it with one', async () => {
    await using pod = await settled(settings(0), async (end, stream) => {
      await receives(end, stream, 0);
      end.send(windowUpdate(stream, 1));
      await receives(end, stream, 1);
      end.send(windowUpdate(stream, 499));
      await receives(end, stream, 500);
      end.send(windowUpdate(stream, 1_000));
      await receives(end, stream, 1_000);
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    await client.ask({});
    expect(await upload(client, 1_000)).toMatchObject({ status: 200, body: 'ok' });
  });

  it('follows INITIAL_WINDOW_SIZE up, down and below zero', async () => {
    await using pod = await settled(settings(100), async (end, stream) => {
      await receives(end, stream, 100);
      end.send(settings(300));
      await receives(end, stream, 300);
      end.send(settings(100), windowUpdate(stream, 200));
      await receives(end, stream, 300);
      end.send(windowUpdate(stream, 7));
      await receives(end, stream, 307);
      end.send(settings(5_000));
      await receives(end, stream, 1_000);
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    await client.ask({});
    expect(await upload(client, 1_000)).toMatchObject({ status: 200, body: 'ok' });
  });

  it('keeps to the window of the connection, over all streams', async () => {
    await using pod = await framePod(async (end) => {
      const [one, two] = await Promise.all([end.request(0), end.request(1)]);
      const received = (): number => end.received(one.stream) + end.received(two.stream);
      await end.until(() => received() >= DEFAULT_WINDOW);
      await barrier(end);
      expect(received()).toBe(DEFAULT_WINDOW);
      end.send(windowUpdate(0, 200_000));
      await end.until(() => received() === 120_000);
      end.send(response(one.stream), response(two.stream));
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const answers = await Promise.all([upload(client, 60_000), upload(client, 60_000)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  it('is a stream error where the pod gives a stream a window of nothing, or beyond all bounds', async () => {
    await using pod = await framePod((end) =>
      forEachRequest(end, (request) => {
        const { stream } = request;
        const path = valueOf(request, ':path');
        end.send(
          path === '/ok' ? response(stream) : windowUpdate(stream, path === '/zero' ? 0 : 0x7fff_ffff),
        );
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const end = pod.connection(0);
    for (const [path, code] of [
      ['/zero', CODE.protocolError],
      ['/more', CODE.flowControlError],
    ] as const) {
      expect((await client.ask({ ':path': path, ':method': 'POST' }, 'x')).status).toBe(502);
      const { frames } = await end;
      const told = frames.findLast(({ type }) => type === FRAME.reset || type === FRAME.goaway);
      expect([told?.type, told && codeOf(told)]).toEqual([FRAME.reset, code]);
    }
    expect(await client.ask({ ':path': '/ok' })).toMatchObject({ status: 200 });
    expect(pod.connections).toHaveLength(1);
  });
});

describe('what a pod sends (RFC 9113 6.9)', () => {
  const chunk = Buffer.alloc(16_000, 'z');

  it('beyond the window of a stream is an error', async () => {
    await using pod = await framePod(async (end) => {
      const { stream } = await end.request(0);
      end.send(responseHead(stream));
      // The client takes nothing, so nothing is given back.
      for (let i = 0; i < 20; i++) end.send(frame(FRAME.data, 0, stream, chunk));
      await forEachRequest(end, (request, index) => {
        if (index > 0) end.send(response(request.stream));
      });
    });
    await using proxy = await proxyFor(pod);
    using client = await frameClient(proxy.port, settings(0));
    client.send(headers(1, requestFields()));
    const end = await pod.connection(0);
    const told = await end.until(({ type }) => type === FRAME.reset || type === FRAME.goaway);
    expect(codeOf(told)).toBe(CODE.flowControlError);
    await client.until(({ type, stream }) => type === FRAME.reset && stream === 1);
    client.send(headers(3, requestFields('HEAD')));
    await client.until(({ type, stream }) => type === FRAME.headers && stream === 3);
  });

  it('is given back, padding and all, when it goes on', async () => {
    const PADDING = 255;
    const cost = chunk.length + PADDING + 1;
    const padded = Buffer.concat([Buffer.from([PADDING]), chunk, Buffer.alloc(PADDING)]);
    const TIMES = 600;
    await using pod = await framePod((end) =>
      forEachRequest(end, async ({ stream }) => {
        end.send(responseHead(stream));
        let sent = 0;
        for (let i = 1; i <= TIMES; i++) {
          await end.until(() => granted(end, stream) - sent >= cost && granted(end, 0) - sent >= cost);
          sent += cost;
          end.send(frame(FRAME.data, FLAG.padded | (i === TIMES ? FLAG.endStream : 0), stream, padded));
        }
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const answer = await client.ask({});
    expect([answer.status, answer.body.length, answer.code]).toEqual([200, TIMES * chunk.length, 0]);
  });

  it('on streams that were given up is given back to the connection', async () => {
    let spent = 0;
    const most = DEFAULT_WINDOW - (DEFAULT_WINDOW % chunk.length);
    await using pod = await framePod((end) =>
      forEachRequest(end, async (request) => {
        const { stream } = request;
        if (valueOf(request, ':path') === '/end') {
          await end.until(() => granted(end, 0) - spent >= 2);
          return end.send(response(stream));
        }
        end.send(responseHead(stream), data(stream, '.', false));
        spent++;
        await end.until(({ type, stream: of }) => type === FRAME.reset && of === stream);
        // It was on its way when the stream was given up.
        await end.until(() => granted(end, 0) - spent >= most);
        for (let sent = 0; sent < most; sent += chunk.length) end.send(frame(FRAME.data, 0, stream, chunk));
        spent += most;
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    // More than the window of the connection, whatever it is.
    for (let asked = 0, first = 0; asked === 0 || asked * most <= 1.2 * first; asked++) {
      const stream = client.session.request({ ':path': '/', ':authority': 'app.test' });
      stream.on('error', () => undefined);
      await new Promise((resolve) => stream.once('data', resolve));
      const closed = new Promise((resolve) => stream.once('close', resolve));
      stream.close(CODE.cancel);
      await closed;
      first ||= granted(pod.connections[0]!, 0);
    }
    expect(await client.ask({ ':path': '/end' })).toMatchObject({ status: 200, body: 'ok' });
    expect(pod.connections).toHaveLength(1);
  });

  it('without an octet ends a response without a window', async () => {
    await using pod = await framePod((end) =>
      forEachRequest(end, ({ stream }) =>
        end.send(responseHead(stream), data(stream, '', false), headers(stream, [['x-sum', '0']])),
      ),
    );
    await using proxy = await proxyFor(pod);
    using client = await frameClient(proxy.port, settings(0));
    client.send(headers(1, requestFields()));
    await client.until(
      ({ stream, flags, type }) => stream === 1 && type !== FRAME.reset && (flags & FLAG.endStream) !== 0,
    );
    expect(await proxy.exchange(0)).toMatchObject({ status: 200, responseBytes: 0 });
  });
});
