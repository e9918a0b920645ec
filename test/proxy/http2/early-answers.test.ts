import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import {
  CODE,
  FLAG,
  FRAME,
  blocks,
  codeOf,
  data,
  frameClient,
  headers,
  requestFields,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';

it('a stream whose response ends before its upload is reset without an error, and others go on', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    const { startLine } = await connection.head();
    connection.send(startLine.startsWith('POST') ? ok('enough') : ok('next'));
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = await frameClient(proxy.port);
  // The first is answered by the pod, the other by Portico: no rule has the host.
  const elsewhere = requestFields('POST', '/').map(([name, value]): [string, string] => [
    name,
    name === ':authority' ? 'other.test' : value,
  ]);
  for (const [stream, fields] of [
    [1, requestFields('POST', '/')],
    [3, elsewhere],
  ] as const) {
    client.send(headers(stream, fields, FLAG.endHeaders), data(stream, 'begun', false));
    const reset = await client.until(({ type, stream: of }) => type === FRAME.reset && of === stream);
    expect(codeOf(reset)).toBe(CODE.noError);
    const before = client.frames
      .slice(0, client.frames.indexOf(reset))
      .filter((frame) => frame.stream === stream);
    expect(before.at(-1)!.flags & FLAG.endStream).toBe(FLAG.endStream);
    client.send(data(stream, 'more, sent before the reset was seen', false));
  }
  client.send(headers(5, requestFields('GET', '/')));
  await client.until(({ flags, stream }) => stream === 5 && (flags & FLAG.endStream) !== 0);
  expect(client.frames.filter(({ type }) => type === FRAME.goaway)).toEqual([]);
});

it('Expect: 100-continue towards a pod that stays silent is answered here, and a missing Date is added', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.until('body');
    connection.send(ok('thanks'));
  });
  const limits = { continueTimeoutMs: 20 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
  using client = await frameClient(proxy.port);
  const fields = requestFields('POST', '/', ['expect', '100-continue'], ['content-length', '4']);
  client.send(headers(1, fields, FLAG.endHeaders));
  await client.until(({ type, stream }) => type === FRAME.headers && stream === 1);
  client.send(data(1, 'body', true));
  await client.until(({ flags, stream }) => stream === 1 && (flags & FLAG.endStream) !== 0);
  const [interim, final] = blocks(client.frames).map((block) => new Map(block.fields));
  expect(interim).toEqual(new Map([[':status', '100']]));
  expect(final?.get(':status')).toBe('200');
  expect(final?.get('date')).toMatch(/ GMT$/);
});
