import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';

it('a status of a Pod of HTTP/2 is left for the response of another one, with the body', async () => {
  const bodies: string[] = [];
  const pod = (status: number) =>
    http2Upstream((stream) => {
      let body = '';
      stream.on('data', (bytes: Buffer) => (body += bytes.toString('latin1')));
      stream.on('end', () => {
        bodies.push(body);
        stream.respond({ ':status': status });
        stream.end(String(status));
      });
    });
  await using busy = await pod(503);
  await using good = await pod(200);
  const on = { conditions: [], statuses: [503], nonIdempotent: true };
  const policies = { retries: { on, attempts: null, timeoutMs: null } };
  const sites = [{ ports: [busy.port, good.port], protocol: 'h2c' as const, policies }];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  for (let i = 0; i < 2; i++) {
    const post = { ':method': 'POST', 'content-length': 4 };
    expect(await client.ask(post, 'body')).toMatchObject({ status: 200, body: '200' });
  }
  expect(new Set(bodies)).toEqual(new Set(['body']));
  expect(bodies.length).toBeGreaterThan(2);
});
