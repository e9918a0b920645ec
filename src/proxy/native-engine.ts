import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Engine, EngineContext, EngineFactory } from './engine.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import { Http2Clients } from './downstream/http2/clients.ts';
import { type Listener, openListener } from './listener/listener.ts';
import { ClientConnection } from './downstream/http1/client-connection.ts';
import { drainRelay } from './drain.ts';
import { Relay } from './engine-state.ts';

/**
 * Portico's own data plane: HTTP/1.1 as bytes from socket to socket, parsed strictly, copied as little as can be, and
 * HTTP/2 beside it.
 */
export const relayEngine: EngineFactory = (context: EngineContext): Engine => {
  const relay = new Relay(context);
  const listeners: Listener[] = [];
  const http2 = new Http2Clients(relay);
  if (context.h2c) relay.acceptHttp2 = (socket, connectionInfo) => http2.accept(socket, connectionInfo);

  function accept(socket: Socket, connectionInfo: ConnectionInfo): void {
    // Cheaper than an answer, at a moment when everything is scarce.
    if (!relay.clients.makeRoom(relay.deadlines.now)) socket.destroy();
    else if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2')
      http2.accept(socket, connectionInfo);
    else relay.clients.add(new ClientConnection(relay, socket, connectionInfo));
  }

  return {
    async listen(address) {
      const listener = await openListener(address, context, accept, ['h2', 'http/1.1']);
      listeners.push(listener);
      return listener.port;
    },
    close(endpointKeys) {
      for (const key of endpointKeys) {
        relay.pool.retire(key);
        relay.sessions.retire(key);
      }
    },
    drain: (timeoutMs) => drainRelay(relay, listeners, timeoutMs),
    gauges: () => ({
      clientConnections: relay.clients.size,
      upstreamConnections: relay.pool.size + relay.sessions.size,
      inFlight: relay.inFlight,
      tunnels: relay.openTunnels,
      ...relay.clients.counters,
      heldBytes: relay.memory.bytes,
      shed: relay.memory.shed,
    }),
  };
};
