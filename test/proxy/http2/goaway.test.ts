import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type Frame,
  codeOf,
  frame,
  frameClient,
  headers,
  requestFields,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';

const EVERY_STREAM = 2 ** 31 - 1;
const lastStreamOf = ({ payload }: Frame): number => payload.readUInt32BE(0);

it('a client is asked for another connection in good time: what is on its way by then is served', async () => {
  await using pod = await recordingUpstream();
  const limits = { requestsPerConnection: 5, streamsPerConnection: 100 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port);
  const streams = [1, 3, 5, 7, 9, 11, 13, 15];
  client.send(...streams.map((stream) => headers(stream, requestFields())));
  const asked = await client.until(({ type }) => type === FRAME.ping);
  // What was sent before the client heard of it comes when everything else is long answered.
  for (const stream of streams)
    await client.until((seen) => seen.stream === stream && (seen.flags & FLAG.endStream) !== 0);
  streams.push(17);
  client.send(headers(17, requestFields()), frame(FRAME.ping, FLAG.ack, 0, asked.payload));
  await client.closed;
  const goaways = client.frames.filter(({ type }) => type === FRAME.goaway);
  expect(goaways.map(lastStreamOf)).toEqual([EVERY_STREAM, streams.at(-1)]);
  expect(goaways.map(codeOf)).toEqual([CODE.noError, CODE.noError]);
  const ended = client.frames.filter(
    ({ type, flags }) => (type === FRAME.headers || type === FRAME.data) && (flags & FLAG.endStream) !== 0,
  );
  expect(ended.map(({ stream }) => stream).toSorted((a, b) => a - b)).toEqual(streams);
  expect(proxy.exchanges.map(({ status }) => status)).toEqual(Array(streams.length).fill(200));
});

it('a client that will not hear of it is not served for ever', async () => {
  await using pod = await recordingUpstream();
  const limits = { requestsPerConnection: 3, streamsPerConnection: 4 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port);
  // One that is never over keeps the connection.
  client.send(headers(1, requestFields('POST'), FLAG.endHeaders));
  const isLast = (frame: Frame): boolean =>
    frame.type === FRAME.goaway && lastStreamOf(frame) !== EVERY_STREAM;
  for (let stream = 3; stream < 40 && !client.frames.some(isLast); stream += 2) {
    client.send(headers(stream, requestFields()));
    await client.until((seen) => isLast(seen) || seen.stream === stream);
  }
  // Three, and as many more as may have been on their way.
  expect(lastStreamOf(await client.until(isLast))).toBe(2 * 7 - 1);
});
