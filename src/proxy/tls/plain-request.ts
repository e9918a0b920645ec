import type { Socket } from 'node:net';
import { localResponse } from '../../http/local-response.ts';
import type { EngineContext } from '../engine.ts';
import { NO_KEPT_FIELDS } from '../exchange-record.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';

const LINGER_MS = 1_000;

/** Answers somebody who speaks plain HTTP to the TLS port, in plain HTTP, and closes. */
export function refusePlainRequest(
  socket: Socket,
  connectionInfo: ConnectionInfo,
  { onComplete: account, now }: Pick<EngineContext, 'onComplete' | 'now'>,
): void {
  const made = localResponse('tls-expected', 'text');
  const fields = made.fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const date = new Date(now()).toUTCString();
  socket.end(
    `HTTP/1.1 ${made.status} ${made.reasonPhrase}\r\n${fields}date: ${date}\r\nconnection: close\r\n\r\n${made.body}`,
  );
  // Read away what still comes, or the kernel answers it with a reset that overtakes this.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
  account({
    startedAt: now(),
    durationMs: 0,
    clientAddress: connectionInfo.clientAddress,
    connectionInfo,
    scheme: 'http',
    method: '',
    host: '',
    target: '',
    httpVersion: '1.1',
    status: made.status,
    route: null,
    backend: '',
    canary: '',
    endpoint: '',
    attempts: 0,
    upstreams: [],
    connectFailures: [],
    headBytes: 0,
    requestBytes: 0,
    responseBytes: made.body.length,
    requestId: '',
    traceId: '',
    keptFields: NO_KEPT_FIELDS,
    trace: null,
    policy: '',
    auths: [],
    droppedFields: 0,
    detail: 'tls-expected',
  });
}
