import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import {
  type LocalResponse,
  type LocalReason,
  type MessageFault,
  answer,
} from '../../http/local-response.ts';
import type { EngineContext } from '../engine.ts';
import { lingerAndClose, serveNoMore } from './last-response.ts';
import { type Ledger, connectionInfoOf, openLedger } from './reference-record.ts';

/** What is wrong with a message that Node's parser gave up on; null when the client is gone and nothing is to say. */
export function clientFault(error: NodeJS.ErrnoException): MessageFault | null {
  switch (error.code) {
    case 'ECONNRESET':
    case 'EPIPE':
    case 'HPE_INVALID_EOF_STATE':
      return null;
    case 'HPE_HEADER_OVERFLOW':
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 'head-too-large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'request-timed-out';
    case 'HPE_INVALID_METHOD':
      return 'method-unknown';
    case 'HPE_INVALID_VERSION':
      return 'version-not-supported';
    case 'HPE_INVALID_CONTENT_LENGTH':
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
    case 'HPE_INVALID_TRANSFER_ENCODING':
    case 'HPE_INVALID_CHUNK_SIZE':
      return 'bad-framing';
    default:
      return 'bad-message';
  }
}

/** Answers where there is no ServerResponse, and closes. */
export function answerSocket(
  context: EngineContext,
  socket: Socket,
  reason: LocalReason,
  request: IncomingMessage | null,
  ledger: Ledger = openLedger(context, request, connectionInfoOf(socket)),
  made: LocalResponse = answer(reason, request?.headers.accept),
): void {
  // A response under way on the connection must not get another one into its middle, or before it.
  const busy = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage;
  if (busy) {
    serveNoMore(socket);
    busy.once('finish', () => answerSocket(context, socket, reason, request, ledger, made));
    return;
  }
  socket.on('error', () => undefined);
  if (!socket.writable) return void socket.destroy();
  const head = [`HTTP/1.1 ${made.status} ${made.reasonPhrase}`, `date: ${new Date().toUTCString()}`];
  for (const [name, value] of made.fields) head.push(`${name}: ${value}`);
  socket.write(
    `${head.join('\r\n')}\r\nconnection: close\r\n\r\n${request?.method === 'HEAD' ? '' : made.body}`,
  );
  lingerAndClose(socket);
  ledger.detail ||= reason;
  ledger.responseBytes = made.body.length;
  ledger.close(made.status);
}
