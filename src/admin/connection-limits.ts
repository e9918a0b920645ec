import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Keeps at most `limit` connections that have not sent a whole request head. A new one beyond that takes the place of
 * the oldest, so that silent connections cannot keep anybody out.
 */
export function limitIdleConnections(server: Server, limit: number): void {
  const idle = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
    if (idle.size <= limit) return;
    const [oldest] = idle;
    idle.delete(oldest!);
    oldest!.destroy();
  });
  server.on('request', ({ socket }: IncomingMessage) => idle.delete(socket));
}

export interface OpenResponsesOptions {
  /** How many responses may be sent at once. */
  readonly limit: number;
  /** A response that takes longer is ended. */
  readonly timeoutMs: number;
}

/** The responses of one kind that are being sent. */
export interface OpenResponses {
  /** At the limit, the peer with the most open responses loses its oldest one, so that nobody can keep others out. */
  add(peer: string, response: ServerResponse): void;
}

export function createOpenResponses({ limit, timeoutMs }: OpenResponsesOptions): OpenResponses {
  const open = new Map<ServerResponse, string>();
  const endOne = (): void => {
    const byPeer = Map.groupBy(open, ([, peer]) => peer).values();
    const most = [...byPeer].reduce((most, responses) => (responses.length > most.length ? responses : most));
    const [oldest] = most[0]!;
    open.delete(oldest);
    oldest.destroy();
  };
  return {
    add(peer, response) {
      if (open.size >= limit) endOne();
      open.set(response, peer);
      const timer = setTimeout(() => response.destroy(), timeoutMs);
      response.once('close', () => {
        clearTimeout(timer);
        open.delete(response);
      });
    },
  };
}
