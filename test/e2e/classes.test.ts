import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

const [P, E] = ['203.0.113.7', '198.51.100.9'];

/** Two installations beside each other, which serve, publish and report their own throughout. */
describe('classes, through the process', () => {
  let pod: Pod;
  let cluster: ScriptedCluster;
  let portico: Daemon;
  let edge: Daemon;
  beforeAll(async () => {
    pod = await startPod('pod');
    cluster = await scriptedCluster({
      objects: [
        ingressClass('edge', 'example.com/edge'),
        ingressClass('nginx', 'k8s.io/ingress-nginx'),
        ingressClass('usual'),
      ],
    });
    const lost = ['lost', 'adrift'].map((name) => ingressOf({ host: `${name}.test`, name, endpoints: [] }));
    await cluster.apply(...sitesOf(pod, 'one', 'two', 'moving', 'leaving', 'named', 'classless'), ...lost);
    for (const name of ['two', 'adrift']) await cluster.apply(inClass(cluster, name, 'edge'));
    await cluster.apply(inClass(cluster, 'named', 'late'), inClass(cluster, 'classless', undefined));
    const common = [...cluster.args, '--access-log', 'off', '--publish-namespace', 'ingress'];
    const ofEdge = ['--ingress-class', 'edge', '--controller-name', 'example.com/edge'];
    portico = startDaemon({ args: [...common, '--publish-address', P] });
    edge = startDaemon({ args: [...common, '--publish-address', E, ...ofEdge] });
    await Promise.all([portico.ready(), edge.ready()]);
  });
  afterAll(async () => {
    for (const each of [portico, edge, cluster, pod]) await each[Symbol.asyncDispose]();
  });
  const published = (): string[] =>
    ['one', 'two', 'moving', 'leaving', 'lost', 'adrift'].map((name) => addressesOf(cluster, name));
  const reported = [
    'Ingress adrift ServiceNotFound by example.com/edge',
    `Ingress lost ServiceNotFound by ${OURS}`,
  ];

  it('each serves, publishes and reports its own, and hands an Ingress over', async () => {
    const statuses = async (daemon: Daemon): Promise<number[]> =>
      Promise.all(
        ['one', 'two', 'moving', 'lost', 'adrift'].map(
          async (name) => (await daemon.request(`${name}.test`)).status,
        ),
      );
    expect(await statuses(portico)).toEqual([200, 404, 200, 503, 404]);
    expect(await statuses(edge)).toEqual([404, 200, 404, 404, 503]);

    await eventually(async () => published().join() === [P, E, P, P, P, E].join());
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
    await eventually(async () => published().join() === [P, E, E, '', P, E].join());
    const writes = cluster.api.requests
      .filter(({ path }) => path.endsWith('/leaving/status'))
      .map(({ body }) => body);
    expect(writes.map((body) => body.includes(P!))).toEqual([true, false]);
    expect(writes.join()).not.toContain(E);
  });

  it('an IngressClass that comes, changes or goes takes effect at once', async () => {
    const both = async (): Promise<number[]> => [
      (await portico.request('named.test')).status,
      (await portico.request('classless.test')).status,
    ];
    const become = (named: number, classless: number): Promise<void> =>
      eventually(async () => (await both()).join() === [named, classless].join(), portico.exited);
    expect(await both()).toEqual([404, 404]);

    // Made after the Ingress that names it.
    await cluster.apply(ingressClass('late'));
    await become(200, 404);
    await eventually(async () => addressesOf(cluster, 'named') === P, portico.exited);
    // The API server accepts no other controller: the class must be deleted and created again.
    cluster.api.delete('IngressClass', 'late');
    await cluster.apply(ingressClass('late', 'example.com/another'));
    await become(404, 404);
    await eventually(async () => addressesOf(cluster, 'named') === '', portico.exited);
    await cluster.apply(ingressClass('late'));
    await become(200, 404);

    const annotation = 'ingressclass.kubernetes.io/is-default-class';
    await cluster.apply(ingressClass('late', OURS, { annotations: { [annotation]: 'true' } }));
    await become(200, 200);
    await cluster.apply(ingressClass('late', OURS, { annotations: { [annotation]: 'false' } }));
    await become(200, 404);
    await cluster.apply(ingressClass('usual', OURS, { annotations: { [annotation]: 'true' } }));
    await become(200, 200);

    cluster.api.delete('IngressClass', 'late');
    await become(404, 200);
    cluster.api.delete('IngressClass', 'usual');
    await become(404, 404);
    await eventually(async () => addressesOf(cluster, 'classless') === '', portico.exited);

    expect(eventsOf(cluster)).toEqual(reported);
    const parameters = { kind: 'Speed', name: 'high' };
    await cluster.apply(ingressClass('late', OURS, { spec: { parameters } }));
    await become(200, 404);
    await eventually(async () => eventsOf(cluster).length > reported.length, portico.exited);
    expect(eventsOf(cluster)).toEqual([...reported, `IngressClass late ParametersNotSupported by ${OURS}`]);
    const event = objectsOf(cluster.api, 'events').find(({ reason }) => reason === 'ParametersNotSupported');
    expect(event).toMatchObject({
      metadata: { namespace: 'default' },
      note: 'spec.parameters: Portico supports no parameters, so these have no effect; remove them.',
    });
  });

  it('whatever happens to the one is nothing to the other', async () => {
    const events = eventsOf(cluster);
    expect(await portico.stop()).toBe(0);
    await cluster.apply(inClass(cluster, 'one', 'edge'));
    await answers(edge, 'one.test', 200);
    await eventually(async () => addressesOf(cluster, 'one') === E);
    expect(eventsOf(cluster)).toEqual(events);
    expect(await edge.stop()).toBe(0);
    const missing = edge.output().matchAll(/There is no Service ([\w/-]+)/g);
    expect(new Set([...missing].map(([, name]) => name))).toEqual(new Set(['default/adrift']));
  });
});
