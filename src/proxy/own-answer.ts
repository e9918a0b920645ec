import {
  type LocalResponse,
  type LocalReason,
  answer,
  grpcAnswer,
  redirection,
} from '../http/local-response.ts';
import type { Decision } from '../routing/decide.ts';
import { isGrpc } from './grpc.ts';
import { acceptOf } from './upstream/http1/upstream-head.ts';

/** What Portico itself says to a client, in the language of its request. `headText` is empty when it never came to one. */
export function ownAnswer(reason: LocalReason, headText: string, decision: Decision | null): LocalResponse {
  if (reason === 'https-only' && decision?.kind === 'redirect') {
    return redirection(decision.location, acceptOf(headText));
  }
  return isGrpc(headText) ? grpcAnswer(reason) : answer(reason, acceptOf(headText));
}
