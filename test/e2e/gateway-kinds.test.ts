import { expect, test } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import { scriptedCluster } from './cluster.ts';
import { startLoad } from './load.ts';
import { startPod } from './pod.ts';
import { siteObjects } from './site.ts';

const apiVersion = 'gateway.networking.k8s.io/v1';
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
    spec: { gatewayClassName: 'portico', listeners: [] },
  },
];

test('Gateway API is installed and deleted, and requests to Ingresses notice nothing', async () => {
  await using cluster = await scriptedCluster();
  await using pod = await startPod('pod');
  await cluster.apply(...siteObjects({ host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] }));
  await using daemon = startDaemon({ args: [...cluster.args] });
  await daemon.ready();
  const watched = async (): Promise<string[]> => {
    const { body } = await daemon.status('/readyz?verbose');
    return [...body.matchAll(/^\[\+\]watch-(\w+) (\d+) objects/gm)].map(
      ([, kind, size]) => `${kind} ${size}`,
    );
  };
  const others = await watched();
  expect(others).toHaveLength(5);
  const load = startLoad(daemon, 'shop.test', { keptAlive: 2, fresh: 1 });

  for (let round = 0; round < 2; round++) {
    cluster.api.install();
    await cluster.apply(...GATEWAY);
    await eventually(async () => (await watched()).includes('Gateway 1'), daemon.exited);
    expect((await daemon.status('/readyz')).status).toBe(200);
    cluster.api.uninstall();
    await eventually(async () => (await watched()).join() === others.join(), daemon.exited);
  }

  const { answered, failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(0);
  expect(daemon.output()).not.toMatch(/"level":"error"/);
});
