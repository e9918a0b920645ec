import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { FRAME, PREFACE, frameClient, frameEnd } from '../../../support/http2-frames.ts';
import { siteForAll } from './site.ts';

describe('time limits', () => {
  const limits = { clientHeadTimeoutMs: 150, keepAliveIdleTimeoutMs: 600_000, bodyIdleTimeoutMs: 600_000 };
  const site = siteForAll(limits);

  it('half a preface', async () => {
    const socket = connect({ port: site().proxy.port, host: '127.0.0.1' });
    using client = frameEnd(socket);
    client.send(PREFACE.subarray(0, 20));
    await client.closed;
    expect(client.frames.filter(({ type }) => type === FRAME.headers)).toEqual([]);
  });

  it('a preface without SETTINGS', async () => {
    using client = await frameClient(site().proxy.port, Buffer.alloc(0));
    await client.closed;
    expect(client.frames.filter(({ type }) => type === FRAME.headers)).toEqual([]);
  });
});
