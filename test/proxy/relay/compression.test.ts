import { randomBytes } from 'node:crypto';
import { brotliDecompressSync, constants, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { CodingConfig } from '../../../src/policies/compression.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { LentBuffer } from '../../../src/proxy/sockets/lent-buffer.ts';
import { http2Client } from '../../support/http2-client.ts';
import { type ProxySettings, type RunningProxy, startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { until } from '../../support/until.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const COMMON = { minLength: 16, types: ['text/plain', 'application/json'] } as const;
const CODINGS: readonly CodingConfig[] = [
  { coding: 'zstd', level: 3, ...COMMON },
  { coding: 'br', level: 4, ...COMMON },
  { coding: 'gzip', level: 5, ...COMMON },
];
const policies = { compression: { codings: CODINGS } };

const TEXT = 'the same words again and again, '.repeat(20_000);

function proxyTo(port: number, settings: ProxySettings = {}): Promise<RunningProxy> {
  return startProxy(nativeEngine, [{ ports: [port], policies }], settings);
}

const DECODE: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

function decoded(coding: string | undefined, body: string): string {
  return DECODE[coding ?? '']?.(Buffer.from(body, 'latin1')).toString('latin1') ?? body;
}

describe('compression', () => {
  it.each([
    ['gzip', 'gzip'],
    ['gzip, br;q=0.9', 'gzip'],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['br;q=0.5, *;q=0.1', 'br'],
    ['zstd;q=0, *', 'br'],
    ['deflate', undefined],
    ['gzip;q=0', undefined],
    ['', undefined],
  ])('of "%s" uses %s, over HTTP/1.1 and HTTP/2', async (accepted, coding) => {
    const fields = [
      'Content-Type: text/plain; charset=utf-8',
      'ETag: "v1"',
      'Accept-Ranges: bytes',
      'Vary: Origin',
    ];
    await using upstream = await recordingUpstream('text', () => ok(TEXT, ...fields));
    await using proxy = await proxyTo(upstream.port, { h2c: true });
    using client = await rawClient(proxy.port);
    client.send(get('/', `Accept-Encoding: ${accepted}`));
    const one = await client.message();
    using second = http2Client(proxy.port);
    const two = await second.ask({ 'accept-encoding': accepted });
    for (const [field, body] of [
      [(name: string) => one.field(name), one.body],
      [(name: string) => two.headers[name], two.body],
    ] as const) {
      expect(field('content-encoding')).toBe(coding);
      expect(decoded(coding, body)).toBe(TEXT);
      expect(field('etag')).toBe(coding === undefined ? '"v1"' : 'W/"v1"');
      expect(field('accept-ranges')).toBe(coding === undefined ? 'bytes' : undefined);
      expect(field('content-length')).toBe(coding === undefined ? String(TEXT.length) : undefined);
    }
    expect(one.values('vary')).toEqual(['Origin', 'Accept-Encoding']);
    expect(two.headers['vary']).toBe('Origin, Accept-Encoding');
    expect((await proxy.exchange(0)).responseBytes).toBe(one.body.length);
    client.send(get('/', 'Accept-Encoding: gzip'));
    expect(decoded('gzip', (await client.message()).body)).toBe(TEXT);
    expect(proxy.faults).toEqual([]);
  });

  it.each<[string, string[]]>([
    ['of another type', ['Content-Type: image/png']],
    ['encoded already', ['Content-Type: text/plain', 'Content-Encoding: br']],
    ['not to be transformed', ['Content-Type: text/plain', 'Cache-Control: public, no-transform']],
    ['of a range', ['Content-Type: text/plain', 'Content-Range: bytes 0-99/100']],
    ['an event stream', ['Content-Type: text/event-stream']],
    ['of gRPC', ['Content-Type: application/grpc']],
  ])('leaves a response that is %s', async (_, fields) => {
    await using upstream = await recordingUpstream('text', () => ok('x'.repeat(100), ...fields));
    await using proxy = await proxyTo(upstream.port);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Accept-Encoding: gzip, br'));
    const response = await client.message();
    expect([response.body, response.field('content-length'), response.values('vary')]).toEqual([
      'x'.repeat(100),
      '100',
      [],
    ]);
  });

  it('leaves what is short, and the head that a HEAD asks for, which says what the response depends on', async () => {
    await using upstream = await recordingUpstream('text', ({ startLine }) => {
      const body = startLine.includes('/short') ? 'short' : TEXT;
      const response = ok(body, 'Content-Type: text/plain');
      return startLine.startsWith('HEAD') ? response.slice(0, response.indexOf('\r\n\r\n') + 4) : response;
    });
    await using proxy = await proxyTo(upstream.port);
    using client = await rawClient(proxy.port);
    client.send(get('/short', 'Accept-Encoding: gzip'));
    expect((await client.message()).body).toBe('short');
    client.send(request('HEAD', '/', '', 'Accept-Encoding: gzip'));
    const head = await client.message({ toHead: true });
    expect([head.field('content-encoding'), head.field('vary')]).toEqual([undefined, 'Accept-Encoding']);
    client.send(
      get('/').replace('HTTP/1.1', 'HTTP/1.0').replace('\r\n\r\n', '\r\nAccept-Encoding: gzip\r\n\r\n'),
    );
    const old = await client.message();
    expect([old.field('content-encoding'), old.body]).toEqual([undefined, TEXT]);
  });

  it('passes pieces of a stream on when they come', async () => {
    const next = Promise.withResolvers<void>();
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.message();
      connection.send(
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n',
      );
      await next.promise;
      connection.send('6\r\nsecond\r\n0\r\n\r\n');
    });
    await using proxy = await proxyTo(upstream.port);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Accept-Encoding: gzip'));
    // What ends a flush of deflate; nothing else of the response has come.
    await client.until('\u0000\u0000\u00ff\u00ff\r\n');
    const content = client.text.slice(client.text.indexOf('\r\n\r\n') + 4);
    const sizes = /^a\r\n([^]{10})\r\n[0-9a-f]+\r\n([^]+)\r\n$/.exec(content) ?? [];
    const sofar = Buffer.from(`${sizes[1]}${sizes[2]}`, 'latin1');
    expect(gunzipSync(sofar, { finishFlush: constants.Z_SYNC_FLUSH }).toString()).toBe('first');
    next.resolve();
    const whole = await client.message();
    expect(decoded('gzip', whole.body)).toBe('firstsecond');
  });

  it('reads no more than it can pass on, and goes on when the client reads again', async () => {
    // Compresses to three quarters, so that much is left to send.
    const big = randomBytes(2_600_000).toString('base64');
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.message();
      const pieces = big.match(/[^]{1,16384}/g) ?? [];
      connection.send(
        `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(pieces)}`,
      );
    });
    await using proxy = await proxyTo(upstream.port);
    using client = await rawClient(proxy.port);
    client.socket.pause();
    client.send(get('/', 'Accept-Encoding: gzip'));
    let most = 0;
    let lent = 0;
    await until(() => {
      lent = Math.max(lent, LentBuffer.inUse);
      most = Math.max(most, proxy.engine.gauges().heldBytes);
      return most > 512 * 1024;
    });
    // What one read brings waits for the encoder.
    expect(lent).toBe(0);
    client.socket.resume();
    const { body } = await client.message();
    expect(decoded('gzip', body)).toBe(big);
    expect(most).toBeLessThan(2 * 1024 * 1024);
    await proxy.exchange(0);
    expect(proxy.engine.gauges().inFlight).toBe(0);
  });

  it('holds nothing for a client that leaves, and shows an upstream that breaks off', async () => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.message();
      connection.send(
        `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(500)}`,
      );
      await connection.until((text) => text.includes('/leave') || text.includes('/break'));
      if (connection.text.includes('/break')) connection.reset();
    });
    await using proxy = await proxyTo(upstream.port);
    for (const path of ['/leave', '/break']) {
      using client = await rawClient(proxy.port);
      client.send(get(path, 'Accept-Encoding: gzip'));
      await client.until('Content-Encoding: gzip');
      if (path !== '/break') continue;
      await client.ended;
      expect(client.text).not.toContain('\r\n0\r\n');
    }
    expect(await proxy.exchange(0)).toMatchObject({ target: '/leave' });
    expect(await proxy.exchange(1)).toMatchObject({ target: '/break' });
    expect([proxy.engine.gauges().inFlight, proxy.faults]).toEqual([0, []]);
  });
});
