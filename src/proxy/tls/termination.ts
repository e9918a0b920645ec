import type { Socket } from 'node:net';
import { type SecureContextOptions, TLSSocket, type TlsOptions, createServer } from 'node:tls';
import type { ArrivalPort } from '../../routing/gateway-routes.ts';
import type { CertificateStore } from './certificate-store.ts';
import { type HandshakeCounters, handshakeFailure } from './handshake-counters.ts';

/** Shakes hands on connections of which no byte is taken yet. */
export interface Termination {
  /** Calls `secured` when the handshake is done; when it fails, the connection is closed after the alert that says why. */
  begin(raw: Socket, secured: (socket: TLSSocket) => void): void;
}

/**
 * `protocols` are offered by ALPN (RFC 7301), the best one first; `socket.alpnProtocol` says which one it is. With none
 * clients may ask for any. `arrival` is where the connections come in.
 */
export function createTermination(
  certificates: CertificateStore,
  protocols: readonly string[],
  arrival: () => ArrivalPort,
  counters: HandshakeCounters,
): Termination {
  let standard: SecureContextOptions | null = null;
  const options: TlsOptions = {
    SNICallback: (name, choose) => choose(null, certificates.named(name, arrival())),
    ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
  };
  const handshakes = createHandshakes(options, counters);
  return {
    begin(raw, secured) {
      const wanted = certificates.standard(arrival());
      if (!wanted) return void raw.destroy();
      if (wanted !== standard) handshakes.use((standard = wanted));
      handshakes.begin(raw, secured);
    },
  };
}

/** A TLS server of Node that never listens: it is given its connections. */
export interface Handshakes extends Termination {
  /** What handshakes that begin from now on are done with. Throws what OpenSSL makes of it. */
  use(options: SecureContextOptions): void;
}

/** Throws what OpenSSL makes of the options. */
export function createHandshakes(options: TlsOptions, counters: HandshakeCounters): Handshakes {
  /** Whom to tell, by the connection that becomes secure. */
  const awaited = new WeakMap<Socket, (socket: TLSSocket) => void>();
  // The listener has a limit that begins earlier.
  const server = createServer({ ...options, handshakeTimeout: NEVER_MS });
  server.on('secureConnection', (socket) => {
    const raw = carrierOf(socket);
    const secured = raw && awaited.get(raw);
    if (!secured) return void socket.destroy();
    awaited.delete(raw);
    counters.succeeded(socket);
    socket.allowHalfOpen = true;
    // Renegotiation is a cheap way to make a server work (TLS 1.2; RFC 8446 has none).
    socket.disableRenegotiation();
    secured(socket);
  });
  // A failed handshake closes the connection; there is nobody to tell.
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    counters.failed(carrierOf(socket) ?? socket, handshakeFailure(error.code));
  });

  return {
    begin(raw, secured) {
      awaited.set(raw, secured);
      // A client that ends its side within the handshake is gone. The secure socket takes this over.
      raw.allowHalfOpen = false;
      server.emit('connection', raw);
    },
    use(context) {
      server.setSecureContext(context);
    },
  };
}

const NEVER_MS = 2 ** 31 - 1;

/**
 * The connection below a secure one. Node keeps it there without saying so in its documentation; to find it by the
 * addresses of both its ends instead makes a handshake with a request dearer by 3 %.
 */
function carrierOf(socket: Socket): Socket | null {
  return (socket as Socket & { readonly _parent?: Socket | null })._parent ?? null;
}

/** Ends a connection with a reset, so that nothing it got can be taken for all there is; also one that is secured. */
export function reset(socket: Socket): void {
  const raw = carrierOf(socket) ?? socket;
  // While a FIN waits to be sent, Node (24) fails to reset, and never closes the descriptor. It cannot reset a TLS
  // connection of its own making either, but TLS says by itself that its end is missing.
  const isEnding = [socket, raw].some(
    ({ writableEnded, writableFinished }) => writableEnded && !writableFinished,
  );
  if (isEnding || raw instanceof TLSSocket) return void socket.destroy();
  raw.resetAndDestroy();
  // A secure one is destroyed once the connection below it has closed: destroyed at once, in the turn in which it was
  // written to or ended, it takes the process with it (Node 24).
  if (raw === socket) socket.destroy();
}
