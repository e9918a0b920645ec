import { describe, it } from 'vitest';
import { FLAG, FRAME, frame, frameClient, headers, requestFields } from '../../../support/http2-frames.ts';
import { siteForAll } from './site.ts';

describe('time limits', () => {
  const requestHead = headers(1, requestFields(), FLAG.endStream);
  const site = siteForAll({
    clientHeadTimeoutMs: 150,
    keepAliveIdleTimeoutMs: 600_000,
    bodyIdleTimeoutMs: 600_000,
  });

  it('a head that is never complete', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(requestHead);
    await client.closed;
    await site().neighbourIsServed();
  });

  it('half a frame', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(requestHead.subarray(0, requestHead.length - 1));
    await client.closed;
    await site().neighbourIsServed();
  });

  it('a head that comes octet by octet', async () => {
    using client = await frameClient(site().proxy.port);
    const rest = frame(FRAME.continuation, FLAG.endHeaders, 1, Buffer.alloc(16_000));
    client.send(requestHead, rest.subarray(0, 9));
    // Never silent for as long as the limit, and never at its end.
    const trickle = setInterval(() => client.send(Buffer.from([0])), 30);
    await client.closed;
    clearInterval(trickle);
    await site().neighbourIsServed();
  });
});

describe('floods', () => {
  const site = siteForAll();

  it('DATA with padding only costs the attacker the connection', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(headers(1, requestFields('POST', '/held'), FLAG.endHeaders));
    const piece = frame(FRAME.data, FLAG.padded, 1, Buffer.from([0]));
    for (let i = 0; i < 500 && !client.frames.some(({ type }) => type === FRAME.goaway); i++) {
      client.send(...Array.from({ length: 100 }, () => piece));
      await site().neighbourIsServed();
    }
    await client.closed;
  });
});
