import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { eventually, startDaemon } from '../support/daemon.ts';
import { createFolder } from './folder.ts';
import { startPod } from './pod.ts';
import { INGRESS_CLASS, manifest, siteObjects } from './site.ts';

// To root no file is closed, unless it gives up these rights.
const through = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

it('a manifest that may not be read is named, the others are served, and what it said before stays', async () => {
  await using pod = await startPod('pod');
  await using folder = createFolder();
  const put = (name: string): Promise<void> =>
    folder.put(
      `${name}.yaml`,
      manifest(...siteObjects({ host: `${name}.test`, name, endpoints: [pod.endpoint] })),
    );
  await folder.put('class.yaml', manifest(INGRESS_CLASS));
  for (const name of ['open', 'closed']) await put(name);
  const [open, closed] = ['open', 'closed'].map((name) => join(folder.path, `${name}.yaml`)) as [
    string,
    string,
  ];
  await chmod(closed, 0o000);
  await using daemon = startDaemon({ args: ['--manifests', folder.path, '--workers', '1'], through });
  await daemon.ready();
  const line = await daemon.line(/may not be read/);
  expect(line).toContain(closed);
  expect(line).toContain('check its permissions');
  const statuses = async (): Promise<number[]> =>
    Promise.all(['open.test', 'closed.test'].map(async (host) => (await daemon.request(host)).status));
  expect(await statuses()).toEqual([200, 404]);

  await chmod(closed, 0o600);
  await eventually(async () => (await statuses()).join() === '200,200', daemon.exited);
  const offset = daemon.output().length;
  await chmod(open, 0o000);
  await daemon.line(/open\.yaml.*may not be read/, offset);
  expect(await statuses()).toEqual([200, 200]);
  await chmod(open, 0o600);
  await daemon.line(/open\.yaml/, daemon.output().length);
  expect(await daemon.stop()).toBe(0);
});
