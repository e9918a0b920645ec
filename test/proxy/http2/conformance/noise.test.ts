import { expect, it } from 'vitest';
import { nativeEngine } from '../../../../src/proxy/native-engine.ts';
import { http2Client } from '../../../support/http2-client.ts';
import { framePod, response, valueOf } from '../../../support/http2-frame-pod.ts';
import { blocks, frameClient, settings } from '../../../support/http2-frames.ts';
import { noise } from '../../../support/http2-noise.ts';
import { startProxy } from '../../../support/proxy.ts';
import { seededRandom } from '../../../support/random.ts';
import { siteForAll } from './site.ts';

/** Whatever comes, nobody else notices, and every connection and request has an end. */
const site = siteForAll();
const TIMES = 400;

it('from clients', async () => {
  const { proxy, pod, neighbourIsServed } = site();
  for (let seed = 0; seed < TIMES; seed++) {
    using client = await frameClient(proxy.port, seed % 20 === 0 ? Buffer.alloc(0) : settings());
    client.send(...noise(seededRandom(seed)));
    client.socket.end();
    await client.closed;
    // What was said meanwhile was said well.
    blocks(client.frames);
    if (seed % 40 === 0) await neighbourIsServed();
  }
  const lines = new Set(pod.requests.map(({ startLine }) => startLine));
  expect([...lines].filter((line) => !/^[!-~]+ \/[!-~]* HTTP\/1\.1$/.test(line))).toEqual([]);
});

it('from pods', async () => {
  let seed = 10_000;
  await using pod = await framePod(async (end) => {
    const { stream } = await end.request(0);
    const random = seededRandom(seed++);
    // Half of it where an answer is expected.
    const [first = Buffer.alloc(0), ...rest] = noise(random);
    end.send(random() < 0.5 ? response(stream) : first, ...rest);
    end.socket.end();
  });
  await using good = await framePod(async (end) => {
    for (let index = 0; ; index++) {
      const request = await end.request(index);
      expect(valueOf(request, ':path')).toBe('/');
      end.send(response(request.stream));
    }
  });
  const sites = [
    { ports: [pod.port], protocol: 'h2c' as const },
    { host: 'good.test', ports: [good.port], protocol: 'h2c' as const },
  ];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  for (let i = 0; i < TIMES; i++) {
    await client.ask(
      { ':method': i % 2 === 0 ? 'GET' : 'POST', ':path': `/${i}` },
      i % 2 === 0 ? undefined : 'body',
    );
    if (i % 40 === 0)
      expect(await client.ask({ ':authority': 'good.test' })).toMatchObject({ status: 200, body: 'ok' });
  }
  expect(pod.connections.length).toBeGreaterThanOrEqual(TIMES / 2);
  expect(good.connections).toHaveLength(1);
  expect(proxy.engine.gauges().inFlight).toBe(0);
});
