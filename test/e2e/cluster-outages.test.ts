import { describe, expect, it } from 'vitest';
import { eventually, startDaemon } from '../support/daemon.ts';
import { scriptedCluster } from './cluster.ts';
import { startPod } from './pod.ts';
import { siteObjects, slicesOf } from './site.ts';

// Most of the time of these is spent waiting: all at once.
describe.concurrent('an API server', () => {
  it('that is not there at start is named with what to do, and found when it comes', async () => {
    await using cluster = await scriptedCluster();
    const { api } = cluster;
    await api.refuse();
    await using daemon = startDaemon({ args: [...cluster.args] });

    const said = await daemon.line(/"level":[45]0/);
    expect(said).toContain(api.url);
    expect(said).toMatch(/refused|ECONNREFUSED/);
    const readyz = await daemon.status('/readyz');
    expect(readyz.status).toBe(503);
    expect(readyz.body).toMatch(/^\[-\]watch-Ingress .*127\.0\.0\.1/m);
    expect(readyz.body).toContain('[-]data-plane waiting for the threads\n');
    expect((await daemon.status('/healthz')).status).toBe(200);
    // Half a table would answer 404 for the other half: nothing is accepted yet.
    await expect(daemon.connect()).rejects.toThrow('ECONNREFUSED');

    await api.accept();
    await daemon.ready();
    expect((await daemon.request('any.test')).status).toBe(404);
    expect(await daemon.stop()).toBe(0);
  });

  it('that goes away does not stop the traffic, and what changed meanwhile arrives when it is back', async () => {
    await using first = await startPod('first');
    await using second = await startPod('second');
    const site = { host: 'shop.test', name: 'shop', endpoints: [first.endpoint] };
    await using cluster = await scriptedCluster({ objects: siteObjects(site) });
    const { api } = cluster;
    await using daemon = startDaemon({ args: [...cluster.args] });
    await daemon.ready();

    await api.refuse();
    await daemon.line(/"level":40.*refused/);
    expect((await daemon.request('shop.test')).body).toBe('first');
    expect((await daemon.status('/readyz')).status).toBe(200);
    const stale = /^\[\+\]watch-Ingress 1 objects, as of \d+ s ago, last error: .*refused/m;
    await eventually(async () => stale.test((await daemon.status('/readyz?verbose')).body), daemon.exited);
    expect(await daemon.metric('portico_watch_connected{kind="Ingress"}')).toBe(0);
    for (const object of slicesOf({ ...site, endpoints: [second.endpoint] })) api.apply(object);
    const added = { host: 'new.test', name: 'new', endpoints: [first.endpoint] };
    for (const object of siteObjects(added)) api.apply(object);

    await api.accept();
    for (const [host, pod] of [
      ['shop.test', second],
      ['new.test', first],
    ] as const) {
      await eventually(async () => (await daemon.request(host)).field('x-pod') === pod.name, daemon.exited);
    }
    expect(await daemon.stop()).toBe(0);
  });

  it('that forbids Ingresses is told apart, with the right that is missing', async () => {
    await using cluster = await scriptedCluster();
    cluster.api.forbid('ingresses');
    await using daemon = startDaemon({ args: [...cluster.args] });

    const said = await daemon.line(/Portico may not read ingresses/);
    expect(said).toContain('the verbs \\"list\\" and \\"watch\\" on resource \\"ingresses\\"');
    expect(said).toContain('(see deploy/rbac.yaml)');
    const { status, body } = await daemon.status('/readyz?verbose');
    expect(status).toBe(503);
    expect(body).toMatch(/^\[-\]watch-Ingress Portico may not read ingresses/m);
    expect(body).toMatch(/^\[\+\]watch-Service 0 objects$/m);
    expect(await daemon.stop()).toBe(0);
    // At once, and once more as what is waited for.
    expect(daemon.output().match(/Portico may not read ingresses/g)?.length).toBeLessThanOrEqual(2);
  });

  it('may hold namespaces that are not watched: --watch-namespace takes globs', async () => {
    await using pod = await startPod('pod');
    const sites = ['team-a', 'team-b', 'other'].map((namespace) => ({
      host: `${namespace}.test`,
      namespace,
      endpoints: [pod.endpoint],
    }));
    await using cluster = await scriptedCluster({ objects: sites.flatMap((site) => siteObjects(site)) });
    await using daemon = startDaemon({
      args: [...cluster.args, '--watch-namespace', 'team-*'],
    });
    await daemon.ready();
    const statuses = await Promise.all(sites.map(async ({ host }) => (await daemon.request(host)).status));
    expect(statuses).toEqual([200, 200, 404]);
    // A change where nobody looks is no change.
    const generation = await daemon.metric('portico_table_generation');
    for (const object of siteObjects({ ...sites[2]!, host: 'moved.test' })) cluster.api.apply(object);
    for (const object of siteObjects({ ...sites[0]!, host: 'renamed.test' })) cluster.api.apply(object);
    await eventually(async () => (await daemon.request('renamed.test')).status === 200, daemon.exited);
    expect((await daemon.request('moved.test')).status).toBe(404);
    expect(await daemon.metric('portico_table_generation')).toBeGreaterThan(generation);
  });
});
