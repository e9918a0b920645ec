import { describe, expect, it } from 'vitest';
import { BodyRate } from '../../../src/proxy/body-rate.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  FLAG,
  FRAME,
  data,
  frame,
  frameClient,
  headers,
  requestFields,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

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

  it.each([
    ['chunks', '', '1\r\na\r\n'],
    ['chunks with extensions, which are not the body', '', `1;${'e'.repeat(100)}\r\na\r\n`],
    ['a trailer section', '1\r\na\r\n0\r\nX-Trailer: ', 'a'],
  ])('over HTTP/1.1, in %s', async (_, before, drop) => {
    await using pod = await recordingUpstream();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { limits });
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', '', 'Transfer-Encoding: chunked') + before);
    const drip = setInterval(() => client.send(drop), 10);
    expect((await client.message()).status).toBe(408);
    clearInterval(drip);
    expect((await proxy.exchange(0)).detail).toBe('request-timed-out');
  });

  const padded = Buffer.concat([Buffer.from([200]), Buffer.from('a'), Buffer.alloc(200)]);
  it.each([
    ['DATA', data(1, 'a', false)],
    ['DATA with nothing in it', data(1, '', false)],
    ['DATA that is padding for the most part', frame(FRAME.data, FLAG.padded, 1, padded)],
  ])('over HTTP/2, in %s', async (_, drop) => {
    await using pod = await recordingUpstream();
    await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('POST'), FLAG.endHeaders));
    const drip = setInterval(() => client.send(drop), 10);
    expect((await proxy.exchange(0)).status).toBe(408);
    clearInterval(drip);
  });
});

it('a response that is taken an octet at a time is given up', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    connection.send(ok('x'.repeat(200_000)));
  });
  const limits = { bodyIdleTimeoutMs: 100 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port, settings(0));
  client.send(headers(1, requestFields('GET')));
  const sips = setInterval(() => client.send(windowUpdate(1, 1)), 10);
  expect((await proxy.exchange(0)).detail).not.toBe('');
  clearInterval(sips);
});
