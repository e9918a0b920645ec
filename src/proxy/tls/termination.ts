import type { Socket } from 'node:net';
import { type SecureContextOptions, type TLSSocket, createServer } from 'node:tls';
import type { Certificates } from './certificates.ts';

/** Shakes hands on connections of which no byte is taken yet. */
export interface Termination {
  /** Calls `secured` when the handshake is done; when it fails, the connection is closed after the alert that says why. */
  begin(raw: Socket, secured: (socket: TLSSocket) => void): void;
}

interface Handshake {
  readonly raw: Socket;
  readonly secured: (socket: TLSSocket) => void;
}

/** By the secure socket, the connection below it. */
const carriers = new WeakMap<Socket, Socket>();

/** `protocols` are offered by ALPN (RFC 7301), the best one first; `socket.alpnProtocol` says which one it is. */
export function createTermination(certificates: Certificates, protocols: readonly string[]): Termination {
  /** By both ends of the connection, since the server does not say which one has become secure. */
  const handshakes = new Map<string, Handshake>();
  let standard: SecureContextOptions | null = null;
  // It never listens: it is given its connections.
  const server = createServer({
    SNICallback: (name, choose) => choose(null, certificates.named(name)),
    ALPNProtocols: [...protocols],
    // The listener has a limit that begins earlier.
    handshakeTimeout: NEVER_MS,
  });
  server.on('secureConnection', (socket) => {
    const ends = endsOf(socket);
    const handshake = handshakes.get(ends);
    // It was closed meanwhile, and has no ends any more.
    if (!handshake) return void socket.destroy();
    handshakes.delete(ends);
    carriers.set(socket, handshake.raw);
    // Renegotiation is a cheap way to make a server work (TLS 1.2; RFC 8446 has none).
    socket.disableRenegotiation();
    handshake.secured(socket);
  });
  // A failed handshake closes the connection; there is nobody to tell.
  server.on('tlsClientError', () => undefined);

  return {
    begin(raw, secured) {
      const wanted = certificates.standard();
      if (!wanted) return void raw.destroy();
      if (wanted !== standard) server.setSecureContext((standard = wanted));
      const ends = endsOf(raw);
      handshakes.set(ends, { raw, secured });
      raw.once('close', () => {
        if (handshakes.get(ends)?.raw === raw) handshakes.delete(ends);
      });
      server.emit('connection', raw);
    },
  };
}

const NEVER_MS = 2 ** 31 - 1;

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Ends a connection with a reset, so that nothing it got can be taken for all there is; also one that is secured. */
export function reset(socket: Socket): void {
  const raw = carriers.get(socket) ?? socket;
  raw.resetAndDestroy();
  socket.destroy();
}
