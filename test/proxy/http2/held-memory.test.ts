import { describe, expect, it } from 'vitest';
import type { Limits } from '../../../src/proxy/limits.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { eventually } from '../../support/daemon.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type FrameClient,
  block,
  codeOf,
  frame,
  frameClient,
  headers,
  requestFields,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { type RunningProxy, type Site, startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { scriptedUpstream } from '../../support/upstream.ts';

const STREAMS = 100;
/** Of heads, or of responses; each request under way counts 4 KiB besides. */
const PER_CONNECTION = 1024 * 1024 + STREAMS * 4_096;
const BODY = Buffer.alloc(200_000, 'x');
const numbers = Array.from({ length: STREAMS }, (_, index) => 2 * index + 1);

const start = (sites: readonly Site[], limits: Partial<Limits> = {}) =>
  startProxy(nativeEngine, sites, { h2c: true, limits });
const held = (proxy: RunningProxy): number => proxy.engine.gauges().heldBytes;
const isHead = ({ type }: { type: number }): boolean => type === FRAME.headers;
const endsStream = ({ type, flags }: { type: number; flags: number }): boolean =>
  (type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0;

/** A Pod that answers each request with so much. */
const largeUpstream = (body = BODY) =>
  scriptedUpstream(async (connection) => {
    for (;;) {
      await connection.message();
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      connection.send(body);
    }
  });

/** A client that asks on all streams at once and takes nothing of what is answered. */
async function askForAll(proxy: RunningProxy, path = '/'): Promise<FrameClient> {
  const client = await frameClient(proxy.port, settings(0));
  client.send(...numbers.map((stream) => headers(stream, requestFields('GET', path))));
  return client;
}

describe('what a client that opens no window makes us hold', () => {
  it('is bounded over its streams, and all of it comes once it does', async () => {
    await using pod = await largeUpstream();
    await using proxy = await start([{ ports: [pod.port] }]);
    using client = await askForAll(proxy);
    let most = 0;
    await pod.connection(STREAMS - 1);
    await eventually(async () => {
      most = Math.max(most, held(proxy));
      return client.frames.filter(isHead).length >= 8;
    });
    expect(most).toBeLessThan(PER_CONNECTION);
    client.send(settings(BODY.length), windowUpdate(0, STREAMS * BODY.length));
    await eventually(async () => {
      most = Math.max(most, held(proxy));
      return client.frames.filter(endsStream).length === STREAMS;
    });
    expect(most).toBeLessThan(PER_CONNECTION);
    await eventually(async () => held(proxy) === 0);
  });

  it('keeps no connection to a Pod from the requests of others, once it has brought its response', async () => {
    // One of these is the last that fits: its end, and that there is no more room, come with the same bytes.
    await using pod = await largeUpstream(BODY.subarray(0, 30_000));
    await using proxy = await start([{ ports: [pod.port] }]);
    using full = await askForAll(proxy);
    await eventually(async () => full.frames.filter(isHead).length >= 18);
    const others = await Promise.all(Array.from({ length: 20 }, () => rawClient(proxy.port)));
    for (const other of others) other.send(get('/'));
    for (const other of others) expect((await other.message()).body).toHaveLength(30_000);
    for (const other of others) other[Symbol.dispose]();
  });

  it('of Pods that speak HTTP/2 is at most a window for each stream', async () => {
    await using pod = await http2Upstream((stream) => {
      stream.respond({ ':status': 200 });
      stream.end(BODY);
    });
    await using proxy = await start([{ ports: [pod.port], protocol: 'h2c' }]);
    using client = await askForAll(proxy);
    await eventually(async () => client.frames.filter(isHead).length >= 8);
    client.send(settings(BODY.length), windowUpdate(0, STREAMS * BODY.length));
    let most = 0;
    await eventually(async () => {
      most = Math.max(most, held(proxy));
      return client.frames.filter(endsStream).length === STREAMS;
    });
    expect(most).toBeLessThan(PER_CONNECTION + 2 * STREAMS * 65_536);
    await eventually(async () => held(proxy) === 0);
  });

  it('is bounded over all connections: those that hold the most are closed', async () => {
    await using pod = await largeUpstream();
    const heldBytes = 2 * 1024 * 1024;
    await using proxy = await start([{ ports: [pod.port] }], { heldBytes });
    const clients = await Promise.all(Array.from({ length: 8 }, () => askForAll(proxy)));
    await Promise.race(clients.map(({ closed }) => closed));
    await eventually(async () => held(proxy) <= heldBytes && proxy.engine.gauges().shed > 0);
    using other = await rawClient(proxy.port);
    other.send(get('/'));
    expect((await other.message()).body).toHaveLength(BODY.length);
    for (const client of clients) client[Symbol.dispose]();
  });
});

describe('heads that are a thousand times larger than what was sent of them', () => {
  /** RFC 7541 6.2.1: the first request puts a field into the table, the others name it by its index. */
  const bombs: Readonly<Record<string, { readonly name: string; value: string; readonly times: number }>> = {
    'a large field': { name: 'x-bomb', value: 'y'.repeat(4_000), times: 7 },
    'crumbs of a cookie': { name: 'cookie', value: `a=${'y'.repeat(200)}`, times: 120 },
  };
  for (const [what, { name, value, times }] of Object.entries(bombs)) {
    it(`${what}: refused where their sum is too large`, async () => {
      await using pod = await scriptedUpstream(async (connection) => void (await connection.ended));
      await using proxy = await start([{ ports: [pod.port] }]);
      using client = await frameClient(proxy.port, settings(0));
      const literal = Buffer.from(block([[name, value]]));
      literal[0] = 0x40;
      const references = Buffer.alloc(times, 0x80 | 62);
      const request = (stream: number): Buffer => {
        const fields = [block(requestFields()), ...(stream === 1 ? [literal] : []), references];
        return frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, stream, Buffer.concat(fields));
      };
      client.send(...numbers.map(request));
      const refused = await client.until(({ type }) => type === FRAME.reset);
      expect(codeOf(refused)).toBe(CODE.refusedStream);
      await eventually(async () => client.frames.some(({ stream }) => stream === numbers.at(-1)));
      expect(held(proxy)).toBeGreaterThan(PER_CONNECTION / 2);
      expect(held(proxy)).toBeLessThan(PER_CONNECTION + 2 * 40_000);
    });
  }
});

it('clients of HTTP/1.1 that do not read are bounded in sum too', async () => {
  const piece = Buffer.alloc(256 * 1024, 'x');
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    connection.send('HTTP/1.1 200 OK\r\n\r\n');
    const more = (): void => {
      if (connection.socket.writable) connection.socket.write(piece, () => setImmediate(more));
    };
    more();
    await connection.ended;
  });
  const heldBytes = 256 * 1024;
  await using proxy = await start([{ ports: [pod.port] }], { heldBytes });
  const clients = await Promise.all(Array.from({ length: 10 }, () => rawClient(proxy.port)));
  for (const client of clients) {
    client.send(get('/'));
    client.socket.pause();
  }
  await eventually(async () => proxy.engine.gauges().shed > 0);
  await eventually(async () => held(proxy) <= heldBytes);
  expect((await proxy.exchange(0)).detail).toBe('overloaded');
  for (const client of clients) client[Symbol.dispose]();
});
