import { describe, it } from 'vitest';
import { objectsOf } from '../publish/fixture.ts';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { type ScriptedCluster, scriptedCluster } from './cluster.ts';
import { type Pod, startPod } from './pod.ts';
import { ingressOf, siteObjects } from './site.ts';

const OURS = 'portico.dev/ingress-controller';

function ingressClass(
  name: string,
  controller = OURS,
  more: { annotations?: object; spec?: object } = {},
): ApiObject {
  const metadata = { name, ...(more.annotations && { annotations: { ...more.annotations } }) };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata,
    spec: { controller, ...more.spec },
  };
}

/** The Ingress as the server has it, status and all, in another class or in none. */
function inClass({ api }: ScriptedCluster, name: string, ingressClassName: string | undefined): ApiObject {
  const found = objectsOf(api, 'ingresses').find(({ metadata }) => metadata.name === name)!;
  const { ingressClassName: _, ...spec } = found['spec'] as Record<string, unknown>;
  return { ...found, spec: { ...spec, ...(ingressClassName !== undefined && { ingressClassName }) } };
}

function addressesOf({ api }: ScriptedCluster, name: string): string {
  const found = objectsOf(api, 'ingresses').find(({ metadata }) => metadata.name === name);
  const { loadBalancer } = (found?.['status'] ?? {}) as { loadBalancer?: { ingress?: { ip?: string }[] } };
  return (loadBalancer?.ingress ?? []).map(({ ip }) => ip).join();
}

/** `Ingress lost ServiceNotFound by example.com/edge` */
function eventsOf({ api }: ScriptedCluster): string[] {
  return objectsOf(api, 'events')
    .map(({ regarding, reason, reportingController }) => {
      const { kind, name } = regarding as { kind: string; name: string };
      return `${kind} ${name} ${String(reason)} by ${String(reportingController)}`;
    })
    .sort();
}

async function answers(daemon: Daemon, host: string, status: number): Promise<void> {
  await eventually(async () => (await daemon.request(host)).status === status, daemon.exited);
}

function sitesOf(pod: Pod, ...names: string[]): ApiObject[] {
  return names.flatMap((name) => siteObjects({ host: `${name}.test`, name, endpoints: [pod.endpoint] }));
}

