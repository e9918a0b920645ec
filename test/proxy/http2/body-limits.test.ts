import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const policies = { 'request-body': { maxBytes: 10, gatherBytes: null } };

it('413 for a stream with a longer body, told or not, and others of its connection go on', async () => {
  await using upstream = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port], policies }], { h2c: true });
  using client = http2Client(proxy.port);
  const post = { ':method': 'POST' };
  expect(await client.ask({ ...post, 'content-length': 11 }, 'x'.repeat(11))).toMatchObject({ status: 413 });
  expect(await client.ask(post, 'x'.repeat(11))).toMatchObject({ status: 413 });
  expect(await client.ask(post, 'x'.repeat(10))).toMatchObject({ status: 200 });
  expect(upstream.requests.map(({ body }) => body)).toEqual(['x'.repeat(10)]);
});

it('a head larger than the flags allow passes where its route allows it, and 502 where not', async () => {
  const cookie = 'c'.repeat(100_000);
  await using upstream = await recordingUpstream('', () => ok('body', `Set-Cookie: ${cookie}`));
  const large = { 'response-head': { maxBytes: 128 * 1024 } };
  const sites = [{ ports: [upstream.port] }, { host: 'large.test', ports: [upstream.port], policies: large }];
  await using proxy = await startProxy(nativeEngine, sites);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  expect((await client.message()).status).toBe(502);
  client.send(get('/').replace('app.test', 'large.test'));
  const { status, field } = await client.message();
  expect(status).toBe(200);
  expect(field('set-cookie')).toHaveLength(cookie.length);
});
