import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { ListenOptions } from 'node:net';
import { limitIdleConnections } from './connection-limits.ts';

/** Each connection carries one request, and its whole head comes within this time. */
const HEAD_TIMEOUT_MS = 5_000;
const MAX_HEAD_BYTES = 8 * 1024;

/**
 * Listens for requests that `respond` answers; resolves when it listens, rejects with the system's error. At most
 * `maxIdle` connections have not sent a whole head. What `respond` rejects with is answered with 500.
 */
export async function listenHttp(
  address: ListenOptions,
  maxIdle: number,
  respond: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Server> {
  const server = createServer({
    maxHeaderSize: MAX_HEAD_BYTES,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: HEAD_TIMEOUT_MS,
    connectionsCheckingInterval: 1_000,
  });
  // What is sent behind the first request is not looked at.
  server.maxRequestsPerSocket = 1;
  limitIdleConnections(server, maxIdle);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    void respond(request, response).catch((error: unknown) => {
      if (!response.headersSent) sendText(response, 500, `${String(error)}\n`);
      else response.destroy();
    });
  });
  server.listen(address);
  await once(server, 'listening');
  return server;
}

export function closeNow(server: Server): void {
  server.close();
  server.closeAllConnections();
}

export function sendText(response: ServerResponse, status: number, body: string): void {
  writeHead(response, status, 'text/plain', Buffer.byteLength(body));
  response.end(body);
}

export function writeHead(
  response: ServerResponse,
  status: number,
  contentType: string,
  length?: number,
): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    ...(length !== undefined && { 'Content-Length': length }),
    Connection: 'close',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
}
