import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runPortico, startDaemon } from '../support/daemon.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { scriptedCluster } from './cluster.ts';
import { createFolder } from './folder.ts';
import { INGRESS_CLASS, manifest } from './site.ts';

it('two processes share every port, and each is asked on its own socket', async () => {
  await using folder = createFolder();
  await folder.put('class.yaml', manifest(INGRESS_CLASS));
  await using away = await scriptedCluster();
  away.api.forbid('ingresses');
  const address = loopbackAddress();
  const socket = (name: string): string => join(folder.path, `${name}.sock`);
  const probe = async (what: string, name: string): Promise<number | NodeJS.Signals> =>
    (await runPortico(['probe', what, '--status-socket', socket(name)])).code;

  const old = ['--manifests', folder.path, '--status-socket', socket('old')];
  await using serving = startDaemon({ args: old, address });
  await serving.ready();
  // This one never gets its table, and may not be taken for ready because the other one is.
  await using starting = startDaemon({ args: [...away.args, '--status-socket', socket('new')], address });
  await starting.line(/Portico may not read ingresses/);

  expect([await probe('readyz', 'old'), await probe('healthz', 'old')]).toEqual([0, 0]);
  expect([await probe('readyz', 'new'), await probe('healthz', 'new')]).toEqual([1, 0]);
  expect(await starting.stop()).toBe(0);
  expect(await probe('healthz', 'new')).toBe(1);

  // A file that a killed process left behind is no obstacle to the next one.
  serving.signal('SIGKILL');
  await serving.exited;
  expect(await probe('readyz', 'old')).toBe(1);
  await using next = startDaemon({ args: old, address });
  await next.ready();
  expect(await probe('readyz', 'old')).toBe(0);
});

it('a probe that cannot be answered says so in one line', async () => {
  const { code, stderr } = await runPortico(['probe', 'readyz', '--status-socket', '/nowhere/portico.sock']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^portico probe: \/nowhere\/portico\.sock: .*ENOENT.*; is Portico running\?\n$/);
  const wrong = await runPortico(['probe', 'livez', '--status-socket', '/nowhere/portico.sock']);
  expect([wrong.code, wrong.stderr]).toEqual([
    64,
    "portico probe: 'livez' is not valid; use healthz or readyz\n",
  ]);
});
