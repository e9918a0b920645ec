import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { fullPort } from '../../support/full-port.ts';
import { http2Client } from '../../support/http2-client.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';

const NONE = { connectMs: null, sendMs: null, readMs: null };

it('504 when a Pod of HTTP/2 says nothing for the read timeout', async () => {
  await using pod = await http2Upstream(() => undefined);
  const policies = { timeouts: { ...NONE, readMs: 100 } };
  const sites = [{ ports: [pod.port], protocol: 'h2c' as const, policies }];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  expect(await client.ask({ ':method': 'GET' })).toMatchObject({ status: 504 });
});

it('a gRPC call that began is ended by the read timeout of its route', async () => {
  await using pod = await http2Upstream((stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
  });
  const policies = { timeouts: { ...NONE, readMs: 100 } };
  const sites = [{ ports: [pod.port], protocol: 'grpc' as const, policies }];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  const call = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
  const { status, code } = await client.ask(call, '');
  expect(status).toBe(200);
  expect(code).not.toBe(0);
});

it('no connection of HTTP/2 within the connect timeout: 504, however long that of the flags is', async () => {
  await using port = await fullPort();
  const policies = { timeouts: { ...NONE, connectMs: 100 } };
  const sites = [{ ports: [port.port], protocol: 'h2c' as const, policies }];
  await using proxy = await startProxy(nativeEngine, sites, {
    h2c: true,
    limits: { connectTimeoutMs: 600_000 },
  });
  using client = http2Client(proxy.port);
  expect(await client.ask({ ':method': 'GET' })).toMatchObject({ status: 504 });
});
