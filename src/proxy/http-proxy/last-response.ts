import type { Socket } from 'node:net';
import { LINGER_MS, MOST_LINGER_MS } from '../unread-body.ts';

const closing = new WeakSet<Socket>();

/** Whether the last response on a connection is decided on: whatever else comes on it is not served. */
export function isClosing(socket: Socket): boolean {
  return closing.has(socket);
}

/**
 * Serves nothing more on a connection after the response that is made for it now. Node goes on reading requests there
 * and closes without waiting; this closes as the relay does, so that no reset overtakes the response.
 */
export function serveNoMore(socket: Socket): void {
  if (closing.has(socket)) return;
  closing.add(socket);
  socket.destroySoon = () => lingerAndClose(socket);
}

/** Ends our side, and throws away what the client still sends until it closes too, within bounds. */
export function lingerAndClose(socket: Socket): void {
  closing.add(socket);
  if (socket.destroyed) return;
  const destroy = (): void => void socket.destroy();
  const quiet = setTimeout(destroy, LINGER_MS).unref();
  const most = setTimeout(destroy, MOST_LINGER_MS).unref();
  socket.once('close', () => {
    clearTimeout(quiet);
    clearTimeout(most);
  });
  // Node's parser does not get it.
  socket.removeAllListeners('data');
  socket.on('data', () => quiet.refresh());
  socket.once('end', destroy);
  socket.end();
  socket.resume();
}
