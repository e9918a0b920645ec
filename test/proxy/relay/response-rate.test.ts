import { expect, it } from 'vitest';
import { waitMs } from '../../../src/policies/response-rate.ts';
import { httpProxyEngine } from '../../../src/proxy/http-proxy/reference-engine.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const SIZE = 400_000;

it('a response takes at least the time of its rate, over both versions of HTTP', async () => {
  await using upstream = await recordingUpstream('', () => ok('x'.repeat(SIZE)));
  const policies = { 'response-rate': { bytesPerSecond: 1_000_000, afterBytes: 100_000 } };
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port], policies }], { h2c: true });
  using http1 = await rawClient(proxy.port);
  using http2 = http2Client(proxy.port);
  http1.send(get('/'));
  expect((await http1.message()).body).toHaveLength(SIZE);
  expect((await http2.ask({ ':method': 'GET' })).body).toHaveLength(SIZE);
  for (const index of [0, 1]) {
    // What is read at once does not wait for what comes after it.
    expect((await proxy.exchange(index)).durationMs).toBeGreaterThan(200);
  }
});

it('the reference engine, which cannot, says so', async () => {
  await using upstream = await recordingUpstream();
  const policies = { 'response-rate': { bytesPerSecond: 1_000, afterBytes: 0 } };
  await using proxy = await startProxy(httpProxyEngine, [{ ports: [upstream.port], policies }]);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  expect((await client.message()).status).toBe(501);
  expect(upstream.requests).toHaveLength(0);
});

it('a client that leaves while its response is held back is gone, and so is its request', async () => {
  await using upstream = await recordingUpstream('', () => ok('x'.repeat(SIZE)));
  const policies = { 'response-rate': { bytesPerSecond: 1_000, afterBytes: 0 } };
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port], policies }]);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  await client.until('xxx');
  client.socket.destroy();
  expect(await proxy.exchange(0)).toMatchObject({ detail: 'client-gone' });
  await (
    await upstream.connection(0)
  ).ended;
});

it('waits for what was sent beyond the rate, and not for what comes first', () => {
  const rate = { bytesPerSecond: 1_000, afterBytes: 500 };
  expect(waitMs(rate, 500, 0)).toBe(0);
  expect(waitMs(rate, 1_500, 0)).toBe(1_000);
  expect(waitMs(rate, 1_500, 1_500)).toBeLessThan(0);
});
