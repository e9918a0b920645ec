import { type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Engine, EngineContext, EngineFactory } from './engine.ts';
import type { ConnectionInfo } from '../http/connection-info.ts';
import { Http2Clients } from './downstream/http2/clients.ts';
import { type OpenListener, openListener } from './listener/listener.ts';
import { PendingConnections } from './listener/pending-connections.ts';
import { ClientConnection } from './downstream/http1/client-connection.ts';
import { drainEngine } from './drain.ts';
import { EngineState } from './engine-state.ts';
import type { ByteSocket } from './sockets/byte-socket.ts';

/**
 * Portico's own data plane: HTTP/1.1 as bytes from socket to socket, parsed strictly, copied as little as can be, and
 * HTTP/2 beside it.
 */
export const nativeEngine: EngineFactory = (context: EngineContext): Engine => {
  const engine = new EngineState(context);
  const listeners = new Set<OpenListener>();
  const pending = new PendingConnections(context.limits.handshakes);
  const http2 = new Http2Clients(engine);
  const highWaterMark = context.limits.bufferBytes / 2;
  engine.acceptHttp2 = (socket, connectionInfo) => http2.accept(socket, connectionInfo);

  function accept(raw: Socket, connectionInfo: ConnectionInfo): void {
    const protocol = raw instanceof TLSSocket ? raw.alpnProtocol : null;
    const socket = engine.sockets.take(raw, highWaterMark);
    if (!socket) return;
    acceptBytes(socket, connectionInfo, protocol || '');
  }

  function acceptBytes(socket: ByteSocket, connectionInfo: ConnectionInfo, protocol: string): void {
    if (!hasRoomFor(socket)) return;
    if (protocol === 'h2') http2.accept(socket, connectionInfo);
    else engine.clients.add(new ClientConnection(engine, socket, connectionInfo));
  }

  /** To close it is cheaper than an answer, at a moment when everything is scarce. */
  function hasRoomFor(socket: ByteSocket): boolean {
    const hasRoom = engine.clients.makeRoom(engine.deadlines.now);
    if (!hasRoom) socket.destroy();
    return hasRoom;
  }

  return {
    async listen(address) {
      const native =
        engine.sockets.kind === 'native' ? { sockets: engine.sockets, accept: acceptBytes } : null;
      const listener = await openListener(address, context, pending, accept, ['h2', 'http/1.1'], native);
      listeners.add(listener);
      if (engine.draining) listener.close();
      return {
        port: listener.port,
        close() {
          if (listeners.delete(listener)) engine.closingListeners.close(listener);
        },
      };
    },
    close(endpointKeys) {
      for (const key of endpointKeys) {
        engine.pool.retire(key);
        engine.sessions.retire(key);
      }
    },
    limitsChanged() {
      engine.limitsChanged();
      http2.limitsChanged();
    },
    drain: (timeoutMs) => drainEngine(engine, listeners, timeoutMs),
    gauges: () => ({
      clientConnections: engine.clients.size,
      upstreamConnections: engine.pool.size + engine.sessions.size,
      inFlight: engine.inFlight,
      tunnels: engine.openTunnels,
      ...engine.clients.counters,
      heldBytes: engine.memory.bytes,
      shed: engine.memory.shed,
    }),
  };
};
