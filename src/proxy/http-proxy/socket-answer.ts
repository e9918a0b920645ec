import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import {
  type LocalResponse,
  type LocalReason,
  type MessageFault,
  languageOf,
  localResponse,
} from '../../http/local-response.ts';
import type { EngineContext } from '../engine.ts';
import { lingerAndClose, serveNoMore } from './last-response.ts';
import { applyEdit, fieldsViewOf } from '../../http/head-edit.ts';
import type { BoundPolicies } from '../../policies/bound-policies.ts';
import { editResponse } from '../../policies/run-policies.ts';
import type { RequestView } from '../../http/request-view.ts';
import { type ReferenceRecord, connectionInfoOf, openLedger, requestView } from './reference-record.ts';

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

/** What the default response and its fields are changed by. */
interface Given {
  /** Those of the route, if there is one. */
  readonly policies?: BoundPolicies;
  /** Instead of the response for the reason. */
  readonly made?: LocalResponse;
  /** As the policies have seen it already. */
  readonly view?: RequestView;
}

/** Answers where there is no ServerResponse, and closes. `policy` is the reason where a policy responds. */
export function answerSocket(
  context: EngineContext,
  socket: Socket,
  reason: LocalReason | 'policy',
  request: IncomingMessage | null,
  record: ReferenceRecord = openLedger(context, request, connectionInfoOf(socket)),
  given: Given = {},
): void {
  // A response under way on the connection must not get another one into its middle, or before it.
  const busy = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage;
  if (busy) {
    serveNoMore(socket);
    busy.once('finish', () => answerSocket(context, socket, reason, request, record, given));
    return;
  }
  socket.on('error', () => undefined);
  if (!socket.writable) return void socket.destroy();
  const language = languageOf(request?.headers.accept, false);
  const made = given.made ?? localResponse(reason === 'policy' ? 'internal-fault' : reason, language);
  const { onResponse } = given.policies ?? context.policies(null);
  const view = given.view ?? requestView(request ?? new IncomingMessage(socket), record);
  const edit = editResponse(onResponse, fieldsViewOf(made.fields), view);
  const head = [`HTTP/1.1 ${made.status} ${made.reasonPhrase}`, `date: ${new Date().toUTCString()}`];
  for (const [name, value] of edit === null ? made.fields : applyEdit(made.fields, edit)) {
    head.push(`${name}: ${value}`);
  }
  socket.write(
    `${head.join('\r\n')}\r\nconnection: close\r\n\r\n${request?.method === 'HEAD' ? '' : made.body}`,
    'latin1',
  );
  lingerAndClose(socket);
  if (reason !== 'policy') record.detail ||= reason;
  record.responseBytes = made.body.length;
  record.close(made.status);
}
