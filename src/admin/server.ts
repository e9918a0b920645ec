import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { ListenOptions } from 'node:net';
import { type Check, readinessText } from './readiness.ts';

export interface AdminOptions {
  /** All of these hold when requests may be sent here. */
  readonly checks: () => readonly Check[];
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  /** What is served, as JSON; only for clients on this machine, because it names everything. */
  readonly routes: () => unknown;
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

/** `/healthz`, `/readyz[?verbose]`, `/metrics`, and `/routes` for this machine. */
export function createAdmin(options: AdminOptions): Admin {
  const servers: Server[] = [];
  const listen = async (address: ListenOptions): Promise<void> => {
    const server = createServer((request, response) => {
      void respond(options, request, response).catch((error: unknown) => {
        if (!response.headersSent) send(response, 500, 'text/plain', `${String(error)}\n`);
        else response.destroy();
      });
    });
    server.requestTimeout = 10_000;
    server.maxConnections = 256;
    servers.push(server);
    server.listen(address);
    await once(server, 'listening');
  };
  return {
    listen: (port, host) =>
      listen({ port, ...(host !== null && { host }), reusePort: process.platform === 'linux' }),
    async listenOnSocket(path) {
      await rm(path, { force: true });
      await listen({ path });
    },
    close() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

async function respond(
  options: AdminOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path, query = ''] = (request.url ?? '/').split('?', 2);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return send(response, 405, 'text/plain', 'only GET and HEAD\n');
  }
  switch (path) {
    case '/healthz':
      return send(response, 200, 'text/plain', 'ok\n');
    case '/readyz': {
      const checks = options.checks();
      const status = checks.every((check) => check.ok) ? 200 : 503;
      return send(response, status, 'text/plain', readinessText(checks, /(^|&)verbose(=|&|$)/.test(query)));
    }
    case '/metrics': {
      const { contentType, body } = await options.metrics();
      return send(response, 200, contentType, body);
    }
    case '/routes':
      // A Unix socket has no address; whoever may open it is on this machine.
      if (!isLoopback(request.socket.remoteAddress ?? '::1')) {
        return send(response, 403, 'text/plain', '/routes answers only on the node itself\n');
      }
      return send(response, 200, 'application/json', `${JSON.stringify(options.routes(), null, 2)}\n`);
    default:
      return send(response, 404, 'text/plain', 'try /healthz, /readyz?verbose, /metrics or /routes\n');
  }
}

/** Whether a peer is on this machine. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(body);
}
