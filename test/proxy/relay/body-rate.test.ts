import { describe, expect, it } from 'vitest';
import { BodyRate } from '../../../src/proxy/body-rate.ts';
import { relayEngine } from '../../../src/proxy/native-engine.ts';
import { FLAG, data, frameClient, headers, requestFields } from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { rawClient, request } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

describe('the rate of a body', () => {
  const MINUTE = 60_000;

  it('is the average over a window', () => {
    const rate = new BodyRate(100, MINUTE);
    expect(rate.came(1, 0)).toBe(true);
    expect(rate.came(1, MINUTE - 1)).toBe(true);
    expect(rate.came(5_997, MINUTE)).toBe(false);
    const enough = new BodyRate(100, MINUTE);
    enough.came(1, 0);
    expect(enough.came(5_999, MINUTE)).toBe(true);
    // And then of the next window.
    expect(enough.came(1, 2 * MINUTE)).toBe(false);
  });

  it('leaves out the time in which nobody reads', () => {
    const rate = new BodyRate(100, MINUTE);
    rate.came(1, 0);
    rate.pause();
    expect(rate.came(1, 10 * MINUTE)).toBe(true);
    expect(rate.came(1, 11 * MINUTE)).toBe(false);
  });

  it('may be any', () => {
    const rate = new BodyRate(0, MINUTE);
    for (let minute = 0; minute < 100; minute++) expect(rate.came(0, minute * MINUTE)).toBe(true);
  });
});

describe('a body that drips is given up', () => {
  const limits = { bodyIdleTimeoutMs: 100, bodyMinRate: 100_000 };

  it('over HTTP/1.1', async () => {
    await using pod = await recordingUpstream();
    await using proxy = await startProxy(relayEngine, [{ ports: [pod.port] }], { limits });
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', '', 'Transfer-Encoding: chunked'));
    const drip = setInterval(() => client.send('1\r\na\r\n'), 10);
    expect((await client.message()).status).toBe(408);
    clearInterval(drip);
    expect((await proxy.exchange(0)).detail).toBe('request-timed-out');
  });

  it('over HTTP/2', async () => {
    await using pod = await recordingUpstream();
    await using proxy = await startProxy(relayEngine, [{ ports: [pod.port] }], { h2c: true, limits });
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('POST'), FLAG.endHeaders));
    const drip = setInterval(() => client.send(data(1, 'a', false)), 10);
    expect((await proxy.exchange(0)).status).toBe(408);
    clearInterval(drip);
  });
});
