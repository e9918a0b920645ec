import { setInterval as every } from 'node:timers/promises';
import { describe, it } from 'vitest';
import type { ApiObject, Fault } from '../support/api-server.ts';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { scriptedCluster } from './cluster.ts';
import { type Pod, startPod } from './pod.ts';
import { ingressOf, serviceOf, siteObjects, slicesOf } from './site.ts';

const AWAY = { kind: 'status', status: 503, message: 'the server is starting' } as const satisfies Fault;

/** An Ingress that leads to the Service of another name. */
function ingressTo(service: string, host: string, name: string): ApiObject {
  const { metadata, ...rest } = ingressOf({ host, name: service, endpoints: [] });
  return { ...rest, metadata: { ...metadata, name } };
}

/**
 * Asks every host fifty times a second, each on a connection that stays open; stopping it tells every answer that was
 * none of these.
 */
async function askAll(
  daemon: Daemon,
  hosts: readonly string[],
  expected: RegExp,
): Promise<() => Promise<readonly string[]>> {
  const wrong: string[] = [];
  const stopping = new AbortController();
  const asked = await Promise.all(hosts.map(async (host) => ({ host, client: await daemon.connect() })));
  const asking = (async () => {
    for await (const _ of every(20, undefined, { signal: stopping.signal })) {
      for (const { host, client } of asked) client.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      for (const { host, client } of asked) {
        const { status, body } = await client.message();
        if (!expected.test(`${status} ${body}`)) wrong.push(`${host}: ${status} ${body}`);
      }
    }
  })().catch((error: Error) => void (error.name === 'AbortError' || wrong.push(String(error))));
  return async () => {
    stopping.abort();
    await asking;
    for (const { client } of asked) client[Symbol.dispose]();
    return wrong;
  };
}

