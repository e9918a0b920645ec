import type { Socket } from 'node:net';

/** A fatal alert unrecognized_name (RFC 6066 3) in a record of its own, as it may follow a ClientHello (RFC 8446 6). */
const UNRECOGNIZED_NAME = Buffer.from([0x15, 3, 3, 0, 2, 2, 112]);
const LINGER_MS = 1_000;

/** Ends a handshake for a name that there is no certificate for: the certificate of another host says less. */
export function refuseName(socket: Socket): void {
  socket.end(UNRECOGNIZED_NAME);
  // Read away what still comes, or the kernel answers it with a reset that overtakes this.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
