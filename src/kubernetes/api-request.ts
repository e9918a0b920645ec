import { asObject, asString } from '../model/untyped.ts';
import type { Clock } from './clock.ts';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, percent-encoded. */
  readonly path: string;
  /** `application/json` when unset. */
  readonly contentType?: string;
  readonly body?: object;
  readonly signal: AbortSignal;
}

export interface ApiResponse {
  readonly status: number;
  /** The parsed JSON, or the text when it was none. */
  readonly body: unknown;
  /** What the server asked to be left alone for; 0 when it did not. */
  readonly retryAfterMs: number;
}

/** Asks the API server once. Rejects when no answer came; any status is an answer. */
export type ApiCall = (request: ApiRequest) => Promise<ApiResponse>;

/** The words of a `Status` answer, or its number. */
export function responseText({ status, body }: ApiResponse): string {
  const message = asString(asObject(body)['message']) ?? '';
  return message === '' ? `status ${status}` : message.slice(0, 500);
}

/** The path of an object, or of its collection when `name` is left out. */
export function apiPath(
  group: string,
  resource: string,
  namespace: string | undefined,
  name?: string,
): string {
  const base = group === '' ? '/api/v1' : `/apis/${group}/v1`;
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${base}${within}/${resource}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

/** Asks with a time limit on the clock of the caller. */
export async function requestWithTimeout(
  call: ApiCall,
  clock: Clock,
  timeoutMs: number,
  request: ApiRequest,
): Promise<ApiResponse> {
  const limit = new AbortController();
  const tooLong = new Error(`no answer within ${Math.round(timeoutMs)} ms`);
  const cancel = clock.setTimeout(() => limit.abort(tooLong), timeoutMs);
  // AbortSignal.any costs more than the rest of a request, and keeps the collector busy.
  const follow = (): void => limit.abort(request.signal.reason);
  if (request.signal.aborted) follow();
  else request.signal.addEventListener('abort', follow, { once: true });
  try {
    return await call({ ...request, signal: limit.signal });
  } catch (error) {
    // What a transport makes of an abort is its business; the reason is ours.
    throw limit.signal.aborted && !request.signal.aborted ? tooLong : error;
  } finally {
    cancel();
    request.signal.removeEventListener('abort', follow);
  }
}
