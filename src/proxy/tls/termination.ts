import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { Certificates } from './certificates.ts';

/** By the secure socket, the connection below it. */
const carriers = new WeakMap<Socket, Socket>();

/**
 * Begins the handshake on a connection none of whose bytes are taken yet. Calls `secured` when it is done; when it
 * fails, the connection is closed after the alert that says why.
 */
export function terminate(
  raw: Socket,
  certificates: Certificates,
  protocols: readonly string[],
  highWaterMark: number,
  secured: (socket: TLSSocket) => void,
): void {
  const secureContext = certificates.standard();
  if (!secureContext) return void raw.destroy();
  const options = {
    isServer: true,
    secureContext,
    SNICallback: (name: string, choose: (error: Error | null, context?: SecureContext) => void) =>
      choose(null, certificates.named(name)),
    ALPNProtocols: [...protocols],
    highWaterMark,
  };
  const socket = new TLSSocket(raw, options);
  carriers.set(socket, raw);
  // A failed handshake closes the connection; there is nobody to tell.
  const failed = (): void => undefined;
  socket.on('error', failed);
  socket.once('secure', () => {
    socket.off('error', failed);
    // Renegotiation is a cheap way to make a server work (TLS 1.2; RFC 8446 has none).
    socket.disableRenegotiation();
    secured(socket);
  });
}

/** Ends a connection with a reset, so that nothing it got can be taken for all there is; also one that is secured. */
export function reset(socket: Socket): void {
  const raw = carriers.get(socket) ?? socket;
  raw.resetAndDestroy();
  socket.destroy();
}
