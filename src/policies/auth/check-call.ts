import type { HeaderField } from '../../http/head-edit.ts';
import { OwnContent } from '../../http/request-content.ts';
import type { Subrequest, SubrequestOutcome } from '../../http/subrequest.ts';
import type { AskedBackend } from '../asked-backend.ts';
import { type CheckAnswer, type CheckFault, checkAnswer } from './check-response.ts';
import { type CheckedRequest, checkRequest } from './check-request.ts';

const METHOD = '/envoy.service.auth.v3.Authorization/Check';
/** From the call to the end of the answer. */
const TIMEOUT_S = 30;
const MAX_ANSWER_BYTES = 64 * 1024;
/** A byte that says whether a message is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/** The call that asks a server of ext_authz about a request. */
export function checkCall(
  namespace: string,
  to: AskedBackend,
  authority: string,
  checked: CheckedRequest,
): Subrequest {
  const { request } = checked;
  return {
    namespace,
    to,
    method: 'POST',
    target: METHOD,
    fields: [
      ['Host', authority],
      ['Content-Type', 'application/grpc'],
      ['grpc-timeout', `${TIMEOUT_S}S`],
      ['User-Agent', 'portico'],
      ['CDN-Loop', request.loop],
    ],
    body: new OwnContent(framed(checkRequest(checked))),
    timeoutMs: TIMEOUT_S * 1_000,
    maxContentBytes: MAX_ANSWER_BYTES,
    cancellation: request.cancellation,
  };
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** What came of the call: only a call that ends with status 0 and one whole message says anything. */
export function checkOutcome(outcome: SubrequestOutcome): CheckAnswer {
  const fault = callFault(outcome);
  if (fault !== null) return { kind: 'unclear', fault };
  const bytes = outcome.kind === 'response' ? outcome.content?.bytes : undefined;
  if (bytes === undefined || bytes.length < PREFIX_BYTES || bytes[0] !== 0) return BAD_MESSAGE;
  if (bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES) return BAD_MESSAGE;
  return checkAnswer(bytes.subarray(PREFIX_BYTES));
}

/** Why the call itself failed; null where it ended with status 0. */
function callFault(outcome: SubrequestOutcome): CheckFault | null {
  if (outcome.kind === 'failed') return outcome.reason;
  const { status, fields, content } = outcome;
  if (status !== 200) return `http-status-${status}`;
  if (!fields.some(([name, value]) => name === 'content-type' && GRPC.test(value))) return 'not-grpc';
  // A call that fails may end with its head.
  const codes = [...fields, ...(content?.trailers ?? [])].filter(isStatus).map(([, code]) => code);
  const [code = '', ...more] = codes;
  if (more.length > 0 || !/^(?:\d|1\d)$/.test(code)) return 'bad-grpc-status';
  if (code !== '0') return `grpc-status-${Number(code)}`;
  // Before a message nobody knows how the call ends.
  return fields.some(isStatus) ? 'bad-grpc-status' : null;
}

function isStatus([name]: HeaderField): boolean {
  return name === 'grpc-status';
}

const BAD_MESSAGE: CheckAnswer = { kind: 'unclear', fault: 'bad-grpc-message' };
const GRPC = /^application\/grpc(?:$|[+;])/i;
