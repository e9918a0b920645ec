import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, siteObjects, slicesOf } from './site.ts';

// To root no file is closed, unless it gives up these rights.
const through = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

// How a folder is read and what is said of it has nothing to do with the engine: cluster.test.ts changes tables under both.
describe('a folder of manifests', () => {
  let daemon: Daemon;
  let folder: Folder;
  let first: Pod;
  let second: Pod;

  const answersBy = (host: string, pod: Pod): Promise<void> =>
    eventually(async () => (await daemon.request(host)).field('x-pod') === pod.name, daemon.exited);
  const answersWith = (host: string, status: number): Promise<void> =>
    eventually(async () => (await daemon.request(host)).status === status, daemon.exited);

  beforeAll(async () => {
    [first, second] = await Promise.all([startPod('first'), startPod('second')]);
    folder = createFolder();
    await folder.put('class.yaml', manifest(INGRESS_CLASS));
    const closed = { host: 'closed.test', name: 'closed', endpoints: [first.endpoint] };
    await folder.put('closed.yaml', manifest(...siteObjects(closed)));
    await chmod(join(folder.path, 'closed.yaml'), 0o000);
    await folder.put(
      'shop.yaml',
      manifest(...siteObjects({ host: 'shop.test', name: 'shop', endpoints: [first.endpoint] })),
    );
    daemon = startDaemon({ args: ['--manifests', folder.path, '--workers', '2'], through });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await Promise.all([first.stop(), second.stop()]);
  });

  it('says in one line what it serves and where', async () => {
    expect(await daemon.line(/objects from/)).toContain(`objects from manifests in ${folder.path}`);
    expect(await daemon.line(/ready:/)).toContain(
      `ready: 1 route on 1 host; listening on port ${HTTP_PORT} of ${daemon.address} with 2 threads`,
    );
  });

  it('is served, and only what it says', async () => {
    const served = await daemon.request('shop.test', '/any//path?x=%20');
    expect([served.status, served.body]).toEqual([200, 'first']);
    expect((await daemon.request('other.test')).status).toBe(404);
  });

  it('names a file that may not be read, serves the others, and keeps what a file said before', async () => {
    const [shop, closed] = ['shop', 'closed'].map((name) => join(folder.path, `${name}.yaml`)) as [
      string,
      string,
    ];
    const line = await daemon.line(/may not be read/);
    expect(line).toContain(closed);
    expect(line).toContain('check its permissions');
    const statuses = async (): Promise<number[]> =>
      Promise.all(['shop.test', 'closed.test'].map(async (host) => (await daemon.request(host)).status));
    expect(await statuses()).toEqual([200, 404]);

    await chmod(closed, 0o600);
    await eventually(async () => (await statuses()).join() === '200,200', daemon.exited);
    const offset = daemon.output().length;
    await chmod(shop, 0o000);
    await daemon.line(/shop\.yaml.*may not be read/, offset);
    expect(await statuses()).toEqual([200, 200]);
    await chmod(shop, 0o600);
    await daemon.line(/resolved: .*shop\.yaml/, offset);
  });

  it('counts at once when a file is changed: another host, another endpoint', async () => {
    const changed = { host: 'store.test', name: 'shop', endpoints: [second.endpoint] };
    await folder.put('shop.yaml', manifest(...siteObjects(changed)));
    await answersBy('store.test', second);
    await answersWith('shop.test', 404);
    expect((await daemon.request('store.test')).body).toBe('second');
  });

  it('takes a new file and drops the routes of a deleted one', async () => {
    const blog = { host: 'blog.test', name: 'blog', endpoints: [first.endpoint] };
    await folder.put('blog.yaml', manifest(...siteObjects(blog)));
    await answersBy('blog.test', first);
    await folder.remove('blog.yaml');
    await answersWith('blog.test', 404);
    expect((await daemon.request('store.test')).body).toBe('second');
  });

  it('keeps the last good table while a file is broken, says where, and says when it is fixed', async () => {
    const good = manifest(
      ...siteObjects({ host: 'broken.test', name: 'broken', endpoints: [first.endpoint] }),
    );
    await folder.put('broken.yaml', good);
    await answersBy('broken.test', first);

    const offset = daemon.output().length;
    const lineNumber = good.split('\n').findIndex((line) => line.includes('host: broken.test')) + 1;
    await folder.put('broken.yaml', good.replace('- host: broken.test', '\t- host: broken.test'));
    const said = await daemon.line(/broken\.yaml/, offset);
    expect(said).toContain(`${folder.path}/broken.yaml:${lineNumber}:`);
    expect(said).toContain('"level":"error"');
    expect((await daemon.request('broken.test')).body).toBe('first');
    await daemon.metricBecomes('portico_problems{severity="error"}', 1);

    await folder.put('broken.yaml', good.replace('broken.test', 'fixed.test'));
    expect(await daemon.line(/resolved: /, offset)).toContain('broken.yaml');
    await answersBy('fixed.test', first);
    await daemon.metricBecomes('portico_problems{severity="error"}', 0);
  });

  it('places a value that the API server would refuse at its own line, and keeps the version before', async () => {
    const site = { host: 'field.test', name: 'field', endpoints: [first.endpoint] };
    const good = manifest(ingressOf(site), serviceOf(site), ...slicesOf(site));
    await folder.put('field.yaml', good);
    await answersBy('field.test', first);

    const offset = daemon.output().length;
    const bad = good.replace('path: /', 'path: relative');
    const lineNumber = bad.split('\n').findIndex((line) => line.includes('path: relative')) + 1;
    await folder.put('field.yaml', bad);
    const said = await daemon.line(/field\.yaml/, offset);
    expect(said).toContain(`${folder.path}/field.yaml:${lineNumber}:`);
    expect(said).toContain('Ingress default/field spec.rules[0].http.paths[0].path');
    expect((await daemon.request('field.test')).body).toBe('first');

    await folder.put('field.yaml', good);
    await daemon.line(/resolved: Ingress default\/field /, offset);
  });

  it('answers 503, not 404, for a Service that is missing, and tells so once', async () => {
    const offset = daemon.output().length;
    const site = { host: 'lonely.test', name: 'lonely', endpoints: [] };
    await folder.put('lonely.yaml', manifest(ingressOf(site)));
    await answersWith('lonely.test', 503);
    expect(await daemon.line(/ServiceNotFound/, offset)).toContain(`${folder.path}/lonely.yaml:`);
    // Something else changes; what is known is not said again.
    const unrelated = { host: 'unrelated.test', name: 'unrelated', endpoints: [first.endpoint] };
    await folder.put('unrelated.yaml', manifest(...siteObjects(unrelated)));
    await answersBy('unrelated.test', first);
    expect(
      daemon
        .output()
        .slice(offset)
        .match(/ServiceNotFound/g),
    ).toHaveLength(1);
  });

  it('ends with 0 on SIGTERM', async () => {
    expect(await daemon.stop()).toBe(0);
    expect(daemon.output()).toContain('drained: every request was finished');
  });
});
