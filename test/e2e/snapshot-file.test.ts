import { mkdtemp, readFile, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'vitest';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { readSnapshotFile, writeSnapshotFile } from '../../src/watch/snapshot-file.ts';
import { values } from '../../src/model/sharded-map.ts';
import type { ApiObject, ApiServer } from '../support/api-server.ts';
import { parseManifests } from '../support/cases.ts';
import { eventually, startDaemon } from '../support/daemon.ts';
import { scriptedCluster } from './cluster.ts';
import { startLoad } from './load.ts';
import { startPod } from './pod.ts';
import { INGRESS_CLASS, manifest, siteObjects, slicesOf } from './site.ts';

const KEY = Buffer.from('-----BEGIN PRIVATE KEY----- of nobody').toString('base64');
const SECRET: ApiObject = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'shop-tls', namespace: 'default' },
  type: 'kubernetes.io/tls',
  data: { 'tls.crt': 'YQ==', 'tls.key': KEY },
};

async function temporary(): Promise<AsyncDisposable & { readonly file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'portico-snapshot-'));
  return { file: join(folder, 'snapshot'), [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** Writes the file as a Portico does that has listed these objects. */
async function save(file: string, { url }: ApiServer, objects: readonly ApiObject[]): Promise<void> {
  const changes = parseManifests(manifest(INGRESS_CLASS, ...objects));
  await writeSnapshotFile(file, url, {
    snapshot: snapshotOf(changes),
    savedAt: Date.now(),
    withSecrets: false,
  });
}

describe.concurrent('--snapshot-file', () => {
  // Why else a file may not be used is told in test/watch/snapshot-file.test.ts.
  it('is ignored with one line when it is damaged; whole, it lets a Portico that starts without the API server serve what was true last, and then what is', async ({
    expect,
  }) => {
    await using place = await temporary();
    await using first = await startPod('first');
    await using second = await startPod('second');
    const site = { host: 'shop.test', name: 'shop', endpoints: [first.endpoint] };
    const gone = { host: 'gone.test', name: 'gone', endpoints: [first.endpoint] };
    const objects = [...siteObjects(site), ...siteObjects(gone), SECRET];
    await using cluster = await scriptedCluster({ objects });
    const { api } = cluster;
    const args = [...cluster.args, '--snapshot-file', place.file, '--access-log', 'off'];
    {
      await save(place.file, api, objects);
      await truncate(place.file, (await stat(place.file)).size - 100);
      await api.refuse();
      await using before = startDaemon({ args });
      const line = await before.line(/--snapshot-file/);
      expect(line).toContain('is damaged');
      expect(line).toContain('it is ignored');
      expect((await before.status('/readyz')).status).toBe(503);
      await api.accept();
      await before.ready();
      expect((await before.request('shop.test')).body).toBe('first');
      expect(await before.stop()).toBe(0);
      expect(before.output().match(/--snapshot-file/g)).toHaveLength(1);
    }
    const text = await readFile(place.file, 'utf8');
    expect(text).toContain('shop.test');
    expect(text).not.toContain(KEY);
    expect(text).not.toContain('PRIVATE');

    await api.refuse();
    await using daemon = startDaemon({ args });
    await daemon.ready();
    expect((await daemon.request('shop.test')).body).toBe('first');
    expect(await daemon.line(/serving from/)).toContain('TLS hosts get the default certificate');
    const { body } = await daemon.status('/readyz?verbose');
    expect(body).toMatch(
      /^\[\+\]snapshot-file serving from .*, saved \d+ s ago, until the API server answers$/m,
    );
    expect(body).toMatch(/^\[\+\]watch-Ingress .*refused/m);
    expect(await daemon.metric('portico_watch_connected{kind="Ingress"}')).toBe(0);
    expect(await daemon.metric('portico_watch_synced{kind="Ingress"}')).toBe(0);
    expect((await daemon.status('/metrics')).body).toMatch(
      /^portico_watch_last_event_age_seconds\{kind="Ingress"\} \d/m,
    );

    // What is still true is served all the way through.
    const load = startLoad(daemon, 'shop.test', { keptAlive: 2, fresh: 1 });
    api.delete('Ingress', 'default/gone');
    for (const object of slicesOf({ ...site, endpoints: [second.endpoint] })) api.apply(object);
    await api.accept();
    await eventually(async () => (await daemon.request('shop.test')).body === 'second', daemon.exited);
    expect((await daemon.request('gone.test')).status).toBe(404);
    expect((await load.stop()).failures).toEqual([]);
    const now = await daemon.status('/readyz?verbose');
    expect(now.body).not.toContain('snapshot-file');
    await daemon.metricBecomes('portico_watch_connected{kind="Ingress"}', 1);
    // One table from the file, and one from the cluster.
    expect(daemon.output().match(/everything is listed/g)).toHaveLength(1);
    expect(await daemon.stop()).toBe(0);
  });

  it('stands in for an API server that accepts connections and does not answer, too', async ({ expect }) => {
    await using place = await temporary();
    await using pod = await startPod('pod');
    const site = { host: 'shop.test', endpoints: [pod.endpoint] };
    await using cluster = await scriptedCluster({ objects: siteObjects(site) });
    const args = [...cluster.args, '--snapshot-file', place.file];
    await save(place.file, cluster.api, siteObjects(site));
    cluster.api.fail({ times: Infinity }, { kind: 'hang' });
    await using daemon = startDaemon({ args });
    await daemon.ready();
    expect((await daemon.request('shop.test')).status).toBe(200);
    expect((await daemon.status('/readyz?verbose')).body).toContain('[+]watch-Ingress not listed yet');
    expect(await daemon.stop()).toBe(0);
  });

  // To a process a limit on the size of files looks as a full disk does, and needs neither rights nor a disk.
  it('that has no room stays as it was, is said once with what to do, and is written when it has: with keys, where it is to', async ({
    expect,
  }) => {
    await using place = await temporary();
    await using pod = await startPod('pod');
    const site = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    await using cluster = await scriptedCluster({ objects: [...siteObjects(site), SECRET] });
    const flags = ['--snapshot-file', place.file, '--snapshot-secrets', '--access-log', 'off'];
    const kept = async (): Promise<unknown> => {
      const read = await readSnapshotFile(place.file, cluster.api.url, () => true);
      return read.kind === 'read'
        ? [...values(read.snapshot.ingresses)].map(({ metadata }) => metadata?.name)
        : read;
    };
    await save(place.file, cluster.api, siteObjects(site));
    const [large] = siteObjects({ ...site, host: 'large.test', name: 'large' });
    const annotations = { note: 'x'.repeat(200_000) };
    cluster.api.apply({ ...large!, metadata: { ...large!.metadata, annotations } });
    await using daemon = startDaemon({
      args: [...cluster.args, ...flags],
      through: ['sh', '-c', 'ulimit -f 64; exec "$@"', 'sh'],
    });
    await daemon.ready();
    const line = await daemon.line(/--snapshot-file/);
    expect(line).toContain('"level":"warn"');
    expect(line).toContain(`--snapshot-file ${place.file}: cannot be written (EFBIG: file too large, write)`);
    expect(line).toContain(
      'serving continues, the old file stays, next try in 30 s. To fix it: allow this process',
    );
    expect((await daemon.request('shop.test')).status).toBe(200);
    expect(await kept()).toEqual(['shop']);
    expect(await readdir(dirname(place.file))).toEqual(['snapshot']);

    cluster.api.delete('Ingress', 'default/large');
    for (const object of siteObjects({ ...site, host: 'new.test', name: 'new' })) cluster.api.apply(object);
    await eventually(async () => (await daemon.request('new.test')).status === 200, daemon.exited);
    expect(await daemon.stop()).toBe(0);
    expect(await readFile(place.file, 'utf8')).toContain(KEY);
    expect(await kept()).toEqual(expect.arrayContaining(['shop', 'new']));
    expect(await readdir(dirname(place.file))).toEqual(['snapshot']);
    expect(daemon.output().match(/--snapshot-file/g)).toHaveLength(2);
    expect(daemon.output()).toContain(`--snapshot-file ${place.file}: written again`);
  });
});
