import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { forEachRequest, framePod, responseHead } from '../../support/http2-frame-pod.ts';
import {
  FLAG,
  FRAME,
  type FieldList,
  data,
  frameClient,
  headers,
  settingsOf,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { scriptedUpstream } from '../../support/upstream.ts';

/** The ends of tunnels that come at odd times (RFC 8441 5), frame by frame. */

const ENABLE_CONNECT = settingsOf([8, 1]);
const CONNECT: FieldList = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'http'],
  [':authority', 'app.test'],
  [':path', '/chat'],
  ['sec-websocket-version', '13'],
];
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n';

it('a client that ends its side before it is a tunnel is heard once it is one', async () => {
  let heard = '';
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send(SWITCH);
    heard = await connection.ended;
    connection.send('last words');
    connection.end();
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = await frameClient(proxy.port);
  client.send(headers(1, CONNECT, FLAG.endHeaders), data(1, '', true));
  await client.until(({ stream, flags, type }) => stream === 1 && type === FRAME.data && (flags & 1) === 1);
  expect(heard).toBe('end');
  await proxy.exchange(0);
  expect(proxy.engine.gauges()).toMatchObject({ inFlight: 0, tunnels: 0, upstreamConnections: 0 });
});

it('a pod that begins a tunnel twice ends it, and is counted once', async () => {
  await using pod = await framePod(
    (end) => forEachRequest(end, ({ stream }) => end.send(responseHead(stream), responseHead(stream))),
    ENABLE_CONNECT,
  );
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], { h2c: true });
  using client = await frameClient(proxy.port);
  client.send(headers(1, CONNECT, FLAG.endHeaders));
  await client.until(({ stream, type }) => stream === 1 && type === FRAME.reset);
  expect(client.frames.filter(({ type }) => type === FRAME.headers)).toHaveLength(1);
  expect(proxy.engine.gauges()).toMatchObject({ inFlight: 0, tunnels: 0 });
});

it('a tunnel that an interim response was there before may be silent for as long as others', async () => {
  await using pod = await framePod(
    (end) =>
      forEachRequest(end, ({ stream }) =>
        end.send(
          headers(stream, [[':status', '103']], FLAG.endHeaders),
          responseHead(stream),
          data(stream, 'hi', false),
        ),
      ),
    ENABLE_CONNECT,
  );
  const limits = { upstreamIdleTimeoutMs: 50, tunnelIdleTimeoutMs: 400 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
    h2c: true,
    limits,
  });
  using client = await frameClient(proxy.port);
  client.send(headers(1, CONNECT, FLAG.endHeaders));
  await client.until(({ stream, type }) => stream === 1 && type === FRAME.reset);
  // The tunnel itself was idle, not the pod.
  expect((await proxy.exchange(0)).detail).toBe('');
  expect(pod.connections[0]!.frames.filter(({ type }) => type === FRAME.goaway)).toEqual([]);
});