describe.concurrent('classes, through the process', () => {
  it('two installations side by side serve, publish and report their own, and hand an Ingress over', async ({
    expect,
  }) => {
    await using pod = await startPod('pod');
    await using cluster = await scriptedCluster({
      objects: [ingressClass('edge', 'example.com/edge'), ingressClass('nginx', 'k8s.io/ingress-nginx')],
    });
    const lost = ['lost', 'adrift'].map((name) => ingressOf({ host: `${name}.test`, name, endpoints: [] }));
    await cluster.apply(...sitesOf(pod, 'one', 'two', 'moving', 'leaving'), ...lost);
    for (const name of ['two', 'adrift']) await cluster.apply(inClass(cluster, name, 'edge'));
    const common = [
      ...cluster.args,
      '--workers',
      '1',
      '--access-log',
      'off',
      '--publish-namespace',
      'ingress',
    ];
    await using portico = startDaemon({ args: [...common, '--publish-address', '203.0.113.7'] });
    await using edge = startDaemon({
      args: [
        ...common,
        ...'--publish-address 198.51.100.9 --ingress-class edge --controller-name example.com/edge'.split(
          ' ',
        ),
      ],
    });
    await Promise.all([portico.ready(), edge.ready()]);
    const statuses = async (daemon: Daemon): Promise<number[]> =>
      Promise.all(
        ['one', 'two', 'moving', 'lost', 'adrift'].map(
          async (name) => (await daemon.request(`${name}.test`)).status,
        ),
      );
    expect(await statuses(portico)).toEqual([200, 404, 200, 503, 404]);
    expect(await statuses(edge)).toEqual([404, 200, 404, 404, 503]);

    const published = (): string[] =>
      ['one', 'two', 'moving', 'leaving', 'lost', 'adrift'].map((name) => addressesOf(cluster, name));
    const [p, e] = ['203.0.113.7', '198.51.100.9'];
    await eventually(async () => published().join() === [p, e, p, p, p, e].join());
    const reported = [
      'Ingress adrift ServiceNotFound by example.com/edge',
      `Ingress lost ServiceNotFound by ${OURS}`,
    ];
    await eventually(async () => eventsOf(cluster).length === 2);
    expect(eventsOf(cluster)).toEqual(reported);
    const leases = objectsOf(cluster.api, 'leases').map(({ metadata }) => metadata.name);
    expect(leases.toSorted()).toEqual(['portico-edge', 'portico-portico']);
    const holders = objectsOf(cluster.api, 'leases').map(
      (lease) => (lease['spec'] as { holderIdentity: string }).holderIdentity,
    );
    expect(new Set(holders).size).toBe(2);

    // From one to the other, and from one to somebody else, whose status is not written by either.
    await cluster.apply(inClass(cluster, 'moving', 'edge'), inClass(cluster, 'leaving', 'nginx'));
    await answers(edge, 'moving.test', 200);
    await answers(portico, 'moving.test', 404);
    await answers(portico, 'leaving.test', 404);
    await eventually(async () => published().join() === [p, e, e, '', p, e].join());
    const writes = cluster.api.requests
      .filter(({ path }) => path.endsWith('/leaving/status'))
      .map(({ body }) => body);
    expect(writes.map((body) => body.includes(p!))).toEqual([true, false]);
    expect(writes.join()).not.toContain(e);

    // Whatever happens to the one is nothing to the other.
    expect(await portico.stop()).toBe(0);
    await cluster.apply(inClass(cluster, 'one', 'edge'));
    await answers(edge, 'one.test', 200);
    await eventually(async () => addressesOf(cluster, 'one') === e);
    expect(eventsOf(cluster)).toEqual(reported);
    expect(await edge.stop()).toBe(0);
    const missing = edge.output().matchAll(/There is no Service ([\w/-]+)/g);
    expect(new Set([...missing].map(([, name]) => name))).toEqual(new Set(['default/adrift']));
  });

  it('an IngressClass that comes, changes or goes takes effect at once', async ({ expect }) => {
    await using pod = await startPod('pod');
    await using cluster = await scriptedCluster();
    await cluster.apply(...sitesOf(pod, 'named', 'classless'));
    await cluster.apply(inClass(cluster, 'named', 'late'), inClass(cluster, 'classless', undefined));
    const publish = ['--publish-address', '203.0.113.7', '--publish-namespace', 'ingress'];
    await using daemon = startDaemon({
      args: [...cluster.args, ...publish, '--workers', '1', '--access-log', 'off'],
    });
    await daemon.ready();
    const both = async (): Promise<number[]> => [
      (await daemon.request('named.test')).status,
      (await daemon.request('classless.test')).status,
    ];
    const become = (named: number, classless: number): Promise<void> =>
      eventually(async () => (await both()).join() === [named, classless].join(), daemon.exited);
    expect(await both()).toEqual([404, 404]);

    // Made after the Ingress that names it.
    await cluster.apply(ingressClass('late'));
    await become(200, 404);
    await eventually(async () => addressesOf(cluster, 'named') === '203.0.113.7', daemon.exited);
    // The API server accepts no other controller: the class must be deleted and created again.
    cluster.api.delete('IngressClass', 'late');
    await cluster.apply(ingressClass('late', 'example.com/another'));
    await become(404, 404);
    await eventually(async () => addressesOf(cluster, 'named') === '', daemon.exited);
    await cluster.apply(ingressClass('late'));
    await become(200, 404);

    const annotation = 'ingressclass.kubernetes.io/is-default-class';
    await cluster.apply(ingressClass('late', OURS, { annotations: { [annotation]: 'true' } }));
    await become(200, 200);
    await cluster.apply(ingressClass('late', OURS, { annotations: { [annotation]: 'false' } }));
    await become(200, 404);
    await cluster.apply(ingressClass('portico', OURS, { annotations: { [annotation]: 'true' } }));
    await become(200, 200);

    cluster.api.delete('IngressClass', 'late');
    await become(404, 200);
    cluster.api.delete('IngressClass', 'portico');
    await become(404, 404);
    await eventually(async () => addressesOf(cluster, 'classless') === '', daemon.exited);

    expect(eventsOf(cluster)).toEqual([]);
    const parameters = { kind: 'Speed', name: 'high' };
    await cluster.apply(ingressClass('late', OURS, { spec: { parameters } }));
    await become(200, 404);
    await eventually(async () => eventsOf(cluster).length > 0, daemon.exited);
    expect(eventsOf(cluster)).toEqual([`IngressClass late ParametersNotSupported by ${OURS}`]);
    const [event] = objectsOf(cluster.api, 'events');
    expect(event).toMatchObject({
      metadata: { namespace: 'default' },
      note: 'spec.parameters: Portico supports no parameters, so these have no effect; remove them.',
    });
    expect(await daemon.stop()).toBe(0);
  });
});
