import { type IncomingMessage, get as httpGet } from 'node:http';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  BackendRow,
  Overview,
  Page,
  RequestRow,
  RouteRow,
  ThreadRow,
  Traffic,
} from '../../src/admin/api/answers.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { happens, until } from '../support/until.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, manifest, siteObjects } from './site.ts';

describe('the admin API of a running Portico', () => {
  let daemon: Daemon;
  let folder: Folder;
  let pod: Pod;
  let socketPath: string;
  let port: number;
  // Of 127.0.0.1 a client of another test may have the port.
  const adminHost = loopbackAddress();
  beforeAll(async () => {
    [pod, port] = await Promise.all([startPod('pod'), heldPort()]);
    folder = createFolder();
    socketPath = join(folder.path, 'admin.sock');
    const shop = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    const thief = { host: 'thief.test', name: 'thief', endpoints: [`${adminHost}:${port}`] };
    const named = { host: 'named.test', name: 'named', endpoints: [] };
    const external = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'named', namespace: 'default' },
      spec: { type: 'ExternalName', externalName: adminHost, ports: [{ name: 'http', port }] },
    };
    const [namedIngress] = siteObjects(named);
    const objects = [...siteObjects(shop), ...siteObjects(thief), namedIngress!, external];
    await folder.put('all.yaml', manifest(INGRESS_CLASS, ...objects));
    daemon = startDaemon({
      args: [
        ...['--manifests', folder.path, '--workers', '2', '--recent-requests', '3'],
        ...['--admin-socket', socketPath, '--admin-address', `${adminHost}:${port}`],
      ],
    });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
  });

  async function ask<T>(path: string): Promise<T> {
    const asked = httpGet({ socketPath, path: `/api/v1/${path}`, agent: false });
    const [response] = (await happens(asked, 'response')) as [IncomingMessage];
    return JSON.parse(await textOf(response)) as T;
  }

  it('prints its address, and shows what is served', async () => {
    expect(await daemon.line(/admin page/)).toContain(`http://${adminHost}:${port}/`);
    expect(await ask<Overview>('overview')).toMatchObject({ ready: true, hosts: 3, routes: 3 });
    const { items } = await ask<Page<RouteRow>>('routes?filter=shop');
    expect(items.map(({ host }) => host)).toEqual(['shop.test']);
    const threads = await ask<{ items: ThreadRow[] }>('threads');
    expect(threads.items.map(({ answered, listening }) => [answered, listening])).toEqual([
      [true, true],
      [true, true],
    ]);
  });

  it('tells rates of routes and backends while somebody looks, and how endpoints fare', async () => {
    await ask('traffic');
    await until(async () => {
      await daemon.request('shop.test');
      await daemon.request('nobody.test');
      const { routes, backends, total } = await ask<Traffic>('traffic');
      const shop = routes.find(({ id }) => id === 'Ingress/default/shop/spec.rules[0].http.paths[0]');
      const lost = routes.find(({ id }) => id === '');
      return (
        (shop?.requestsPerSecond ?? 0) > 0 &&
        (lost?.clientErrorsPerSecond ?? 0) > 0 &&
        backends[0]?.key === 'default/shop:http' &&
        (total?.p99Ms ?? 0) > 0
      );
    }, 'rates');
    const { items } = await ask<Page<BackendRow>>('backends?filter=shop');
    expect(items[0]?.endpoints[0]).toMatchObject({
      address: pod.endpoint,
      health: { threads: 2, inFlight: 0 },
    });
    expect(items[0]?.endpoints[0]?.health?.latencyMs).toBeGreaterThan(0);
  });

  it('keeps the newest requests of each thread, without what looks like a credential', async () => {
    for (let asked = 0; asked < 12; asked++) await daemon.request('shop.test', `/r${asked}?token=xyzzy&a=b`);
    const { items } = await ask<{ items: RequestRow[] }>('requests?filter=shop.test');
    expect(items.length).toBeGreaterThanOrEqual(3);
    expect(items.length).toBeLessThanOrEqual(6);
    // Two of them may have begun in the same millisecond, on two threads.
    expect(items.find(({ target }) => target.startsWith('/r11'))).toMatchObject({
      ...{ method: 'GET', host: 'shop.test', target: '/r11?token=REDACTED&a=b', status: 200, attempts: 1 },
      ...{ route: 'Ingress/default/shop/spec.rules[0].http.paths[0]', endpoint: pod.endpoint },
    });
    expect(JSON.stringify(items)).not.toContain('xyzzy');
  });

  it('is not reached through the data plane', async () => {
    // Named by an EndpointSlice it is no endpoint; named by an ExternalName it does not answer to a proxy.
    expect((await daemon.request('thief.test', '/api/v1/overview')).status).toBe(503);
    const named = await daemon.request('named.test', '/api/v1/overview');
    expect(named.status).toBeGreaterThanOrEqual(400);
    expect(named.body).not.toContain('apiVersion');
    const { items } = await ask<Page<{ code: string }>>('problems?code=AddressRefused');
    expect(items).toHaveLength(1);
  });
});
