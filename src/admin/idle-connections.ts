import type { IncomingMessage, Server } from 'node:http';
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
