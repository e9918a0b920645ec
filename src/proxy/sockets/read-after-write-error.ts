import type { Socket } from 'node:net';

/**
 * Keeps a socket readable after a write on it failed because the other side has closed. `failed` is called; when it
 * gives true, the bytes of this write and of those after it are dropped, and the end of what is to be read always follows.
 *
 * If an upstream responds before it has read the request, and closes, its kernel sends a reset behind the response. On
 * Linux the response stays in our receive buffer, but our next write fails; Node then destroys the socket together with
 * that buffer. What a kernel drops when the reset comes is lost all the same: in the upstream's kernel the part of a
 * response that is larger than our window, in ours everything where it is not Linux.
 */
export function readAfterWriteError(socket: Socket, failed: () => boolean): void {
  let deaf = false;
  // Of the one write that is under way: kept here, since a closure for each would be on the path of every request.
  let done: Done = () => undefined;
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  const written: Done = (error) => {
    if ((error?.code !== 'EPIPE' && error?.code !== 'ECONNRESET') || !failed()) return done(error);
    deaf = true;
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
