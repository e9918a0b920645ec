import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Page, RouteRow, Traffic } from '../../src/admin/api/answers.ts';
import { type Daemon, type Finished, runPortico, startDaemon } from '../support/daemon.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, siteObjects } from './site.ts';

const SHIM = join(import.meta.dirname, '../../deploy/kubectl/kubectl-portico');

/** Writes what it is called with, one argument a line, and a name where it is asked for Pods. */
const KUBECTL = `#!/bin/sh
for argument in "$@"; do echo "$argument"; done >> "$CALLS"
echo -- >> "$CALLS"
case "$*" in *'get pods'*) echo portico-b portico-c ;; esac
`;

describe('commands on a running Portico', () => {
  let daemon: Daemon;
  let folder: Folder;
  let pod: Pod;
  let socket: string;
  beforeAll(async () => {
    pod = await startPod('pod');
    folder = createFolder();
    socket = join(folder.path, 'admin.sock');
    const shop = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    const lonely = ingressOf({ host: 'lonely.test', name: 'lonely', endpoints: [] });
    await folder.put('all.yaml', manifest(INGRESS_CLASS, ...siteObjects(shop), lonely));
    daemon = startDaemon({ args: ['--manifests', folder.path, '--admin-socket', socket] });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
  });

  const run = (...args: string[]): Promise<Finished> => runPortico([...args, '--from', socket]);

  it('status says how it is', async () => {
    const { code, stdout } = await run('status', '--output', 'wide');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Portico \S+, started \S+\nready\ntable generation 1: 2 routes on 2 hosts, 2 backends\nproblems: 1 error, /,
    );
    expect(stdout).toMatch(/^THREAD {2}GENERATION/m);
    expect(stdout).toMatch(/^Ingress +2 {2}connected/m);
  });

  it('routes and problems list what there is, as text and JSON', async () => {
    const [text, json, problems, none] = await Promise.all([
      run('routes'),
      run('routes', 'shop', 'web', '--output', 'json'),
      run('problems', '--severity', 'error'),
      run('problems', 'nowhere'),
    ]);
    expect(text.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['HOST', 'PATH', 'TYPE', 'OBJECT', 'BACKENDS'],
      ['lonely.test', '/', 'Prefix', 'Ingress default/lonely', 'default/lonely:http (service-not-found)'],
      ['shop.test', '/', 'Prefix', 'Ingress default/shop', 'default/shop:http (1)'],
      [''],
    ]);
    expect((JSON.parse(json.stdout) as Page<RouteRow>).total).toBe(0);
    expect(problems.stdout).toMatch(
      /^error: \S+:\d+:\d+: Ingress default\/lonely .*\(ServiceNotFound\)\n1 problem\n$/,
    );
    expect(none.stdout).toBe('0 problems\n');
  });

  it('explain says what it says of the manifests', async () => {
    const url = 'http://shop.test/x';
    const [running, offline] = await Promise.all([
      run('explain', url),
      runPortico(['explain', '--manifests', folder.path, '--http-port', '8080', url]),
    ]);
    expect(running.stdout).toContain('route: Prefix / of Ingress default/shop');
    expect(running).toMatchObject({ code: 0, stdout: offline.stdout });
    expect((await run('explain', 'ftp://x')).code).toBe(64);
  });

  it('top prints one snapshot where there is no terminal', async () => {
    const [text, json] = await Promise.all([run('top'), run('top', '--output', 'json', '--backends')]);
    expect(text.stdout).toMatch(/^Portico .*\n[\d.]+ requests\/s .*\nthreads .*\n\nREQ\/S .* ROUTE\n/);
    const { traffic } = JSON.parse(json.stdout) as { traffic: Traffic };
    expect(traffic.seconds).toBeGreaterThan(0);
  });

  it('say in one line what cannot be asked', async () => {
    const nowhere = join(folder.path, 'none.sock');
    const results = await Promise.all([
      runPortico(['status', '--from', nowhere]),
      runPortico(['routes', '--from', 'nonsense']),
    ]);
    expect(results.map(({ code, stderr }) => [code, stderr.split('\n').length])).toEqual([
      [69, 2],
      [64, 2],
    ]);
    expect(results[0]?.stderr).toContain(`${nowhere}: connect ENOENT`);
  });

  it('run in a Pod by kubectl exec, from the command and from the plugin', async () => {
    const calls = join(folder.path, 'calls');
    await writeFile(join(folder.path, 'kubectl'), KUBECTL);
    await chmod(join(folder.path, 'kubectl'), 0o755);
    const env = { CALLS: calls, PATH: `${folder.path}:${process.env['PATH']}` };
    const inPod = '/usr/local/bin/node /portico/portico.js';
    const from = '--from /run/portico/admin.sock';
    const said = async (): Promise<string> => {
      const text = (await readFile(calls, 'utf8')).replaceAll('\n', ' ');
      await writeFile(calls, '');
      return text.trim();
    };
    const { code } = await runPortico(['routes', 'a b', '--from=pod/edge/portico-a', '--output', 'wide'], {
      env,
    });
    expect(code).toBe(0);
    expect(await said()).toBe(
      `exec --namespace edge portico-a -- ${inPod} routes a b --output wide ${from} --`,
    );
    const shim = (...args: string[]) => promisify(execFile)(SHIM, args, { env: { ...process.env, ...env } });
    await shim('problems', '-n', 'edge', '--namespace-of', 'shop', '--context', 'test', 'a b');
    const both = await said();
    expect(both).toContain('--context test --namespace edge get pods');
    expect(both).toContain(
      `--context test --namespace edge exec portico-b -- ${inPod} problems --namespace shop a b ${from} --`,
    );
    await expect(shim('delete')).rejects.toMatchObject({ code: 64 });
    expect((await shim('--help')).stdout).toContain('kubectl portico explain URL');
  });
});
