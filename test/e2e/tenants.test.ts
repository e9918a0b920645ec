import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { validateManifest } from '../../src/model/validation/validate.ts';
import type { ApiObject } from '../support/api-server.ts';
import { type Cluster, scriptedCluster } from './cluster.ts';
import { type Pod, startPod } from './pod.ts';
import { siteObjects } from './site.ts';

/** An Ingress of the tenant `evil`. */
function ingress(name: string, host: string, paths: readonly string[], annotations = {}): ApiObject {
  const backend = { service: { name: 'web', port: { number: 80 } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'evil', annotations },
    spec: {
      ingressClassName: 'portico',
      rules: [{ host, http: { paths: paths.map((path) => ({ path, pathType: 'Prefix', backend })) } }],
    },
  };
}

/** What one tenant writes, each once more than is good for anybody. */
const ATTACKS = {
  'nested prefixes': [0, 900].map((from) => {
    const paths = Array.from({ length: 900 }, (_, i) => `/${'a'.repeat(from + i + 1)}`);
    return ingress(`nested-${from}`, 'nested.test', paths);
  }),
  'deep paths': [ingress('deep', 'deep.test', ['/a'.repeat(50_000), '/../'.repeat(10_000), '/%'])],
  'paths times globs': [
    ingress(
      'many',
      'many.b.test',
      Array.from({ length: 2_500 }, (_, i) => `/${i}`),
      {
        'portico.dev/host-globs': Array.from({ length: 16 }, (_, i) => `*-${i}.b.test`).join(','),
      },
    ),
  ],
  'annotations without end': [
    ingress('annotated', 'annotated.test', ['/'], {
      'portico.dev/balance': '['.repeat(100_000),
      'portico.dev/host-globs': `${'{a,'.repeat(1_000)}${'*'.repeat(1_000)}`,
      ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`portico.dev/x${i}`, '{'.repeat(100)])),
    }),
  ],
};

describe('one tenant claims too much', () => {
  let daemon: Daemon;
  let cluster: Cluster;
  let pod: Pod;

  const start = async (): Promise<void> => {
    daemon = startDaemon({ args: cluster.args });
    await daemon.ready();
  };
  const serves = (host: string): Promise<void> =>
    eventually(async () => (await daemon.request(host)).status === 200, daemon.exited);
  const changes = (host: string): Promise<void> =>
    cluster.apply(...siteObjects({ host, name: host.replace('.test', ''), endpoints: [pod.endpoint] }));

  beforeAll(async () => {
    pod = await startPod('victim');
    cluster = await scriptedCluster();
    await start();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    await pod.stop();
  });

  it.each(Object.entries(ATTACKS))('%s: what another tenant changes is served', async (name, objects) => {
    const host = `${name.replaceAll(' ', '-')}.test`;
    await changes(`before-${host}`);
    await serves(`before-${host}`);
    for (const object of objects) {
      await cluster.apply(object);
      // It was compiled: what is wrong with it is said.
      await daemon.line(new RegExp(`Ingress evil/${object.metadata.name}`));
    }
    await changes(`after-${host}`);
    await serves(`after-${host}`);
    expect((await daemon.request(`before-${host}`)).status).toBe(200);
  });

  it('a new process with all of it becomes ready, and serves the others', async () => {
    await daemon.stop();
    await start();
    await serves('after-nested-prefixes.test');
    expect((await daemon.status('/readyz')).status).toBe(200);
  });

  it('in a manifest, all of it is validated', () => {
    const refused = Object.values(ATTACKS)
      .flat()
      .filter((object) => validateManifest('Ingress', object).length > 0);
    expect(refused.map(({ metadata }) => metadata.name)).toEqual(['deep']);
  });
});
