import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { type Site, startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

const HEALTHY = { path: '/healthz', isDraining: false };

contract('health checks', (behaves) => {
  behaves('are answered for hosts that no rule has, and no other path is', async (create) => {
    await using pod = await recordingUpstream('app');
    const sites: Site[] = [{ ports: [pod.port] }];
    await using proxy = await startProxy(create, sites, { healthCheck: HEALTHY });
    using client = await rawClient(proxy.port);
    const statuses: number[] = [];
    for (const [host, path] of [
      ['203.0.113.9:80', '/healthz'],
      ['other.test', '/healthz?probe=1'],
      ['other.test', '/healthz/deep'],
      ['other.test', '/'],
      ['app.test', '/healthz'],
    ] as const) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      statuses.push((await client.message()).status);
    }
    expect(statuses).toEqual([200, 200, 404, 404, 200]);
    // Only that of the host with a rule went to its Pod.
    expect(pod.requests.map(({ startLine }) => startLine)).toEqual(['GET /healthz HTTP/1.1']);
    expect(await proxy.exchange(0)).toMatchObject({ status: 200, detail: 'healthy', attempts: 0 });
  });

  behaves('are not for the rules without a host', async (create) => {
    await using pod = await recordingUpstream('app');
    const sites: Site[] = [{ host: '', ports: [pod.port] }];
    await using proxy = await startProxy(create, sites, { healthCheck: HEALTHY });
    using client = await rawClient(proxy.port);
    client.send(get('/healthz'));
    expect((await client.message()).body).toContain('healthy');
    client.send(get('/'));
    expect((await client.message()).body).toBe('app');
  });

  behaves('say when Portico is draining', async (create) => {
    await using proxy = await startProxy(create, [], { healthCheck: { ...HEALTHY, isDraining: true } });
    using client = await rawClient(proxy.port);
    client.send(get('/healthz'));
    expect((await client.message()).status).toBe(503);
  });
});
