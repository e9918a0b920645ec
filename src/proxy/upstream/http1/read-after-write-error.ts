import type { Socket } from 'node:net';

/**
 * Keeps a socket readable after a write on it failed because the other side has closed. `failed` is called, then the
 * bytes of this write and of those after it go nowhere. The end of what is to be read always follows.
 *
 * A pod that answers before it has read the request, and closes, makes its kernel send a reset behind the answer. On
 * Linux the answer stays in our receive buffer, but our next write fails, for which Node destroys the socket together
 * with what is in the buffer. Lost all the same is what a kernel throws away when the reset comes: the pod's own, of an
 * answer larger than our window; ours, where it is not Linux.
 */
export function readAfterWriteError(socket: Socket, failed: () => void): void {
  let deaf = false;
  // Of the one write that is under way: kept here, since a closure for each would be on the path of every request.
  let done: Done = () => undefined;
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  const written: Done = (error) => {
    if (error?.code !== 'EPIPE' && error?.code !== 'ECONNRESET') return done(error);
    deaf = true;
    failed();
    done();
  };
  socket._write = (bytes, encoding, callback) => {
    if (deaf) return callback();
    done = callback;
    write(bytes, encoding, written);
  };
  socket._writev = (pieces, callback) => {
    if (deaf) return callback();
    done = callback;
    writev?.(pieces, written);
  };
}

type Done = (error?: NodeJS.ErrnoException | null) => void;
