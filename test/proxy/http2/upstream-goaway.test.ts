import { describe, expect, it } from 'vitest';
import type { Limits } from '../../../src/proxy/limits.ts';
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
import { type Block, CODE, FRAME, codeOf, data, goaway, headers, reset } from '../../support/http2-frames.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';

/** Pods whose connections end: what was not begun goes elsewhere, and the rest is finished (RFC 9113 6.8, 8.7). */
const proxyFor = (pod: FramePod, limits: Partial<Limits> = {}): Promise<RunningProxy> =>
  startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], { h2c: true, limits });

const get = (client: Http2Client, path = '/'): Promise<Http2Response> => client.ask({ ':path': path });
const post = (client: Http2Client, path = '/'): Promise<Http2Response> =>
  client.ask({ ':path': path, ':method': 'POST' }, 'body');

const MOST = 0x7fff_ffff;

/** Answers what comes with the number of its connection. */
const serve = (end: PodEnd, index: number): Promise<void> =>
  forEachRequest(end, ({ stream }) => end.send(response(stream, `served by ${index}`)));

/** The request to a path, once it is there. */
async function requestTo(end: PodEnd, path: string): Promise<Block> {
  for (let index = 0; ; index++) {
    const request = await end.request(index);
    if (valueOf(request, ':path') === path) return request;
  }
}

