import { setInterval as every } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { objectsOf } from '../publish/fixture.ts';
import type { ApiObject, ApiRequest } from '../support/api-server.ts';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { type ScriptedCluster, scriptedCluster } from './cluster.ts';
import { ingressOf } from './site.ts';

const LEASE_MS = 3_000;
const SHOPS = ['a', 'b', 'c', 'd'].map((name) => ingressOf({ host: `${name}.test`, name, endpoints: [] }));

/** A Portico whose writes can be told from those of others: each publishes an address of its own. */
interface Candidate {
  readonly daemon: Daemon;
  readonly address: string;
  readonly pod: string;
}

function stand({ args }: ScriptedCluster, number: number): Candidate {
  const address = `203.0.113.${number}`;
  const pod = `portico-${number}`;
  const flags = `--publish-address ${address} --publish-events false --leader-elect-lease-duration ${LEASE_MS}ms`;
  const env = { POD_NAME: pod, POD_NAMESPACE: 'portico' };
  const daemon = startDaemon({ args: [...args, ...flags.split(' '), '--workers', '1'], env });
  return { daemon, address, pod };
}

/** A write, who made it, and when it arrived. */
interface Write {
  readonly to: 'lease' | 'status';
  readonly by: string;
  readonly atMs: number;
}

/**
 * Whether the server will refuse it, since the object was changed after the writer saw it: a write that was on its way
 * to the socket when its process was paused leaves when the process wakes, whatever it learns then.
 */
function isLate(api: ScriptedCluster['api'], body: string): boolean {
  const { metadata } = JSON.parse(body) as ApiObject;
  const version = metadata.resourceVersion;
  const all = [...objectsOf(api, 'ingresses'), ...objectsOf(api, 'leases')];
  return version !== undefined && !all.some((object) => object.metadata.resourceVersion === version);
}

/** Somebody who undoes the status all the time, so that the leader has to write; and what the server is sent. */
function contest({ api }: ScriptedCluster): { readonly writes: readonly Write[]; stop(): Promise<void> } {
  const writes: Write[] = [];
  const note = ({ method, resource, path, body }: ApiRequest): boolean => {
    if (method === 'GET' || isLate(api, body)) return false;
    const by =
      /203\.0\.113\.\d|portico-\d(?=_)/.exec(body)?.[0].at(-1) ?? `somebody: ${method} ${path} ${body}`;
    writes.push({ to: resource === 'leases' ? 'lease' : 'status', by, atMs: performance.now() });
    return false;
  };
  // A rule that matches nothing, and looks at everything.
  const unwatch = api.fail({ when: note, times: Infinity }, { kind: 'reset' });
  const written = ({ metadata }: ApiObject): boolean => {
    const found = objectsOf(api, 'ingresses').find((each) => each.metadata.name === metadata.name);
    return found?.['status'] !== undefined;
  };
  for (const shop of SHOPS) api.apply(shop);
  const stopping = new AbortController();
  const undoing = (async () => {
    for await (const _ of every(50, undefined, { signal: stopping.signal }))
      for (const shop of SHOPS) if (written(shop)) api.apply(shop);
  })().catch(() => {});
  return {
    writes,
    async stop() {
      stopping.abort();
      await undoing;
      unwatch();
    },
  };
}

const by = (writes: readonly Write[], to?: Write['to']): string[] =>
  writes.filter((write) => (to ?? write.to) === write.to).map((write) => write.by);

/** Each writer once for every time it took over from another: `1`, `2` when 2 followed 1. */
const turns = (writers: readonly string[]): string[] =>
  writers.filter((writer, index) => writer !== writers[index - 1]);

it('is paused, then killed: each time another one writes once the Lease is over, and nobody else does', async () => {
  await using cluster = await scriptedCluster();
  const { writes, stop } = contest(cluster);
  const first = stand(cluster, 1);
  await using _first = first.daemon;
  await eventually(async () => by(writes, 'status').length > 2, first.daemon.exited);
  const others = [stand(cluster, 2), stand(cluster, 3)];
  await using _second = others[0]!.daemon;
  await using _third = others[1]!.daemon;
  for (const { daemon } of others) await daemon.line(/portico-1_.* publishes to the cluster/);

  first.daemon.signal('SIGSTOP');
  await eventually(async () => turns(by(writes, 'status')).length > 1);
  const next = by(writes, 'status').at(-1)!;
  const taken = writes.findIndex((write) => write.by !== '1');
  // Each of them has another version then than the one that a write has which was on its way.
  for (const shop of SHOPS) cluster.api.apply(shop);
  const offset = first.daemon.output().length;
  first.daemon.signal('SIGCONT');
  await first.daemon.line(/no longer the leader: publishing stops/, offset);
  await first.daemon.line(new RegExp(`portico-${next}_.* publishes to the cluster`), offset);
  // Through many more changes that a leader would have to write, in which it is awake.
  const awakeAfter = writes.length;
  await eventually(async () => by(writes.slice(awakeAfter), 'status').length > 5, first.daemon.exited);
  expect(by(writes.slice(taken))).not.toContain('1');
  // It goes on to serve.
  expect((await first.daemon.status('/readyz')).status).toBe(200);

  const leader = others.find(({ pod }) => pod === `portico-${next}`)!;
  leader.daemon.signal('SIGKILL');
  await leader.daemon.exited;
  const killedAfter = writes.length;
  await eventually(async () => by(writes.slice(killedAfter), 'status').length > 2);
  await stop();
  const [last = ''] = by(writes.slice(killedAfter), 'lease');
  expect(['1', '2', '3'].filter((each) => each !== next)).toContain(last);
  expect(turns(by(writes, 'status'))).toEqual(['1', next, last]);
  // Two may have asked for the Lease; it was given once each time.
  expect(objectsOf(cluster.api, 'leases')[0]?.['spec']).toMatchObject({ leaseTransitions: 2 });
  const lastSign = writes.findLast((write) => write.to === 'lease' && write.by === next)!.atMs;
  const { atMs } = writes.slice(killedAfter).find((write) => write.to === 'lease' && write.by === last)!;
  expect(atMs - lastSign).toBeGreaterThanOrEqual(LEASE_MS);
});
