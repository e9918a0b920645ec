import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { HTTP_PORT, startDaemon } from '../support/daemon.ts';
import { STAYS_OPEN } from '../support/stays-open.ts';
import { LIMIT_MS, happens } from '../support/until.ts';
import { createFolder } from './folder.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from './site.ts';

const HOST = 'app.example.test';
const PAGE_TIMEOUT_MS = LIMIT_MS;

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find((program) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${program}`]).length > 0;
  } catch {
    return false;
  }
});

if (chromium === undefined) console.warn('no chromium was found: the test that signs in with it is skipped');

/** What oauth2-proxy does: `/oauth2/auth` says yes to who has the cookie, `/oauth2/start` sets it and goes back. */
function authServer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'http://auth');
  if (url.pathname === '/oauth2/start') {
    const back = new URL(url.searchParams.get('rd') ?? '/', `http://${request.headers.host}`);
    const cookie = '_oauth2_proxy=ada; Path=/; HttpOnly; SameSite=Lax';
    return void response.writeHead(302, { Location: back.href, 'Set-Cookie': cookie }).end();
  }
  const isSignedIn = request.headers.cookie?.includes('_oauth2_proxy=ada') ?? false;
  if (isSignedIn) response.writeHead(202, { 'X-Auth-Request-User': 'ada' }).end();
  else response.writeHead(401).end();
}

/** Asks another origin while the page is loaded, so that the page has the answer when it is. */
const SCRIPT = `
  const ask = (host) => {
    const request = new XMLHttpRequest();
    request.open('PUT', 'http://' + host + ':${HTTP_PORT}/data', false);
    request.setRequestHeader('X-Custom', 'yes');
    try {
      request.send();
      return request.responseText + ' ' + request.getResponseHeader('X-Shown');
    } catch {
      return 'blocked';
    }
  };
  document.write('<p>open: ' + ask('open.example.test') + ', closed: ' + ask('closed.example.test') + '</p>');
`;

function page(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'text/html');
  const user = String(request.headers['x-auth-request-user']);
  response.end(
    `<!doctype html><title>in</title><p>${user} wanted ${request.url?.replaceAll('&', '&amp;')}</p><script>${SCRIPT}</script>`,
  );
}

describe.skipIf(chromium === undefined)('Chromium', () => {
  it('is sent to sign in, comes back to the page that it wanted, and asks the origins that it may', async () => {
    const methods: (string | undefined)[] = [];
    const api = createServer(STAYS_OPEN, ({ method }, response) => {
      methods.push(method);
      response.setHeader('X-Shown', 'too').end('data');
    });
    const servers = [createServer(STAYS_OPEN, authServer), createServer(STAYS_OPEN, page), api];
    for (const server of servers) {
      server.listen(0, '127.0.0.1');
      await happens(server, 'listening');
    }
    const [authPort = 0, pagePort = 0, apiPort = 0] = servers.map(
      (server) => (server.address() as AddressInfo).port,
    );
    const profile = mkdtempSync(join(tmpdir(), 'portico-sign-in-'));
    const app = { host: HOST, name: 'app', endpoints: [`127.0.0.1:${pagePort}`] };
    const auth = { host: HOST, name: 'auth', endpoints: [`127.0.0.1:${authPort}`] };
    const guarded = ingressOf(app);
    const annotations = {
      'nginx.ingress.kubernetes.io/auth-url': `http://127.0.0.1:${authPort}/oauth2/auth`,
      'nginx.ingress.kubernetes.io/auth-signin': 'http://$http_host/oauth2/start?rd=$escaped_request_uri',
      'nginx.ingress.kubernetes.io/auth-response-headers': 'X-Auth-Request-User',
    };
    const open = ingressOf(auth);
    const paths = [
      { path: '/oauth2', pathType: 'Prefix', backend: { service: { name: 'auth', port: { number: 80 } } } },
    ];
    const spec = { ...(open['spec'] as object), rules: [{ host: HOST, http: { paths } }] };
    const crossOrigin = (name: string, origin: string): ApiObject[] => {
      const site = { host: `${name}.example.test`, name, endpoints: [`127.0.0.1:${apiPort}`] };
      const ingress = ingressOf(site);
      const cors = {
        'nginx.ingress.kubernetes.io/enable-cors': 'true',
        'nginx.ingress.kubernetes.io/cors-allow-origin': origin,
        'nginx.ingress.kubernetes.io/cors-allow-headers': 'X-Custom',
        'nginx.ingress.kubernetes.io/cors-expose-headers': 'X-Shown',
      };
      const metadata = { ...ingress.metadata, annotations: cors };
      return [{ ...ingress, metadata } as ApiObject, serviceOf(site), ...slicesOf(site)];
    };
    await using folder = createFolder();
    await folder.put(
      'site.yaml',
      manifest(
        ...[INGRESS_CLASS, { ...guarded, metadata: { ...guarded.metadata, annotations } }, { ...open, spec }],
        ...[serviceOf(app), ...slicesOf(app), serviceOf(auth), ...slicesOf(auth)],
        ...crossOrigin('open', `http://${HOST}:${HTTP_PORT}`),
        ...crossOrigin('closed', 'https://elsewhere.test'),
      ),
    );
    await using daemon = startDaemon({ args: ['--manifests', folder.path] });
    await daemon.ready();
    const browser = spawn(
      chromium ?? '',
      [
        ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
        ...[`--user-data-dir=${profile}`, '--no-proxy-server'],
        `--host-resolver-rules=MAP *.example.test ${daemon.address}, MAP * ~NOTFOUND`,
        ...['--dump-dom', `--timeout=${PAGE_TIMEOUT_MS}`, `http://${HOST}:${HTTP_PORT}/a?b=c&d=%20e`],
      ],
      { stdio: ['ignore', 'pipe', 'ignore'], detached: true },
    );
    try {
      let dom = '';
      browser.stdout?.setEncoding('utf8').on('data', (text: string) => (dom += text));
      await once(browser, 'close');
      expect(dom).toContain('<p>ada wanted /a?b=c&amp;d=%20e</p>');
      expect(dom).toContain('<p>open: data too, closed: blocked</p>');
      // Preflights are answered before a Pod sees them.
      expect(methods).toEqual(['PUT']);
    } finally {
      // With all the processes that it has started.
      if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, 'SIGKILL');
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});
