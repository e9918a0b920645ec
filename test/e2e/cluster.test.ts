import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { once } from 'node:events';
import { ENGINES } from '../../src/proxy/threads/messages.ts';
import { type Daemon, HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { type Cluster, clusters } from './cluster.ts';
import { type Load, startLoad } from './load.ts';
import { type Pod, startPod } from './pod.ts';
import { type Site, ingressOf, serviceOf, siteObjects, slicesOf } from './site.ts';
import { happens } from '../support/until.ts';

const kinds = clusters.flatMap((cluster) => ENGINES.map((engine) => ({ ...cluster, engine })));

describe.each(kinds)('$name, served by $engine', ({ open, engine }) => {
  let cluster: Cluster;
  let daemon: Daemon;
  let first: Pod;
  let second: Pod;

  const answersBy = (host: string, pod: Pod): Promise<void> =>
    eventually(async () => (await daemon.request(host)).field('x-pod') === pod.name, daemon.exited);
  /** One thread may have a new table before the other; so many connections do not all come to the same one. */
  const answersEverywhereBy = (host: string, pod: Pod): Promise<void> =>
    eventually(async () => {
      for (let asked = 0; asked < 20; asked++)
        if ((await daemon.request(host)).field('x-pod') !== pod.name) return false;
      return true;
    }, daemon.exited);
  const answersWith = (host: string, status: number): Promise<void> =>
    eventually(async () => (await daemon.request(host)).status === status, daemon.exited);

  beforeAll(async () => {
    cluster = await open();
    const { podAddress } = cluster;
    [first, second] = await Promise.all([startPod('first', podAddress), startPod('second', podAddress)]);
    await cluster.apply(...siteObjects({ host: 'shop.test', name: 'shop', endpoints: [first.endpoint] }));
    daemon = startDaemon({
      args: [...cluster.args, '--engine', engine, '--access-log', 'off', '--workers', '2'],
    });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    await Promise.all([first.stop(), second.stop()]);
  });

  it('is served from the first request on', async () => {
    const served = await daemon.request('shop.test', '/cart');
    expect([served.status, served.body]).toEqual([200, 'first']);
    const { body } = await daemon.status('/readyz?verbose');
    expect(body).toContain('[+]watch-Ingress 1 object\n');
    expect(body).toMatch(/readyz check passed\n$/);
  });

  it('an Ingress that is added is served, one that is deleted is not', async () => {
    await cluster.apply(...siteObjects({ host: 'blog.test', name: 'blog', endpoints: [second.endpoint] }));
    await answersBy('blog.test', second);
    await cluster.delete('Ingress', 'blog');
    await answersWith('blog.test', 404);
    expect((await daemon.request('shop.test')).body).toBe('first');
  });

  it('an endpoint that takes over is served by, and one that is not ready is not', async () => {
    const site: Site = { host: 'shop.test', name: 'shop', endpoints: [second.endpoint] };
    await cluster.apply(...slicesOf(site));
    await answersBy('shop.test', second);

    const [slice] = slicesOf(site);
    // From the addresses for documentation: it was never ready, and is no last resort.
    const unready = [{ addresses: ['192.0.2.1'], conditions: { ready: false, serving: false } }];
    await cluster.apply({ ...slice!, endpoints: unready });
    await answersWith('shop.test', 503);
    await cluster.apply(...slicesOf(site));
    await answersEverywhereBy('shop.test', second);
    expect((await daemon.request('shop.test')).body).toBe('second');
  });

  it('a hundred changes under load: no request fails, and a WebSocket stays open through all of them', async () => {
    const busy = (pod: Pod): Site => ({ host: 'busy.test', name: 'busy', endpoints: [pod.endpoint] });
    for (const pod of [first, second]) {
      new WebSocketServer({ server: pod.server }).on('connection', (socket) => {
        socket.on('message', (text) => socket.send(`${pod.name} heard ${String(text)}`));
      });
    }
    await cluster.apply(ingressOf(busy(first)), serviceOf(busy(first)), ...slicesOf(busy(first)));
    await answersEverywhereBy('busy.test', first);
    const socket = new WebSocket(`ws://${daemon.address}:${HTTP_PORT}/`, { headers: { host: 'busy.test' } });
    await happens(socket, 'open');
    const says = async (text: string): Promise<string> => {
      socket.send(text);
      const [heard] = (await happens(socket, 'message')) as [Buffer];
      return heard.toString();
    };
    const closed = once(socket, 'close');

    // The reference engine is asked the same with fewer changes, since it is slower.
    const changes = engine === 'relay' ? cluster.patience : cluster.patience / 4;
    const generation = await daemon.metric('portico_table_generation');
    const load: Load = startLoad(daemon, 'busy.test', { keptAlive: 6, fresh: 2 });
    for (let change = 1; change <= changes; change++) {
      const now = change % 2 === 0 ? first : second;
      // Every fourth change is one of routes, the others are of endpoints.
      if (change % 4 === 0) {
        const extra: Site = { host: `extra-${change}.test`, name: 'extra', endpoints: [] };
        await cluster.apply(ingressOf(extra), ...slicesOf(busy(now)));
        await answersWith(extra.host, 503);
      } else {
        await cluster.apply(...slicesOf(busy(now)));
      }
      await answersBy('busy.test', now);
      if (change % 10 === 0) expect(await says(`change ${change}`)).toBe(`first heard change ${change}`);
    }
    const { failures, answered, connections } = await load.stop();

    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(changes);
    expect(connections).toBeGreaterThan(8);
    const isCounted = async () => (await daemon.metric('portico_table_generation')) >= generation + changes;
    await eventually(isCounted, daemon.exited);
    // Its endpoint has come and gone all the while.
    expect(await says('the end')).toBe('first heard the end');
    await daemon.metricBecomes('portico_tunnels', 1);
    socket.close();
    await closed;
    expect(await daemon.metric('portico_data_plane_thread_deaths_total')).toBe(0);
  });

  it('tells how the watches are doing', async () => {
    const { body } = await daemon.status('/metrics');
    for (const kind of ['Ingress', 'IngressClass', 'Service', 'EndpointSlice', 'Secret']) {
      expect(body).toContain(`portico_watch_synced{kind="${kind}"} 1\n`);
      expect(body).toContain(`portico_watch_errors_total{kind="${kind}"} 0\n`);
    }
    expect(body).toMatch(/^portico_watch_last_event_age_seconds\{kind="Ingress"\} \d/m);
    expect(body).toMatch(/^portico_watch_objects\{kind="Ingress"\} 3$/m);
  });
});
