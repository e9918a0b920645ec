import { type ClientRequest, get } from 'node:http';
import { expect, test } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { heldPort } from '../support/loopback.ts';
import { scriptedCluster } from './cluster.ts';
import { startLoad } from './load.ts';
import { startPod } from './pod.ts';
import { siteObjects } from './site.ts';

const apiVersion = 'gateway.networking.k8s.io/v1';
/** On the address of the daemon, which no other test has. */
const GATEWAY_PORT = await heldPort();
const GATEWAY: readonly ApiObject[] = [
  {
    apiVersion,
    kind: 'GatewayClass',
    metadata: { name: 'portico' },
    spec: { controllerName: 'portico.dev/gateway-controller' },
  },
  {
    apiVersion,
    kind: 'Gateway',
    metadata: { namespace: 'default', name: 'web' },
    spec: {
      gatewayClassName: 'portico',
      listeners: [{ name: 'http', port: GATEWAY_PORT, protocol: 'HTTP' }],
    },
  },
  {
    apiVersion,
    kind: 'HTTPRoute',
    metadata: { namespace: 'default', name: 'web' },
    spec: {
      parentRefs: [{ name: 'web' }],
      rules: [
        { backendRefs: [{ name: 'shop', port: 80 }] },
        {
          matches: [{ path: { value: '/theirs' } }],
          backendRefs: [{ name: 'shop', namespace: 'theirs', port: 80 }],
        },
      ],
    },
  },
];
const GRANT: ApiObject = {
  apiVersion,
  kind: 'ReferenceGrant',
  metadata: { namespace: 'theirs', name: 'grant' },
  spec: {
    from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'default' }],
    to: [{ group: '', kind: 'Service' }],
  },
};

/** The status of a response at the port of the Gateway; 0 when it is closed. */
function askGateway({ address }: Daemon, path = '/'): Promise<number> {
  return new Promise((resolve) => {
    const options = { host: address, port: GATEWAY_PORT, path, agent: false };
    const request: ClientRequest = get(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', () => resolve(0));
  });
}

/** What discovery has to find first takes seconds. */
const ASK_EVERY_MS = 100;

test('Gateway API is installed and deleted, a grant comes and goes, and requests to Ingresses notice nothing', async () => {
  await using cluster = await scriptedCluster();
  await using pod = await startPod('pod');
  const site = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
  const [, ...theirs] = siteObjects({ ...site, namespace: 'theirs' });
  await cluster.apply(...siteObjects(site), ...theirs);
  await using daemon = startDaemon({ args: [...cluster.args, '--access-log', 'off'] });
  await daemon.ready();
  const watched = async (): Promise<string[]> => {
    const { body } = await daemon.status('/readyz?verbose');
    return [...body.matchAll(/^\[\+\]watch-(\w+) \d+ objects?/gm)].map(([, kind = '']) => kind);
  };
  const others = await watched();
  expect(others).toHaveLength(5);
  const load = startLoad(daemon, 'shop.test', { keptAlive: 2, fresh: 1, pauseMs: 40 });

  const install = async (): Promise<void> => {
    cluster.api.install();
    await cluster.apply(...GATEWAY);
    await eventually(async () => (await askGateway(daemon)) === 200, daemon.exited, ASK_EVERY_MS);
  };
  expect(await askGateway(daemon)).toBe(0);
  await install();
  expect(await watched()).toContain('HTTPRoute');
  cluster.api.uninstall();
  await eventually(async () => (await askGateway(daemon)) === 0, daemon.exited, ASK_EVERY_MS);
  await eventually(async () => (await watched()).join() === others.join(), daemon.exited);
  await install();

  // What another namespace allows lasts as long as it does.
  const asksTheirs = (status: number): Promise<void> =>
    eventually(async () => (await askGateway(daemon, '/theirs')) === status, daemon.exited);
  await asksTheirs(500);
  cluster.api.apply(GRANT);
  await asksTheirs(200);
  cluster.api.delete('ReferenceGrant', 'theirs/grant');
  await asksTheirs(500);
  expect(await askGateway(daemon)).toBe(200);

  const { answered, failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(0);
  expect(await daemon.stop()).toBe(0);

  // Outside of a Pod nothing is written of all that, unless Portico is told to: it says so, once.
  const said = daemon.output().match(/.*not in a Pod.*/g);
  expect(said).toEqual([expect.stringContaining('--publish-address')]);
  const { requests } = cluster.api;
  expect(requests.filter(({ method, resource }) => method !== 'GET' || resource === 'leases')).toEqual([]);
});
