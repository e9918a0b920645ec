import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { type IncomingMessage, createServer, get } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../../scripts/bundle.ts';
import { VERSION } from '../../src/version.ts';
import { startApiServer } from '../support/api-server.ts';
import { BUNDLE } from '../support/bundle.ts';
import { HTTP_PORT, STATUS_PORT, eventually, environment } from '../support/daemon.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { happens } from '../support/until.ts';
import { STAYS_OPEN } from '../support/stays-open.ts';

const run = promisify(execFile);
/** Without the variables of the tests. */
const env = environment({});
const HOST = 'shop.example';
let folder = '';
let portico = '';

/** The bundle as it is in the image: nothing beside it and nothing above it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portico-bundle-'));
  portico = join(folder, 'portico');
  await cp(BUNDLE ?? '', portico, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function manifestsFor(address: string, port: number): Promise<string> {
  const manifests = join(folder, `manifests-${address}`);
  await mkdir(manifests);
  const text = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  ingressClassName: portico
  rules:
    - host: ${HOST}
      http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: shop, port: { number: 80 } } } }
---
apiVersion: v1
kind: Service
metadata: { name: shop }
spec: { ports: [{ port: 80, targetPort: ${port} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: shop-1, labels: { kubernetes.io/service-name: shop } }
addressType: IPv4
ports: [{ name: '', port: ${port} }]
endpoints: [{ addresses: [${address}] }]
`;
  await writeFile(join(manifests, 'shop.yaml'), text);
  return manifests;
}

/** An upstream on an address of its own. */
async function upstream(address: string): Promise<number> {
  const server = createServer(STAYS_OPEN, (request, response) =>
    response.end(`${request.url} of the shop\n`),
  );
  server.listen(0, address);
  onTestFinished(() => void server.close());
  await happens(server, 'listening');
  const bound = server.address();
  return typeof bound === 'object' && bound ? bound.port : 0;
}

async function fetchFrom(
  address: string,
  port: number,
  path: string,
): Promise<[status: number, body: string]> {
  const asked = get({ host: address, port, path, headers: { host: HOST }, agent: false });
  const [response] = (await happens(asked, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  return [response.statusCode ?? 0, body];
}

/** Resident memory as Linux counts it, in MiB; NaN elsewhere. */
async function residentMiB({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]) / 1024);
}

test('is a program, its module type and the licences of what it holds', async () => {
  expect((await readdir(portico)).toSorted()).toEqual([
    'THIRD-PARTY-LICENSES.txt',
    'admin-page.html',
    'chunks',
    'package.json',
    'portico.js',
  ]);
  const licenses = await readFile(join(portico, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
  const named = new Set([...licenses.matchAll(/^(\S+) \d+\.\d+\.\d+\n\n/gm)].map(([, name]) => name));
  expect([...named]).toEqual(
    expect.arrayContaining([
      '@kubernetes/client-node',
      'commander',
      'http-proxy',
      'picomatch',
      'pino',
      'yaml',
    ]),
  );
});

test('the admin page is one small file that asks nobody but its own origin', async () => {
  const html = await readFile(join(portico, 'admin-page.html'), 'utf8');
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(html.match(/<style/g)).toHaveLength(1);
  expect(html).not.toContain('/*script*/');
  const urls = html.match(/https?:\/\/[\w.]+/g) ?? [];
  expect(urls.filter((url) => !/w3\.org|example\.com/.test(url))).toEqual([]);
  expect(html.length).toBeLessThan(100_000);
  // Of the program it has types only.
  const sources = (await readdir(join(ROOT, 'page'))).filter((name) => /\.tsx?$/.test(name));
  const imports = (
    await Promise.all(sources.map((name) => readFile(join(ROOT, 'page', name), 'utf8')))
  ).flatMap((text) => text.match(/^import [^;]* from '[./]*\/src\/[^;]*;/gm) ?? []);
  expect(imports.length).toBeGreaterThan(5);
  expect(imports.filter((text) => !text.startsWith('import type '))).toEqual([]);
});

/** The files that are loaded before anything runs, and what they need of Node. */
async function loadedBy(file: string, seen = new Set<string>()): Promise<Set<string>> {
  seen.add(file);
  const text = await readFile(file, 'utf8');
  for (const [, name = ''] of text.matchAll(/\b(?:from|import)\s*["']([^"']+)["']/g)) {
    const target = name.startsWith('.') ? resolve(dirname(file), name) : name;
    if (!seen.has(target)) await (name.startsWith('.') ? loadedBy(target, seen) : seen.add(target));
  }
  return seen;
}

test('a probe, which the kubelet starts every few seconds, loads a few lines and a socket', async () => {
  const loaded = [...(await loadedBy(join(portico, 'portico.js')))];
  expect(loaded.filter((name) => name.startsWith('node:')).toSorted()).toEqual(['node:module', 'node:net']);
  const sizes = await Promise.all(loaded.filter((name) => name.endsWith('.js')).map((name) => stat(name)));
  expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(8 * 1024);
});

test('answers --version and explain from an empty folder', async () => {
  const script = join(portico, 'portico.js');
  const cwd = portico;
  const manifests = await manifestsFor(loopbackAddress(), 8080);
  const version = await run(process.execPath, [script, '--version'], { cwd, env });
  expect(version).toEqual({ stdout: `${VERSION}\n`, stderr: '' });
  const url = `http://${HOST}/cart`;
  const explain = await run(process.execPath, [script, 'explain', '--manifests', manifests, url], {
    cwd,
    env,
  });
  expect(explain.stdout).toContain('backend: default/shop:80');
});

test('reads a cluster through a kubeconfig: client-node is in the bundle', async () => {
  const api = await startApiServer({ protocol: 'h2', token: 'secret' });
  onTestFinished(() => api.close());
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, api.kubeconfig({ token: 'secret' }));
  const args = ['check', '--kubeconfig', kubeconfig];
  const check = await run(process.execPath, [join(portico, 'portico.js'), ...args], { cwd: portico });
  expect(check.stdout).toBe('0 routes on 0 hosts; no problems\n');
});

// The other tests run the bundle from where it was built, with either engine.
test('serves in data-plane threads, is probed on its socket and drains on SIGTERM', async () => {
  const address = loopbackAddress();
  const port = await upstream(address);
  const manifests = await manifestsFor(address, port);
  const socket = join(folder, 'status.sock');
  const script = join(portico, 'portico.js');
  const args = ['run', '--manifests', manifests, '--workers', '2', '--status-socket', socket];
  args.push('--bind-address', address, '--http-port', `${HTTP_PORT}`, '--https-port', '0');
  args.push('--status-port', `${STATUS_PORT}`);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [script, ...args], {
    cwd: portico,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));

  const ended = once(child, 'exit');
  await eventually(async () => (await fetchFrom(address, STATUS_PORT, '/readyz'))[0] === 200, ended);
  const readyMs = Math.round(performance.now() - startedAt);
  const probe = (what: string) => run(process.execPath, [script, 'probe', what, `--status-socket=${socket}`]);
  expect(await Promise.all([probe('readyz'), probe('healthz')])).toEqual([
    { stdout: 'ok\n', stderr: '' },
    { stdout: 'ok\n', stderr: '' },
  ]);

  expect(await fetchFrom(address, HTTP_PORT, '/cart?a=1')).toEqual([200, '/cart?a=1 of the shop\n']);
  console.log(`bundle: ready in ${readyMs} ms, ${await residentMiB(child)} MiB with 2 threads`);

  child.kill('SIGTERM');
  expect(await happens(child, 'close')).toEqual([0, null]);
  expect(output).toContain('every request was finished');
});