// Most of the time of these is spent waiting: all at once.
describe.concurrent('an API server', () => {
  it('that is not there at start is named with what to do, and makes nobody ready before it has answered for every kind', async ({
    expect,
  }) => {
    await using pod = await startPod('pod');
    await using cluster = await scriptedCluster({
      objects: siteObjects({ host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] }),
    });
    const { api } = cluster;
    await api.refuse();
    await using daemon = startDaemon({ args: [...cluster.args] });

    const said = await daemon.line(/"level":"(?:warn|error)"/);
    expect(said).toContain(api.url);
    expect(said).toMatch(/refused|ECONNREFUSED/);
    const readyz = await daemon.status('/readyz');
    expect(readyz.status).toBe(503);
    expect(readyz.body).toMatch(/^\[-\]watch-Ingress .*127\./m);
    expect(readyz.body).toContain('[-]data-plane waiting for the threads\n');
    expect((await daemon.status('/healthz')).status).toBe(200);
    // Half a table would answer 404 for the other half: nothing is accepted yet.
    await expect(daemon.connect()).rejects.toThrow('ECONNREFUSED');

    const kinds = { Ingress: 'ingresses', Service: 'services', EndpointSlice: 'endpointslices' };
    const missing = Object.entries(kinds).map(([kind, resource]) => {
      return { kind, end: api.fail({ resource, times: Infinity }, AWAY) };
    });
    await api.accept();
    for (const { kind, end } of missing) {
      const away = new RegExp(`^\\[-\\]watch-${kind} .*${AWAY.message}`, 'm');
      await eventually(async () => away.test((await daemon.status('/readyz?verbose')).body), daemon.exited);
      expect((await daemon.status('/readyz')).status).toBe(503);
      await expect(daemon.connect()).rejects.toThrow('ECONNREFUSED');
      end();
    }
    await daemon.ready();
    expect((await daemon.request('shop.test')).status).toBe(200);
    expect((await daemon.request('any.test')).status).toBe(404);
    expect(await daemon.stop()).toBe(0);
  });

  it('may hold namespaces that are not watched; when it goes away the traffic goes on, and what changed meanwhile arrives when it is back', async ({
    expect,
  }) => {
    await using first = await startPod('first');
    await using second = await startPod('second');
    const sites = ['team-a', 'team-b', 'other'].map((namespace) => ({
      host: `${namespace}.test`,
      namespace,
      endpoints: [first.endpoint],
    }));
    await using cluster = await scriptedCluster({ objects: sites.flatMap((site) => siteObjects(site)) });
    const { api } = cluster;
    await using daemon = startDaemon({ args: [...cluster.args, '--watch-namespace', 'team-*'] });
    await daemon.ready();
    const statuses = await Promise.all(sites.map(async ({ host }) => (await daemon.request(host)).status));
    expect(statuses).toEqual([200, 200, 404]);
    // A change where nobody looks is no change.
    const generation = await daemon.metric('portico_table_generation');
    for (const object of siteObjects({ ...sites[2]!, host: 'moved.test' })) api.apply(object);
    for (const object of siteObjects({ ...sites[0]!, host: 'renamed.test' })) api.apply(object);
    await eventually(async () => (await daemon.request('renamed.test')).status === 200, daemon.exited);
    expect((await daemon.request('moved.test')).status).toBe(404);
    const isLater = async () => (await daemon.metric('portico_table_generation')) > generation;
    await eventually(isLater, daemon.exited);

    await api.refuse();
    await daemon.line(/"level":"warn".*refused/);
    expect((await daemon.request('renamed.test')).body).toBe('first');
    expect((await daemon.status('/readyz')).status).toBe(200);
    const stale = /^\[\+\]watch-Ingress 2 objects, as of \d+ s ago, last error: .*refused/m;
    await eventually(async () => stale.test((await daemon.status('/readyz?verbose')).body), daemon.exited);
    await daemon.metricBecomes('portico_watch_connected{kind="Ingress"}', 0);
    for (const object of slicesOf({ ...sites[0]!, endpoints: [second.endpoint] })) api.apply(object);
    const added = { ...sites[1]!, host: 'new.test', name: 'new' };
    for (const object of siteObjects(added)) api.apply(object);

    await api.accept();
    for (const [host, pod] of [
      ['renamed.test', second],
      ['new.test', first],
    ] as const) {
      await eventually(async () => (await daemon.request(host)).field('x-pod') === pod.name, daemon.exited);
    }
    expect(await daemon.stop()).toBe(0);
  });

  it('that forbids Ingresses is told apart, with the right that is missing', async ({ expect }) => {
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

  it('that comes back by halves takes no route away: lists that are cut or expire, kinds that stay away', async ({
    expect,
  }) => {
    await using blue = await startPod('blue');
    await using green = await startPod('green');
    const many = Array.from({ length: 600 }, (_, n) => ingressTo('blue', `host-${n}.test`, `host-${n}`));
    const behind = (name: string, pod: Pod): ApiObject[] => {
      const site = { host: '', name, endpoints: [pod.endpoint] };
      return [serviceOf(site), ...slicesOf(site)];
    };
    await using cluster = await scriptedCluster({
      streamingList: false,
      objects: [...behind('blue', blue), ingressTo('blue', 'shop.test', 'shop'), ...many],
    });
    const { api } = cluster;
    await using daemon = startDaemon({ args: [...cluster.args, '--access-log', 'off', '--workers', '1'] });
    await daemon.ready();
    // The first and the last of the list, and one that changes.
    const stop = await askAll(daemon, ['host-0.test', 'host-599.test', 'shop.test'], /^200 (blue|green)$/);

    // A page whose token has expired, then the list in one piece, of which half arrives.
    const lists = { resource: 'ingresses', verb: 'list' as const };
    api.fail(
      { ...lists, when: ({ query }) => query.has('continue') },
      { kind: 'status', status: 410, reason: 'Expired' },
    );
    api.fail({ ...lists, when: ({ query }) => !query.has('limit') }, { kind: 'cut' });
    const seen = api.requests.length;
    api.expireWatches('ingresses');
    const relisted = async () => (await daemon.metric('portico_watch_relists_total{kind="Ingress"}')) === 1;
    await eventually(relisted, daemon.exited);
    const asked = api.requests
      .slice(seen)
      .filter(({ verb, resource }) => verb === 'list' && resource === 'ingresses');
    expect(asked.map(({ query }) => query.has('continue') || query.get('limit'))).toEqual([
      '500',
      true,
      null,
      '500',
      true,
    ]);

    await api.refuse();
    // Meanwhile the shop moves to a Service that nobody has heard of.
    for (const object of [ingressTo('green', 'shop.test', 'shop'), ...behind('green', green)])
      api.apply(object);
    api.delete('Ingress', 'default/host-7');
    // These kinds come back a back-off later than the Ingresses.
    for (const resource of ['services', 'endpointslices']) api.fail({ resource }, AWAY);
    await api.accept();
    expect((await daemon.status('/readyz')).status).toBe(200);
    await eventually(async () => (await daemon.request('shop.test')).body === 'green', daemon.exited);
    expect((await daemon.request('host-7.test')).status).toBe(404);
    expect(await stop()).toEqual([]);
    expect(await daemon.stop()).toBe(0);
  });
});
