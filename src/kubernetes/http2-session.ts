import http2, { type ClientHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from './clock.ts';

const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 15_000;
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 8 * STREAM_WINDOW_BYTES;

/**
 * An HTTP/2 session for many watches. Every 30 s it asks whether the other side is still there and destroys itself
 * when no answer comes within 15 s (as client-go does): TCP alone would take a quarter of an hour to notice.
 */
export async function openHttp2Session(
  origin: URL,
  socket: TLSSocket,
  clock: Clock,
): Promise<ClientHttp2Session> {
  const session = http2.connect(origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
  });
  // Streams report what happens to them; a session without streams has nobody to tell.
  session.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  session.setLocalWindowSize(SESSION_WINDOW_BYTES);

  let cancel: (() => void) | undefined;
  const ask = (): void => {
    cancel = clock.setTimeout(
      () => session.destroy(new Error('no answer to an HTTP/2 PING')),
      PING_TIMEOUT_MS,
    );
    session.ping(() => {
      cancel?.();
      if (!session.destroyed) cancel = clock.setTimeout(ask, PING_INTERVAL_MS);
    });
  };
  cancel = clock.setTimeout(ask, PING_INTERVAL_MS);
  session.once('close', () => cancel?.());
  return session;
}
