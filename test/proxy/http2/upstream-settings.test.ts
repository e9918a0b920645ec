import { describe, expect, it } from 'vitest';
import type { Limits } from '../../../src/proxy/limits.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import {
  type FramePod,
  type PodEnd,
  forEachRequest,
  framePod,
  response,
  valueOf,
} from '../../support/http2-frame-pod.ts';
import {
  CODE,
  FLAG,
  FRAME,
  SETTING,
  blocks,
  frame,
  reset,
  settings,
  settingsOf,
} from '../../support/http2-frames.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';

const proxyFor = (pod: FramePod, limits: Partial<Limits> = {}): Promise<RunningProxy> =>
  startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], { h2c: true, limits });

const serve = (end: PodEnd): Promise<void> => forEachRequest(end, ({ stream }) => end.send(response(stream)));

describe('SETTINGS of a pod (RFC 9113 3.4, 6.5)', () => {
  it('may come after our own were acknowledged', async () => {
    await using pod = await framePod(async (end) => {
      await end.until(({ type }) => type === FRAME.settings);
      end.send(settings());
      await end.until(({ type, flags }) => type === FRAME.settings && flags === FLAG.ack);
      end.send(frame(FRAME.settings, FLAG.ack, 0));
      await serve(end);
    }, null);
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect(await client.ask({ ':method': 'POST' }, 'body')).toMatchObject({ status: 200, body: 'ok' });
  });

  it('that never come, and nothing else either, are not waited for', async () => {
    await using pod = await framePod(() => undefined, null);
    await using proxy = await proxyFor(pod, { connectTimeoutMs: 150, upstreamIdleTimeoutMs: 150 });
    using client = http2Client(proxy.port);
    expect([502, 504]).toContain((await client.ask({})).status);
    expect(proxy.engine.gauges().inFlight).toBe(0);
  });

  it('are acknowledged, each', async () => {
    await using pod = await framePod(async (end) => {
      end.send(settingsOf([SETTING.headerTableSize, 0]), settingsOf([0x99, 1]));
      await serve(end);
    });
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    await client.ask({});
    const end = await pod.connection(0);
    const isAcknowledgement = ({ type, flags }: { type: number; flags: number }): boolean =>
      type === FRAME.settings && flags === FLAG.ack;
    await end.until(() => end.frames.filter(isAcknowledgement).length === 3);
    expect(end.frames.filter(({ type }) => type === FRAME.reset || type === FRAME.goaway)).toEqual([]);
  });

  it('HEADER_TABLE_SIZE of nothing is kept to', async () => {
    await using pod = await framePod(serve, settingsOf([SETTING.headerTableSize, 0]));
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    for (let i = 0; i < 4; i++)
      expect((await client.ask({ ':path': `/${i}`, 'x-again': 'y' })).status).toBe(200);
    const { frames } = await pod.connection(0);
    expect(blocks(frames).map((request) => valueOf(request, ':path'))).toEqual(['/0', '/1', '/2', '/3']);
    // RFC 7541 4.2: said in the first block after it was read, which need not be the first of all.
    const begins = frames.filter(({ type }) => type === FRAME.headers).map(({ payload }) => payload[0]);
    expect(begins.slice(0, 2)).toContain(0x20);
  });

  it('MAX_FRAME_SIZE is kept to, also by large heads', async () => {
    await using pod = await framePod((end) =>
      forEachRequest(end, async ({ stream }) => {
        await end.until(() => end.received(stream) === 60_000);
        end.send(response(stream));
      }),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    const long = { 'x-long': 'y'.repeat(20_000), 'x-longer': '~'.repeat(9_000) };
    const answer = await client.ask({ ':method': 'POST', ...long }, Buffer.alloc(60_000));
    expect(answer.status).toBe(200);
    const { frames } = await pod.connection(0);
    expect(Math.max(...frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(16_384);
    expect(valueOf(blocks(frames)[0]!, 'x-long')).toHaveLength(20_000);
    expect(valueOf(blocks(frames)[0]!, 'x-longer')).toHaveLength(9_000);
  });
});

describe('MAX_CONCURRENT_STREAMS of a pod (RFC 9113 5.1.2)', () => {
  it('of one: all requests are served, over as many connections as it takes', async () => {
    await using pod = await framePod(
      async (end) => {
        let open = 0;
        await forEachRequest(end, ({ stream }) => {
          if (open === 1) return end.send(reset(stream, CODE.refusedStream));
          open++;
          setImmediate(() => {
            open--;
            end.send(response(stream));
          });
        });
      },
      settingsOf([SETTING.maxConcurrentStreams, 1]),
    );
    await using proxy = await proxyFor(pod, { attempts: 10 });
    using client = http2Client(proxy.port);
    await client.ask({});
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => client.ask({ ':method': 'POST' }, 'body')),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  });

  it('of none: it is not waited for without end', async () => {
    await using pod = await framePod(
      (end) => forEachRequest(end, ({ stream }) => end.send(reset(stream, CODE.refusedStream))),
      settingsOf([SETTING.maxConcurrentStreams, 0]),
    );
    await using proxy = await proxyFor(pod, { connectTimeoutMs: 200, upstreamIdleTimeoutMs: 200 });
    using client = http2Client(proxy.port);
    for (let i = 0; i < 2; i++) expect([502, 503, 504]).toContain((await client.ask({})).status);
    expect(proxy.engine.gauges().inFlight).toBe(0);
  });

  it('of one, and then of more', async () => {
    await using pod = await framePod(
      (end) =>
        forEachRequest(end, ({ stream }, index) => {
          if (index === 0) end.send(settingsOf([SETTING.maxConcurrentStreams, 100]));
          setImmediate(() => end.send(response(stream)));
        }),
      settingsOf([SETTING.maxConcurrentStreams, 1]),
    );
    await using proxy = await proxyFor(pod);
    using client = http2Client(proxy.port);
    expect((await client.ask({})).status).toBe(200);
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.ask({})));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(pod.connections).toHaveLength(1);
  });
});
