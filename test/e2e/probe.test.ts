import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runPortico, startDaemon } from '../support/daemon.ts';
import { leaveSocket } from '../support/left-socket.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { portico } from '../support/portico.ts';
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
  const line = (what: string, name: string): string[] => ['probe', what, '--status-socket', socket(name)];
  const probe = async (what: string, name: string): Promise<number> => (await portico(line(what, name))).code;

  const old = ['--manifests', folder.path, '--status-socket', socket('old')];
  await using serving = startDaemon({ args: old, address });
  await serving.ready();
  // A file that a killed process left behind is no obstacle to the next one.
  await leaveSocket(socket('new'));
  expect(await probe('healthz', 'new')).toBe(1);
  // This one never gets its table, and may not be taken for ready because the other one is.
  await using starting = startDaemon({ args: [...away.args, '--status-socket', socket('new')], address });
  await starting.line(/Portico may not read ingresses/);

  const { code, stdout } = await runPortico(line('readyz', 'old'));
  expect([code, stdout]).toEqual([0, expect.stringContaining('ok')]);
  expect(await probe('healthz', 'old')).toBe(0);
  expect([await probe('readyz', 'new'), await probe('healthz', 'new')]).toEqual([1, 0]);
  expect(await starting.stop()).toBe(0);
  expect(await probe('healthz', 'new')).toBe(1);

  serving.signal('SIGKILL');
  await serving.exited;
  expect(await probe('readyz', 'old')).toBe(1);
});

it('a probe that cannot be answered says so in one line', async () => {
  const { code, stderr } = await runPortico(['probe', 'readyz', '--status-socket', '/nowhere/portico.sock']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^portico probe: \/nowhere\/portico\.sock: .*ENOENT.*; is Portico running\?\n$/);
  const wrong = await portico(['probe', 'livez', '--status-socket', '/nowhere/portico.sock']);
  expect([wrong.code, wrong.stderr]).toEqual([
    64,
    "portico probe: 'livez' is not valid; use healthz or readyz\n",
  ]);
});
