import { type IncomingMessage, type RequestListener, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { STAYS_OPEN } from '../support/stays-open.ts';
import { happens } from '../support/until.ts';

/** A Pod that serves pages to a browser. */
export interface PagePod extends AsyncDisposable {
  /** `address:port` */
  readonly endpoint: string;
}

async function startPagePod(server: Server): Promise<PagePod> {
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const WAITING = `<!doctype html>
<p id="echo">nothing yet</p>
<p id="protocol"></p>
<script>
  const show = (id, text) => (document.getElementById(id).textContent = text);
  const socket = new WebSocket('wss://' + location.host + '/socket');
  socket.onopen = () => socket.send('through Portico');
  socket.onerror = () => show('echo', 'failed');
  socket.onmessage = ({ data }) => {
    show('protocol', 'page over ' + performance.getEntriesByType('navigation')[0].nextHopProtocol);
    show('echo', data);
  };
</script>
`;

/** A page that shows what its WebSocket sends back. */
export function startEchoPod(): Promise<PagePod> {
  const server = createServer(STAYS_OPEN, (request, response) => {
    if (request.url !== '/') return void response.writeHead(404).end();
    response.setHeader('content-type', 'text/html').end(WAITING);
  });
  new WebSocketServer({ server, path: '/socket' }).on('connection', (socket, { headers }) => {
    socket.on('error', () => undefined);
    socket.on('message', (message) => {
      const text = (message as Buffer).toString();
      socket.send(`echo of ${text}, ${headers['x-forwarded-proto']}, ${headers.origin}`);
    });
  });
  return startPagePod(server);
}

/** What oauth2-proxy does: `/oauth2/auth` says yes to who has the cookie, `/oauth2/start` sets it and goes back. */
export function startAuthPod(): Promise<PagePod> {
  const listener: RequestListener = (request, response) => {
    const url = new URL(request.url ?? '', 'http://auth');
    if (url.pathname === '/oauth2/start') {
      const back = new URL(url.searchParams.get('rd') ?? '/', `http://${request.headers.host}`);
      const cookie = '_oauth2_proxy=ada; Path=/; HttpOnly; SameSite=Lax';
      return void response.writeHead(302, { Location: back.href, 'Set-Cookie': cookie }).end();
    }
    const isSignedIn = request.headers.cookie?.includes('_oauth2_proxy=ada') ?? false;
    if (isSignedIn) response.writeHead(202, { 'X-Auth-Request-User': 'ada' }).end();
    else response.writeHead(401).end();
  };
  return startPagePod(createServer(STAYS_OPEN, listener));
}

/** A page that says who wanted what, and what it gets from other origins, each of which is a URL. */
export function startAskingPod(origins: readonly string[]): Promise<PagePod> {
  // While the page is loaded, so that it has the answers when it is.
  const script = `
    const ask = (origin) => {
      const request = new XMLHttpRequest();
      request.open('PUT', origin + '/data', false);
      request.setRequestHeader('X-Custom', 'yes');
      try {
        request.send();
        return request.responseText + ' ' + request.getResponseHeader('X-Shown');
      } catch {
        return 'blocked';
      }
    };
    document.write('<p>' + ${JSON.stringify(origins)}.map(ask).join(', ') + '</p>');
  `;
  const listener: RequestListener = (request, response) => {
    const user = String(request.headers['x-auth-request-user']);
    const wanted = request.url?.replaceAll('&', '&amp;');
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><p>${user} wanted ${wanted}</p><script>${script}</script>`);
  };
  return startPagePod(createServer(STAYS_OPEN, listener));
}

/** Data for pages of other origins; `onRequest` is told of each request for it. */
export function startDataPod(onRequest: (request: IncomingMessage) => void): Promise<PagePod> {
  const listener: RequestListener = (request, response) => {
    onRequest(request);
    response.setHeader('X-Shown', 'too').end('data');
  };
  return startPagePod(createServer(STAYS_OPEN, listener));
}
