import type { IncomingMessage } from 'node:http';

export type LocalVerdict =
  | { readonly kind: 'local' }
  | { readonly kind: 'refused'; readonly status: 403 | 421; readonly reason: string };

/**
 * Whether a request comes from this machine and means it. A page in a browser on this machine can send requests too,
 * with a name of its own that it lets point here (DNS rebinding): so the name that was asked for must be one that
 * always means this machine.
 */
export function judgeLocal({ socket, headersDistinct }: IncomingMessage): LocalVerdict {
  if (!isLoopback(socket.remoteAddress ?? '')) return refused(403, 'answers only on the node itself');
  const { host = [], origin = [] } = headersDistinct;
  if (host.length !== 1 || !LOCAL_HOST.test(host[0]!))
    return refused(421, 'answers only to the names localhost, 127.0.0.1 and [::1]');
  if (!origin.every((each) => LOCAL_ORIGIN.test(each)))
    return refused(403, 'does not answer to pages of other origins');
  const site = headersDistinct['sec-fetch-site'] ?? [];
  if (!site.every((each) => each === 'none' || each === 'same-origin'))
    return refused(403, 'does not answer to pages of other origins');
  return { kind: 'local' };
}

const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const LOCAL_ORIGIN = /^https?:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/** Whether a peer is on this machine. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function refused(status: 403 | 421, reason: string): LocalVerdict {
  return { kind: 'refused', status, reason };
}
