import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, startDaemon, HTTPS_PORT } from '../support/daemon.ts';
import { authority } from '../support/tls-proxy.ts';
import { type Folder, createFolder } from './folder.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from './site.ts';
import { LIMIT_MS, happens } from '../support/until.ts';
import { STAYS_OPEN } from '../support/stays-open.ts';

const HOST = 'app.example.test';
/** A browser that does not come to an end of its own is given its page as it is after this. */
const PAGE_TIMEOUT_MS = LIMIT_MS;

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find((program) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${program}`]).length > 0;
  } catch {
    return false;
  }
});

if (chromium === undefined)
  console.warn('no chromium was found: the test that opens a page in it is skipped');

/**
 * The picture is held back until the page says that it has shown the echo: the page is loaded then, and not earlier,
 * so nobody has to guess how long that takes.
 */
const PAGE = `<!doctype html>
<title>waiting</title>
<p id="echo">nothing yet</p>
<p id="protocol"></p>
<img src="/picture.svg" alt="">
<script>
  const show = (id, text) => (document.getElementById(id).textContent = text);
  const socket = new WebSocket('wss://' + location.host + '/socket');
  socket.onopen = () => socket.send('through Portico');
  socket.onerror = () => (document.title = 'failed');
  socket.onmessage = ({ data }) => {
    document.title = 'echoed';
    show('echo', data);
    show('protocol', 'page over ' + performance.getEntriesByType('navigation')[0].nextHopProtocol);
    socket.send('shown');
  };
</script>
`;

const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><circle cx="16" cy="16" r="16" fill="green"/></svg>`;

/** Serves the page, its WebSocket, and the picture once the page is done. */
async function startSitePod(): Promise<Server> {
  const waiting: ServerResponse[] = [];
  let shown = false;
  const release = (): void => {
    for (const response of waiting.splice(0))
      response.setHeader('content-type', 'image/svg+xml').end(PICTURE);
  };
  const server = createServer(STAYS_OPEN, (request, response) => {
    if (request.url === '/') return void response.setHeader('content-type', 'text/html').end(PAGE);
    if (request.url !== '/picture.svg') return void response.writeHead(404).end();
    waiting.push(response);
    if (shown) release();
  });
  new WebSocketServer({ server, path: '/socket' }).on('connection', (socket, { headers }) => {
    socket.on('error', () => undefined);
    socket.on('message', (message) => {
      const text = (message as Buffer).toString();
      shown = text === 'shown';
      if (shown) release();
      else socket.send(`echo of ${text}, ${headers['x-forwarded-proto']}, ${headers.origin}`);
    });
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return server;
}

function siteObjects(port: number): ApiObject[] {
  const { certificate, key } = authority().issue([HOST]);
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const parts = { host: HOST, endpoints: [`127.0.0.1:${port}`] };
  const ingress = ingressOf(parts);
  const tls = [{ hosts: [HOST], secretName: 'site' }];
  return [
    INGRESS_CLASS,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'site', namespace: 'default' },
      data: { 'tls.crt': encode(certificate), 'tls.key': encode(key) },
    },
    { ...ingress, spec: { ...(ingress['spec'] as object), tls } },
    serviceOf(parts),
    ...slicesOf(parts),
  ];
}

describe.skipIf(chromium === undefined)('Chromium', () => {
  let pod: Server;
  let folder: Folder;
  let daemon: Daemon;
  let profile: string;
  let browser: ChildProcess | null = null;

  beforeAll(async () => {
    profile = mkdtempSync(join(tmpdir(), 'portico-chromium-'));
    pod = await startSitePod();
    folder = createFolder();
    await folder.put('site.yaml', manifest(...siteObjects((pod.address() as AddressInfo).port)));
    daemon = startDaemon({ args: ['--manifests', folder.path, '--https-port', `${HTTPS_PORT}`] });
    await daemon.ready();
  });

  afterAll(async () => {
    // With all the processes that it has started.
    if (browser?.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    pod.close();
    pod.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });

  it('shows a page whose WebSocket comes back to the same host', async () => {
    browser = spawn(
      chromium ?? '',
      [
        ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
        ...['--ignore-certificate-errors', `--user-data-dir=${profile}`, '--no-proxy-server'],
        `--host-resolver-rules=MAP ${HOST} ${daemon.address}, MAP * ~NOTFOUND`,
        ...['--dump-dom', `--timeout=${PAGE_TIMEOUT_MS}`, `https://${HOST}:${HTTPS_PORT}/`],
      ],
      { stdio: ['ignore', 'pipe', 'ignore'], detached: true },
    );
    let dom = '';
    browser.stdout?.setEncoding('utf8').on('data', (text: string) => (dom += text));
    await once(browser, 'close');
    expect(dom).toContain('<title>echoed</title>');
    expect(dom).toContain(`echo of through Portico, https, https://${HOST}:${HTTPS_PORT}`);
    expect(dom).toContain('page over h2');
    // On the connection of the page (RFC 8441).
    expect(await daemon.line(/\/socket/)).toMatch(/HTTP\/2/);
  });
});
