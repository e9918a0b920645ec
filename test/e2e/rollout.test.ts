import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { examples } from '../support/examples.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { type ScriptedCluster, scriptedCluster } from './cluster.ts';
import { type Pod, startPod } from './pod.ts';
import { ingressOf, serviceOf } from './site.ts';

const HOST = 'shop.test';
const PORT = await heldPort();
const REPLICAS = 2;
const SLOW = 3;

type Stage = 'ready' | 'terminating';
const CONDITIONS: Readonly<Record<Stage, object>> = {
  ready: { ready: true, serving: true, terminating: false },
  terminating: { ready: false, serving: true, terminating: true },
};

/** The slice of a Service as the controller writes it. */
function sliceOf(name: string, pods: readonly (readonly [Pod, Stage])[]): ApiObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: PORT }],
    endpoints: pods.map(([pod, stage]) => ({
      addresses: [pod.endpoint.split(':')[0]],
      conditions: CONDITIONS[stage],
      targetRef: { kind: 'Pod', name: pod.name },
    })),
  };
}

function stages(pods: readonly Pod[], stage: Stage): (readonly [Pod, Stage])[] {
  return pods.map((pod) => [pod, stage] as const);
}

/** Of one client, between its requests: the machine is for what is tested, too. */
const PAUSE_MS = 4;

