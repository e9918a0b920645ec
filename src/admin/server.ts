import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createOpenResponses } from './connection-limits.ts';
import { closeNow, listenHttp, sendText, writeHead } from './http-listener.ts';
import { clearSocketPath } from './socket-path.ts';
import { inTurns } from './in-turns.ts';
import { judgeLocal } from './local-only.ts';
import { type Exposition, negotiateExposition } from './exposition.ts';
import { type Scrape, shareScrapes } from './scrapes.ts';
import { chunksInSlices } from './slices.ts';

/** One condition of being ready, as `/readyz?verbose` shows it. */
export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  /** What is awaited, or how it stands; one line. */
  readonly detail: string;
}

export interface AdminOptions {
  /** All of these hold when requests may be sent here. */
  readonly checks: () => readonly ReadinessCheck[];
  readonly metrics: (exposition: Exposition) => Promise<Scrape>;
  /** What is served, as pieces of JSON; only for clients on this machine, because it names everything. */
  readonly routes: () => Iterable<string>;
}

export interface Admin {
  /**
   * Resolves when it listens; rejects with the system's error. The port is shared with other processes of the same
   * user: during an upgrade any of them may answer, so a probe asks the socket.
   */
  listen(port: number, host: string | null): Promise<void>;
  /** Listens on a Unix socket too. A file that a process left behind there is replaced. */
  listenOnSocket(path: string): Promise<void>;
  close(): void;
}

/** Of each listener. Those of the port take nothing from those of the socket. */
const MAX_IDLE_CONNECTIONS = 128;
const METRICS_LIMIT = { limit: 8, timeoutMs: 10_000 };
const ROUTES_LIMIT = { limit: 2, timeoutMs: 30_000 };

type Handler = (request: IncomingMessage, response: ServerResponse, url: Url) => Promise<void> | void;

interface Url {
  readonly path: string;
  readonly query: string;
}

/**
 * `/healthz`, `/readyz[?verbose]`, `/metrics`, and `/routes` for this machine. Health is answered at once and waits for
 * nothing; answers that are long have limits of their own and are made in slices.
 */
export function createAdmin({ checks, metrics, routes }: AdminOptions): Admin {
  const servers: Server[] = [];
  /** One at a time: clients choose the format, and would have as many built at once as there are. */
  const inTurn = inTurns();
  const build = (exposition: Exposition) => (): Promise<Scrape> => inTurn(() => metrics(exposition));
  const readScrape: Readonly<Record<Exposition, ReturnType<typeof shareScrapes>>> = {
    prometheus: shareScrapes(build('prometheus')),
    openmetrics: shareScrapes(build('openmetrics')),
    protobuf: shareScrapes(build('protobuf')),
  };
  const openScrapes = createOpenResponses(METRICS_LIMIT);
  const openRoutes = createOpenResponses(ROUTES_LIMIT);

  const health: Handler = (_request, response) => sendText(response, 200, 'ok\n');

  const ready: Handler = (_request, response, { query }) => {
    const all = checks();
    const status = all.every((check) => check.ok) ? 200 : 503;
    sendText(response, status, readinessText(all, /(^|&)verbose(=|&|$)/.test(query)));
  };

  const scrape: Handler = async (request, response) => {
    openScrapes.add(peerOf(request), response);
    response.setHeader('Vary', 'Accept');
    await readScrape[negotiateExposition(request.headers.accept)](({ contentType, chunks, bytes }) => {
      writeHead(response, 200, contentType, bytes);
      return send(response, Readable.from(chunks));
    });
  };

  const showRoutes = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    openRoutes.add(peerOf(request), response);
    writeHead(response, 200, 'application/json');
    await send(response, Readable.from(chunksInSlices(routes())));
  };

  const showRoutesLocally: Handler = (request, response) => {
    const verdict = judgeLocal(request);
    if (verdict.kind === 'local') return showRoutes(request, response);
    return sendText(response, verdict.status, `/routes ${verdict.reason}\n`);
  };

  /** Only a client on this machine can open a Unix socket, and no browser can. */
  const handlers = (handleRoutes: Handler): ReadonlyMap<string, Handler> =>
    new Map([
      ['/healthz', health],
      ['/readyz', ready],
      ['/metrics', scrape],
      ['/routes', handleRoutes],
    ]);

  const listen = async (address: ListenOptions, byPath: ReadonlyMap<string, Handler>): Promise<void> => {
    const server = await listenHttp(address, MAX_IDLE_CONNECTIONS, (request, response) =>
      respond(byPath, request, response),
    );
    servers.push(server);
  };

  return {
    listen: (port, host) =>
      listen(
        { port, ...(host !== null && { host }), reusePort: process.platform === 'linux' },
        handlers(showRoutesLocally),
      ),
    async listenOnSocket(path) {
      await clearSocketPath(path);
      await listen({ path }, handlers(showRoutes));
    },
    close() {
      for (const server of servers) closeNow(server);
    },
  };
}

async function respond(
  byPath: ReadonlyMap<string, Handler>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return sendText(response, 405, 'only GET and HEAD\n');
  }
  const [path = '', query = ''] = (request.url ?? '/').split('?', 2);
  const answer = byPath.get(path);
  if (!answer) return sendText(response, 404, 'try /healthz, /readyz?verbose, /metrics or /routes\n');
  await answer(request, response, { path, query });
}

function peerOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? '';
}

/** Sends no faster than the client reads. Whatever goes wrong ends the connection: the head is out already. */
async function send(response: ServerResponse, body: Readable): Promise<void> {
  await pipeline(body, response).catch(() => response.destroy());
}

/** A detail may repeat what a server said. */
const MAX_DETAIL_CHARACTERS = 1_000;

/** The body of `/readyz`, in the way of the Kubernetes components: `[+]name ok`, `[-]name detail`. */
function readinessText(checks: readonly ReadinessCheck[], verbose: boolean): string {
  const ready = checks.every((check) => check.ok);
  if (ready && !verbose) return 'ok\n';
  const lines = checks.map(
    ({ name, ok, detail }) => `[${ok ? '+' : '-'}]${name} ${detail.slice(0, MAX_DETAIL_CHARACTERS)}\n`,
  );
  return `${lines.join('')}readyz check ${ready ? 'passed' : 'failed'}\n`;
}
