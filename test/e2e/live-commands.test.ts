import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Page, RouteRow, Traffic } from '../../src/admin/api/answers.ts';
import { type Daemon, MAIN, runPortico, startDaemon } from '../support/daemon.ts';
import { type Finished, portico } from '../support/portico.ts';
import { otlpFaults, readRequest } from '../support/otlp.ts';
import { until } from '../support/until.ts';
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

/** The program that gives a command a terminal; others of this name take other flags. */
const hasScript = (): boolean =>
  String(spawnSync('script', ['--version']).stdout ?? '').includes('util-linux');

describe('commands on a running Portico', () => {
  let daemon: Daemon;
  let folder: Folder;
  let pod: Pod;
  let socket: string;
  let collector: Server;
  const exported: string[] = [];
  beforeAll(async () => {
    pod = await startPod('pod');
    folder = createFolder();
    socket = join(folder.path, 'admin.sock');
    const shop = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    const lonely = ingressOf({ host: 'lonely.test', name: 'lonely', endpoints: [] });
    await folder.put('all.yaml', manifest(INGRESS_CLASS, ...siteObjects(shop), lonely));
    collector = createServer((request, response) => {
      void text(request).then((body) => {
        exported.push(body);
        response.end('{}');
      });
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const { port } = collector.address() as AddressInfo;
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_BSP_SCHEDULE_DELAY: '100' };
    const args = ['--manifests', folder.path, '--admin-socket', socket, '--log-level', 'warn'];
    args.push('--access-log-redact', 'card');
    daemon = startDaemon({ args, env });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
    collector.closeAllConnections();
    collector.close();
  });

  const run = (...args: string[]): Promise<Finished> => portico([...args, '--from', socket]);

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
    const [plain, json, problems, none] = await Promise.all([
      run('routes'),
      run('routes', 'shop', 'web', '--output', 'json'),
      run('problems', '--severity', 'error'),
      run('problems', 'nowhere'),
    ]);
    expect(plain.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
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
      portico(['explain', '--manifests', folder.path, '--http-port', '8080', url]),
    ]);
    expect(running.stdout).toContain('route: Prefix / of Ingress default/shop');
    expect(running).toMatchObject({ code: 0, stdout: offline.stdout });
    expect((await run('explain', 'ftp://x')).code).toBe(64);
  });

  it('top prints one snapshot where there is no terminal', async () => {
    const [plain, json] = await Promise.all([run('top'), run('top', '--output', 'json', '--backends')]);
    expect(plain.stdout).toMatch(/^Portico .*\n[\d.]+ requests\/s .*\nthreads .*\n\nREQ\/S .* ROUTE\n/);
    const { traffic } = JSON.parse(json.stdout) as { traffic: Traffic };
    expect(traffic.seconds).toBeGreaterThan(0);
  });

  it.skipIf(!hasScript())(
    'top is live at a terminal, whatever its size: keys change it, and q ends it',
    async () => {
      const command = [process.execPath, MAIN, 'top', '--from', socket].join(' ');
      const terminal = spawn('script', ['-qec', command, '/dev/null'], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const ended = once(terminal, 'close');
      let output = '';
      terminal.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
      await until(() => / ROUTE\b/.test(output), 'routes are drawn');
      terminal.stdin.write('b');
      await until(() => / BACKEND\b/.test(output), 'backends are drawn');
      terminal.stdin.write('q');
      expect(await ended).toEqual([0, null]);
    },
  );

  it.skipIf(!hasScript())('top ends with Ctrl-C while Portico does not answer', async () => {
    const silent = createNetServer().listen(join(folder.path, 'silent.sock'));
    const asked = once(silent, 'connection');
    const command = [process.execPath, MAIN, 'top', '--from', join(folder.path, 'silent.sock')].join(' ');
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    const ended = once(terminal, 'close');
    await asked;
    terminal.stdin.write('\u0003');
    expect(await ended).toEqual([0, null]);
    silent.close();
  });

  it('debug has the log tell what happens to requests, until it is turned off', async () => {
    expect((await run('debug', 'list')).stdout).toBe('nothing is on\n');
    const on = await run('debug', 'on', 'decide,upstream,response', '--host', 'shop.test', '--for', '5m');
    expect(on.stdout).toMatch(
      /^debug 1 is on until \S+: decide, upstream, response of at most 100 requests for/,
    );
    const listed = await run('debug', 'list');
    expect(listed.stdout).toMatch(/\n +1 +\S+ +shop\.test +100 +decide, upstream, response\n$/);
    const offset = daemon.output().length;
    await daemon.request('lonely.test', '/');
    await daemon.request('shop.test', '/cart?token=x&card=y', { fields: ['X-Request-ID: story-1'] });
    await daemon.line(/"over with 200/, offset);
    const lines = daemon
      .output()
      .slice(offset)
      .split('\n')
      .filter((line) => line.includes('"debug":1'))
      .map((line) => JSON.parse(line) as { topic: string; requestId: string; msg: string });
    expect(new Set(lines.map(({ requestId }) => requestId))).toEqual(new Set(['story-1']));
    expect(lines.map(({ topic, msg }) => `${topic}: ${msg.replaceAll(/[\d.]+ ms/g, 'T')}`)).toEqual([
      'decide: Ingress default/shop, path /: to default/shop:http',
      expect.stringMatching(/^upstream: attempt 1: [\d.:]+, HTTP\/1\.1, connecting$/),
      'upstream: attempt 1: connected after T',
      'upstream: attempt 1: sent GET /cart?token=REDACTED&card=REDACTED',
      'upstream: attempt 1: answered with 200 after T',
      expect.stringMatching(/^response: over with 200 after T, 0 bytes in, \d+ bytes out$/),
    ]);
    expect((await run('debug', 'off', '1')).stdout).toBe('1 turned off\n');
    expect((await run('debug', 'off')).stdout).toBe('nothing was on\n');
    const wrong = await run('debug', 'on', 'x');
    expect([wrong.code, wrong.stderr.split('\n').length]).toEqual([69, 2]);
    for (const time of ['2h', '5d']) {
      const { code, stderr } = await run('debug', 'on', '--for', time);
      expect([code, stderr]).toEqual([
        64,
        `portico debug: --for: '${time}' is not a duration from 1s to 1h; write a number with s, m or h: 5m\n`,
      ]);
    }
  });

  it('while spans of requests reach the collector', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    await daemon.request('shop.test', '/?token=x&card=y', {
      fields: [`traceparent: 00-${trace}-00f067aa0ba902b7-01`],
    });
    await until(() => exported.some((body) => body.includes(trace)), 'the trace is exported');
    for (const body of exported) expect(otlpFaults(JSON.parse(body))).toEqual([]);
    const spans = exported
      .flatMap((body) => readRequest(body).spans)
      .filter(({ traceId }) => traceId === trace);
    const query = 'token=REDACTED&card=REDACTED';
    expect(
      spans.map(({ kind, attributes }) => [kind, attributes['url.query'] ?? attributes['url.full']]),
    ).toEqual([
      ['server', query],
      ['client', `http://${pod.endpoint}/?${query}`],
    ]);
    await until(
      async () => (await daemon.metric('portico_trace_spans_exported_total')) >= 2,
      'they are counted',
    );
  });

  it('say in one line what cannot be asked', async () => {
    const nowhere = join(folder.path, 'none.sock');
    const results = await Promise.all([
      portico(['status', '--from', nowhere]),
      portico(['routes', '--from', 'nonsense']),
    ]);
    expect(results.map(({ code, stderr }) => [code, stderr.split('\n').length])).toEqual([
      [69, 2],
      [64, 2],
    ]);
    expect(results[0]?.stderr).toContain(`${nowhere}: there is no such socket`);
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
