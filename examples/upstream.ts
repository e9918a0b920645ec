import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const EVENTS = 3;
const EVENT_INTERVAL_MS = 300;

/**
 * A small server as a Pod might run it: says who it is and what reached it; `/events` streams. Rejects when it
 * cannot listen.
 */
export async function startUpstream(name: string, address: string, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    if (request.url === '/events') void stream(name, response);
    else request.on('end', () => describe(name, request, response));
  });
  server.listen(port, address);
  await once(server, 'listening');
  return server;
}

function describe(name: string, request: IncomingMessage, response: ServerResponse): void {
  const headers = Object.entries(request.headers).map(([header, value]) => `  ${header}: ${String(value)}`);
  const lines = [`This is ${name}. You asked for:`, `${request.method} ${request.url}`, ...headers.sort()];
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(`${lines.join('\n')}\n`);
}

async function stream(name: string, response: ServerResponse): Promise<void> {
  response.setHeader('content-type', 'text/event-stream');
  response.setHeader('cache-control', 'no-store');
  for (let sent = 1; sent <= EVENTS && !response.destroyed; sent++) {
    response.write(`data: event ${sent} of ${EVENTS} from ${name}\n\n`);
    if (sent < EVENTS) await delay(EVENT_INTERVAL_MS);
  }
  response.end();
}
