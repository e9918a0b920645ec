import type { HeaderField } from '../../http/head-edit.ts';
import { OwnContent } from '../../http/request-content.ts';
import type { Subrequest, SubrequestOutcome } from '../../http/subrequest.ts';
import type { AskedBackend } from '../asked-backend.ts';
import { type CheckAnswer, checkAnswer } from './check-response.ts';
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
  if (outcome.kind === 'failed' || outcome.status !== 200 || outcome.content === undefined) return UNCLEAR;
  const { fields, content } = outcome;
  const { bytes, trailers } = content;
  const isGrpc = fields.some(([name, value]) => name === 'content-type' && GRPC.test(value));
  const [status, ...more] = trailers.filter(isStatus);
  // Before a message nobody knows how the call ends.
  if (!isGrpc || status?.[1] !== '0' || more.length > 0 || fields.some(isStatus)) return UNCLEAR;
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return UNCLEAR;
  if (bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES) return UNCLEAR;
  return checkAnswer(bytes.subarray(PREFIX_BYTES));
}

function isStatus([name]: HeaderField): boolean {
  return name === 'grpc-status';
}

const UNCLEAR: CheckAnswer = { kind: 'unclear' };
const GRPC = /^application\/grpc(?:$|[+;])/i;
