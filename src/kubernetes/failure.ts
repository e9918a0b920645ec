import type { RawApiResponse } from './api-connection.ts';
import { IdleTimeoutError } from './idle-timeout.ts';

/** Why a list or a watch did not do what it was asked. */
export type Failure =
  /** 410: the resourceVersion or continue token is from too long ago. */
  | { readonly kind: 'expired'; readonly message: string }
  | { readonly kind: 'forbidden'; readonly message: string }
  /** 404. Of a collection: no such kind is served. */
  | { readonly kind: 'not-found'; readonly message: string }
  /** The server does not know what was asked of it: a query parameter, a feature. */
  | { readonly kind: 'unsupported'; readonly message: string }
  /** The watch sent a line beyond every limit; asking for it again would bring it again. */
  | { readonly kind: 'oversized'; readonly message: string }
  /** The watch sent something that is no event, or an error as an event. */
  | { readonly kind: 'garbled'; readonly message: string }
  /** Nothing was heard for too long. */
  | { readonly kind: 'silent'; readonly message: string }
  /** Anything else; it may pass. */
  | { readonly kind: 'failed'; readonly message: string; readonly retryAfterMs: number | undefined };

const MAX_STATUS_BYTES = 64 * 1024;
const MAX_MESSAGE_CHARACTERS = 400;

/** The failure an answer other than 200 stands for, in the server's words where it has any. */
export async function failureOfResponse(response: RawApiResponse): Promise<Failure> {
  const { status, headers } = response;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_STATUS_BYTES) break;
    }
  } catch {
    // The status line says enough.
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return failureOfStatus(statusOf(text) ?? { code: status, message: text }, status, headers['retry-after']);
}

/** What is read of a `Status` object. */
export interface Status {
  readonly code?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
  readonly details?: { readonly retryAfterSeconds?: unknown } | null;
}

/** The failure that a Status stands for, as a body or as the object of an ERROR event. */
export function failureOfStatus(status: Status, httpStatus: number, retryAfter?: string): Failure {
  const code = typeof status.code === 'number' ? status.code : httpStatus;
  const said = typeof status.message === 'string' ? oneLine(status.message) : '';
  const message = `the API server answered ${code}${said ? `: ${said}` : ''}`;
  const seconds = Number(retryAfter ?? status.details?.retryAfterSeconds);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  if (code === 410 || status.reason === 'Expired' || status.reason === 'Gone')
    return { kind: 'expired', message };
  switch (code) {
    case 400:
    case 405:
    case 422:
      return { kind: 'unsupported', message };
    case 401:
      return {
        kind: 'failed',
        message: `the API server does not accept our credentials (401${said ? ` ${said}` : ''}): renew the token or the kubeconfig`,
        retryAfterMs,
      };
    case 403:
      return { kind: 'forbidden', message: said || message };
    case 404:
      return { kind: 'not-found', message };
    default:
      return { kind: 'failed', message, retryAfterMs };
  }
}

/** The failure of a request that got no answer, or whose answer broke off. */
export function failureOfError(error: unknown, server: string): Failure {
  if (error instanceof IdleTimeoutError) return { kind: 'silent', message: `${server}: ${error.message}` };
  const { code, message } = error as { code?: string; message?: string };
  return {
    kind: 'failed',
    message: `${server}: ${explain(code, message ?? `${error}`)}`,
    retryAfterMs: undefined,
  };
}

function explain(code: string | undefined, message: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused; is the API server running at that address?';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name cannot be resolved; check the server address and DNS';
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no answer; check the address and whether a firewall is in between';
    case 'ECONNRESET':
    case 'ERR_STREAM_PREMATURE_CLOSE':
    case 'ERR_HTTP2_STREAM_ERROR':
      return 'the connection was cut';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'its certificate is not signed by a known authority; check certificate-authority in the kubeconfig';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name; check the server address or set tls-server-name';
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    default:
      return oneLine(message);
  }
}

function statusOf(text: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && 'message' in value ? value : undefined;
  } catch {
    return undefined;
  }
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > MAX_MESSAGE_CHARACTERS ? `${line.slice(0, MAX_MESSAGE_CHARACTERS)}…` : line;
}