describe('GOAWAY', () => {
  it('in two steps: the first ends nothing, and the next requests go elsewhere', async () => {
    await using pod = await framePod(async (end, index) => {
      if (index > 0) return serve(end, index);
      const { stream } = await end.request(0);
      end.send(goaway(MOST, CODE.noError));
      await pod.connection(1);
      end.send(goaway(stream, CODE.noError), response(stream, 'served by 0'));
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const first = post(client);
    const end = await pod.connection(0);
    await end.request(0);
    // The GOAWAY has come when another connection is made.
    for (let i = 0; pod.connections.length === 1; i++) {
      const next = await post(client, `/${i}`);
      expect(next).toMatchObject({ status: 200, body: 'served by 1' });
    }
    expect(await first).toMatchObject({ status: 200, body: 'served by 0' });
    await end.closed;
  });

  it('that takes back what it said: a second one names an earlier stream', async () => {
    await using pod = await framePod(async (end, index) => {
      if (index > 0) return serve(end, index);
      const [low, high] = await Promise.all([end.request(0), end.request(1)]);
      end.send(
        goaway(high.stream, CODE.noError),
        goaway(low.stream, CODE.noError),
        response(low.stream, 'served by 0'),
      );
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const answers = await Promise.all([post(client, '/a'), post(client, '/b')]);
    expect(answers.map(({ body }) => body)).toEqual(['served by 0', 'served by 1']);
  });

  it('from every connection at once: tried a few times, and no more', async () => {
    await using pod = await framePod(async (end) => {
      await end.request(0);
      end.send(goaway(0, CODE.noError));
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect([502, 503]).toContain((await post(client)).status);
    expect(pod.connections.length).toBeLessThanOrEqual(3);
    await Promise.all(pod.connections.map(({ closed }) => closed));
  });

  it('on a connection without streams: the next request has another', async () => {
    await using pod = await framePod(serve);
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect((await get(client)).body).toBe('served by 0');
    const end = await pod.connection(0);
    end.send(goaway(1, CODE.noError));
    await end.closed;
    expect((await post(client)).body).toBe('served by 1');
  });

  it('and then the end of the connection: what it had promised to finish is 502', async () => {
    await using pod = await framePod(async (end, index) => {
      if (index > 0) return serve(end, index);
      const { stream } = await end.request(0);
      end.send(goaway(stream, CODE.noError));
      end.socket.end();
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect((await post(client)).status).toBe(502);
  });
});

describe('REFUSED_STREAM', () => {
  it('is tried again, whatever the method, with its body', async () => {
    await using pod = await framePod((end) =>
      forEachRequest(end, async ({ stream }, index) => {
        await end.until(() => end.received(stream) === 4);
        end.send(index === 0 ? reset(stream, CODE.refusedStream) : response(stream));
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect(await post(client)).toMatchObject({ status: 200, body: 'ok' });
    expect(pod.connections).toHaveLength(1);
  });

  it('for ever is tried a few times, and no more', async () => {
    let asked = 0;
    await using pod = await framePod((end) =>
      forEachRequest(end, ({ stream }) => {
        asked++;
        end.send(reset(stream, CODE.refusedStream));
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect([502, 503]).toContain((await post(client)).status);
    expect(asked).toBeLessThanOrEqual(3);
  });
});

describe('a connection that breaks', () => {
  const COUNT = 10;
  const many = <T>(ask: (index: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: COUNT }, (_, index) => ask(index)));
  const dropping = (before: (end: PodEnd, streams: readonly number[]) => void): Promise<FramePod> =>
    framePod(async (end, index) => {
      if (index > 0) return serve(end, index);
      const requests = await many((request) => end.request(request));
      before(
        end,
        requests.map(({ stream }) => stream),
      );
      end.socket.resetAndDestroy();
    });

  it('before an answer: requests that are safe to repeat are, on another', async () => {
    await using pod = await dropping(() => undefined);
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const answers = await many((index) => get(client, `/${index}`));
    expect(answers.map(({ status }) => status)).toEqual(Array(COUNT).fill(200));
    expect(proxy.engine.gauges().inFlight).toBe(0);
  });

  it('before an answer: requests that are not are 502, each', async () => {
    await using pod = await dropping(() => undefined);
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const answers = await many((index) => post(client, `/${index}`));
    expect(answers.map(({ status }) => status)).toEqual(Array(COUNT).fill(502));
    expect(await post(client)).toMatchObject({ status: 200 });
    expect(proxy.engine.gauges().inFlight).toBe(0);
  });

  it('within the answers: they are cut, each', async () => {
    await using pod = await framePod(async (end, index) => {
      if (index > 0) return serve(end, index);
      const requests = await many((request) => end.request(request));
      end.send(
        ...requests.map(({ stream }) => Buffer.concat([responseHead(stream), data(stream, 'begun', false)])),
      );
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const heads: Promise<unknown>[] = [];
    const answers = many((index) => {
      const stream = client.session.request({ ':path': `/${index}`, ':authority': 'app.test' });
      heads.push(new Promise((resolve) => stream.once('data', resolve)));
      stream.on('error', () => undefined);
      return new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    });
    await Promise.all(heads);
    pod.connections[0]!.socket.resetAndDestroy();
    expect((await answers).filter((code) => code === CODE.noError)).toEqual([]);
    expect(await post(client)).toMatchObject({ status: 200 });
  });
});

describe('an answer before the request is over (RFC 9113 8.1)', () => {
  const body = Buffer.alloc(4 * 1024 * 1024, 'y');
  for (const [what, after] of Object.entries({
    'and the pod takes no more': (stream: number) => reset(stream, CODE.noError),
    'and the pod says nothing more': () => Buffer.alloc(0),
  })) {
    it(`is the answer, ${what}`, async () => {
      await using pod = await framePod((end) =>
        forEachRequest(end, async ({ stream }, index) => {
          if (index > 0) return end.send(response(stream));
          await end.until(() => end.received(stream) > 0);
          end.send(headers(stream, [[':status', '413']], 4), data(stream, 'too much', true), after(stream));
        }),
      );
      await using proxy = await proxyFor(pod);
      using client = http2Client(proxy.port);
      const answer = await client.ask({ ':method': 'POST' }, body);
      expect(answer).toMatchObject({ status: 413, body: 'too much', code: 0 });
      expect(await get(client)).toMatchObject({ status: 200 });
      expect(pod.connections).toHaveLength(1);
    });
  }
});

it('a client that gives up gives up at the pod, which keeps its connection', async () => {
  await using pod = await framePod(async (end) => {
    const held = await requestTo(end, '/held');
    end.send(responseHead(held.stream), data(held.stream, 'begun', false));
    await forEachRequest(end, ({ stream }, index) => {
      if (index > 0) end.send(response(stream));
    });
  });
  await using proxy = await proxyFor(pod);
  using client = http2Client(proxy.port);
  const stream = client.session.request({ ':path': '/held', ':authority': 'app.test' });
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.once('data', resolve));
  stream.close(CODE.cancel);
  const end = await pod.connection(0);
  expect(codeOf(await end.until(({ type }) => type === FRAME.reset))).toBe(CODE.cancel);
  // What was on its way meanwhile is thrown away.
  end.send(data(1, 'more', false), data(1, 'end', true));
  expect(await get(client)).toMatchObject({ status: 200, body: 'ok' });
  expect(pod.connections).toHaveLength(1);
});
