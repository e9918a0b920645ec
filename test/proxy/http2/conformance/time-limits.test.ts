import { connect } from 'node:net';
import { describe, it } from 'vitest';
import {
  FLAG,
  FRAME,
  PREFACE,
  frame,
  frameClient,
  frameEnd,
  headers,
  requestFields,
} from '../../../support/http2-frames.ts';
import { siteForAll } from './site.ts';

const continuation = (bytes: Uint8Array): Buffer => frame(FRAME.continuation, 0, 1, bytes);

describe('time limits', () => {
  const requestHead = headers(1, requestFields(), FLAG.endStream);
  const limits = { clientHeadTimeoutMs: 150, keepAliveIdleTimeoutMs: 600_000, bodyIdleTimeoutMs: 600_000 };
  const site = siteForAll(limits);

  it('half a preface', async () => {
    const socket = connect({ port: site().proxy.port, host: '127.0.0.1' });
    using client = frameEnd(socket);
    client.send(PREFACE.subarray(0, 20));
    await client.closed;
  });

  it('a preface without SETTINGS', async () => {
    using client = await frameClient(site().proxy.port, Buffer.alloc(0));
    await client.closed;
  });

  it('a head that comes octet by octet', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(requestHead);
    // Never silent for as long as the limit, and never at its end.
    const trickle = setInterval(() => client.send(continuation(Buffer.from([0]))), 30);
    await client.closed;
    clearInterval(trickle);
    await site().neighbourIsServed();
  });
});
