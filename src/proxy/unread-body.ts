/**
 * What happens to the rest of a request body that nobody wants any more, because its response is complete
 * (RFC 9112 9.3 and 9.6). If the rest is known to be small, it is read and thrown away, and the connection goes on.
 * Otherwise the response says `Connection: close`, and the connection closes once the client has read the response.
 */

const MOST_BYTES = 1024 * 1024;
/** From the end of the response; then the connection is closed. */
export const DISCARD_MS = 30_000;

/** After our last byte the client has this long to close, and as long again after every byte that it still sends. */
export const LINGER_MS = 2_000;
/** All of that together. */
export const MOST_LINGER_MS = 30_000;

/** Whether so many bytes may be read and thrown away; `Infinity` when it is not known how many there will be. */
export function isDiscardable(bytes: number): boolean {
  return bytes <= MOST_BYTES;
}