/** Clients that ask again and again; what they got is judged by what was known when they asked. */
function startClients(daemon: Daemon, retired: () => ReadonlySet<string>) {
  const failures: string[] = [];
  const stopping = new AbortController();
  let answered = 0;
  const ask = async (requests: number): Promise<void> => {
    using client = await daemon.connect();
    for (let n = 1; n <= requests && !stopping.signal.aborted; n++) {
      const gone = retired();
      client.send(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${n === requests ? 'Connection: close\r\n' : ''}\r\n`);
      const { status, body, field } = await client.message();
      answered++;
      if (status !== 200) failures.push(`${status} ${body}`);
      else if (gone.has(field('x-pod') ?? ''))
        failures.push(`${body} was asked although it was on its way out`);
      await pause(PAUSE_MS);
    }
  };
  const client = async (requests: number): Promise<void> => {
    while (!stopping.signal.aborted)
      await ask(requests).catch((error: unknown) => failures.push(String(error)));
  };
  const clients = [100, 100, 100, 1, 1].map((requests) => client(requests));
  return {
    get answered() {
      return answered;
    },
    async stop(): Promise<readonly string[]> {
      stopping.abort();
      await Promise.all(clients);
      return failures;
    },
  };
}

// Both kinds of rollout, by turns. The reference engine is not what anybody runs by default: one of each will do.
describe.each([
  { engine: 'relay', rollouts: examples(6) },
  { engine: 'http-proxy', rollouts: examples(2) },
] as const)('a Deployment that rolls over, engine $engine', ({ engine, rollouts }) => {
  let cluster: ScriptedCluster;
  let daemon: Daemon;
  beforeAll(async () => {
    cluster = await scriptedCluster();
    daemon = startDaemon({
      args: [
        ...[...cluster.args, '--engine', engine, '--access-log', 'off', '--workers', '2'],
        ...['--trusted-proxies', '127.0.0.0/8'],
      ],
    });
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  /** Resolves when every thread serves by a table with the change. */
  const applied = async (...objects: readonly ApiObject[]): Promise<void> => {
    const generation = async (): Promise<number> => {
      const { body } = await daemon.status('/readyz?verbose');
      return Number(/every thread serves table generation (\d+)/.exec(body)?.[1]);
    };
    // Not a number while a thread has yet to adopt the last one.
    let before = NaN;
    await eventually(async () => (before = await generation()) >= 0, daemon.exited);
    await cluster.apply(...objects);
    await eventually(async () => (await generation()) > before, daemon.exited);
  };
  const start = (name: string): Promise<Pod[]> =>
    Promise.all(
      Array.from({ length: REPLICAS }, (_, index) => startPod(`${name}-${index}`, loopbackAddress(), PORT)),
    );
  const retries = async (): Promise<number> =>
    daemon.metric('portico_retries_total{namespace="default",ingress="web"}');

  it(`${rollouts} times under load loses nothing`, async () => {
    let current = await start('v0');
    const site = { host: HOST, endpoints: [] };
    await cluster.apply(ingressOf(site), serviceOf(site), sliceOf('web', stages(current, 'ready')));
    await eventually(async () => (await daemon.request(HOST)).status === 200, daemon.exited);
    let retired: ReadonlySet<string> = new Set();
    const clients = startClients(daemon, () => retired);

    for (let version = 1; version <= rollouts; version++) {
      const old = current;
      const slow = Array.from({ length: SLOW }, () => daemon.request(HOST, '/slow'));
      const held = async () => old.reduce((sum, pod) => sum + pod.held, 0) === SLOW;
      await eventually(held, daemon.exited);
      current = await start(`v${version}`);
      await applied(sliceOf('web', [...stages(old, 'ready'), ...stages(current, 'ready')]));

      const closed = old.map((pod) => once(pod.server, 'close'));
      const terminate = async (leaving: readonly Pod[]): Promise<void> => {
        const staying = old.filter((pod) => !leaving.includes(pod));
        await applied(
          sliceOf('web', [...stages(leaving, 'terminating'), ...stages([...staying, ...current], 'ready')]),
        );
        retired = new Set([...retired, ...leaving.map(({ name }) => name)]);
      };
      const requests = async (count: number): Promise<void> => {
        const before = clients.answered;
        await eventually(async () => clients.answered > before + count, daemon.exited);
      };
      // As a rule a Pod refuses connections after the slice says so; every other time each is faster than the slice.
      if (version % 2 === 0) {
        for (const [index, pod] of old.entries()) {
          pod.server.close();
          await requests(50);
          await terminate(old.slice(0, index + 1));
        }
      } else {
        await terminate(old);
        await requests(20);
        for (const { server } of old) server.close();
      }
      for (const pod of old) pod.release();
      for (const { status, body } of await Promise.all(slow)) {
        expect([status, old.map(({ name }) => name)]).toEqual([200, expect.arrayContaining([body])]);
      }
      // Nobody closes connections for them: a server is closed when Portico has closed the last one.
      await Promise.all(closed);
      // Which changes no table: those on their way out were in none.
      await cluster.apply(sliceOf('web', stages(current, 'ready')));
    }

    expect(await clients.stop()).toEqual([]);
    expect(clients.answered).toBeGreaterThan(rollouts * 50);
    expect(await retries()).toBeGreaterThan(0);
    for (const pod of current) await pod.stop();
  });

  it('a Service with session affinity keeps each client with one Pod, unless an annotation says otherwise', async () => {
    const pods = await start('sticky');
    const sticky = { host: 'sticky.test', name: 'sticky', endpoints: [] };
    const ingress = ingressOf({ ...sticky, host: 'chosen.test' });
    const annotations = { 'portico.dev/balance': 'round-robin' };
    const service = serviceOf(sticky);
    await cluster.apply(
      ingressOf(sticky),
      { ...ingress, metadata: { ...ingress.metadata, name: 'chosen', annotations } },
      { ...service, spec: { ...(service['spec'] as object), sessionAffinity: 'ClientIP' } },
      sliceOf('sticky', stages(pods, 'ready')),
    );
    await eventually(async () => (await daemon.request('sticky.test')).status === 200, daemon.exited);
    await eventually(async () => (await daemon.request('chosen.test')).status === 200, daemon.exited);

    const podsOf = async (host: string, client: string, times: number): Promise<ReadonlySet<string>> => {
      const fields = [`X-Forwarded-For: ${client}`];
      const asked = Array.from({ length: times }, () => daemon.request(host, '/', { fields }));
      return new Set((await Promise.all(asked)).map(({ body }) => body));
    };
    const homes = new Set<string>();
    for (let client = 1; client <= 16; client++) {
      const [home = '', ...more] = await podsOf('sticky.test', `192.0.2.${client}`, 3);
      expect(more).toEqual([]);
      homes.add(home);
    }
    expect(homes).toEqual(new Set(pods.map(({ name }) => name)));
    expect((await podsOf('chosen.test', '192.0.2.1', 8)).size).toBe(REPLICAS);
    for (const pod of pods) await pod.stop();
  });

  it('SIGTERM: the process ends when what is under way is finished', async () => {
    const [pod] = await start('last');
    await cluster.apply(sliceOf('sticky', [[pod!, 'ready']]));
    await eventually(async () => (await daemon.request('sticky.test')).body === pod!.name, daemon.exited);
    const slow = daemon.request('sticky.test', '/slow');
    await pod!.holds(1);
    daemon.signal('SIGTERM');
    await daemon.line(/draining/);
    pod!.release();
    expect((await slow).status).toBe(200);
    expect(await daemon.exited).toBe(0);
    expect(daemon.output()).toContain('drained: every request was finished');
  });
});
