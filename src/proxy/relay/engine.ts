import { type Server, type Socket, createServer } from 'node:net';
import type { Engine, EngineContext, EngineFactory, ListenAddress } from '../engine.ts';
import { Http2Clients } from '../http2/clients.ts';
import { ClientConnection } from './client-connection.ts';
import { drainRelay } from './drain.ts';
import { Relay } from './relay.ts';

/** Portico's own data plane for HTTP/1.1: bytes from socket to socket, parsed strictly, copied as little as can be. */
export const relayEngine: EngineFactory = (context: EngineContext): Engine => {
  const relay = new Relay(context);
  const { limits } = context;
  const servers: Server[] = [];
  const http2 = new Http2Clients(relay);
  if (context.h2c) relay.acceptHttp2 = (socket, arrival) => http2.accept(socket, arrival);

  function accept(socket: Socket): void {
    // Cheaper than an answer, at a moment when everything is scarce.
    if (relay.clients.size >= limits.connections) socket.destroy();
    else relay.clients.add(new ClientConnection(relay, socket));
  }

  return {
    async listen({ host, port, reusePort }: ListenAddress): Promise<number> {
      const highWaterMark = limits.bufferBytes / 2;
      const server = createServer({ noDelay: true, allowHalfOpen: true, highWaterMark }, accept);
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      server.once('error', reject);
      server.listen({ ...(host !== undefined && { host }), port, reusePort, backlog: BACKLOG }, () => {
        server.off('error', reject);
        // A failing accept (no file descriptors left) must not end the thread; the listener goes on.
        server.on('error', () => undefined);
        servers.push(server);
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : port);
      });
      return promise;
    },
    close(endpointKeys) {
      for (const key of endpointKeys) {
        relay.pool.retire(key);
        relay.sessions.retire(key);
      }
    },
    drain: (timeoutMs) => drainRelay(relay, servers, timeoutMs),
    gauges: () => ({
      clientConnections: relay.clients.size,
      upstreamConnections: relay.pool.size + relay.sessions.size,
      inFlight: relay.inFlight,
      tunnels: relay.openTunnels,
    }),
  };
};

/** Connections the kernel keeps for us while we are busy; it takes less where net.core.somaxconn is less. */
const BACKLOG = 4096;
