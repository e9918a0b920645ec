import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  CODE,
  FLAG,
  FRAME,
  codeOf,
  data,
  frameClient,
  headers,
  ping,
  requestFields,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';

it('many more uploads than are allowed, begun before that was known, are refused and the others served', async () => {
  await using pod = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], {
    h2c: true,
    limits: { streamsPerConnection: 10 },
  });
  using client = await frameClient(proxy.port);
  const streams = Array.from({ length: 700 }, (_, index) => 2 * index + 1);
  client.send(...streams.map((stream) => headers(stream, requestFields('POST', '/'), FLAG.endHeaders)));
  client.send(...streams.map((stream) => data(stream, 'body', true)), ping());
  await client.until(({ type }) => type === FRAME.ping);
  for (const stream of streams.slice(0, 10))
    await client.until(
      ({ type, flags, stream: of }) => type === FRAME.data && of === stream && flags === FLAG.endStream,
    );
  const refused = client.frames.filter((frame) => frame.type === FRAME.reset);
  expect(new Set(refused.map((frame) => codeOf(frame)))).toEqual(new Set([CODE.refusedStream]));
  expect(refused).toHaveLength(690);
  expect(client.frames.filter(({ type }) => type === FRAME.goaway)).toEqual([]);
});
