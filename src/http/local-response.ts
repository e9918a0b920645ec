import type { FieldsView, HeaderField } from './head-edit.ts';

/** Why a request gets no route or may not take it, found before anything is sent. */
export type Refusal =
  | 'bad-host'
  | 'host-disagrees'
  | 'method-not-allowed'
  /** It has been through Portico too often (RFC 8586). */
  | 'loop-detected'
  | 'no-route'
  | 'backend-unavailable'
  /** A route of a Gateway names nothing that this share of its requests may go to. */
  | 'backend-invalid'
  /** A policy that decides who gets in, or what is verified, cannot be enforced. */
  | 'closed-by-policy'
  | PathRefusal
  | HealthAnswer
  | CertificateRefusal;

/** What a load balancer is told that asks whether Portico is healthy: no refusal, but answered like one. */
export type HealthAnswer = 'healthy' | 'draining';

/** Why a request is refused because of its client certificate. */
export type CertificateRefusal =
  | 'certificate-missing'
  /** One was presented that is not good. */
  | 'certificate-refused'
  /** It came in clear text, perhaps from a proxy that ended TLS: nobody here has seen a certificate. */
  | 'client-certificate-not-available'
  /** The connection was opened for hosts that ask for something else (RFC 9110 15.5.20). */
  | 'misdirected'
  /** There is nothing to verify clients by, or the Ingress asks for something else than its host. */
  | 'clients-unverifiable';

/** Why the path of a request cannot be matched or rewritten. */
export type PathRefusal =
  | 'bad-target'
  /** It would take the regular expressions of its host too long. */
  | 'path-too-costly';

/** Why a policy refuses a request. */
export type PolicyRefusal =
  | PathRefusal
  /** The answer would have the host of the request, which names none. */
  | 'bad-host'
  /** The address of the client is denied, or not among those that are allowed. */
  | 'address-denied'
  /** It is on a list of what no host wants. */
  | 'blocked'
  /** There is no user name with its password, or whatever else proves who the client is, or it is wrong. */
  | 'unauthenticated'
  /** The client certificate is good, and its name none of those that may come. */
  | 'client-name-denied'
  /** The authentication server lets the client do other things. */
  | 'unauthorized'
  /** The authentication server gave no answer that says yes or no. */
  | 'auth-failed'
  | 'auth-unavailable'
  /** Too many passwords wait to be compared. */
  | 'passwords-busy'
  /** The Secret with the passwords is gone. */
  | 'passwords-unavailable'
  /** The body is longer than the route allows. */
  | 'body-too-large'
  /** The client asks for more than the route lets one client have. */
  | 'rate-limited';

/** Why no endpoint's answer reached the client. */
export type AttemptFailure =
  | 'upstream-refused'
  | 'upstream-unreachable'
  | 'upstream-handshake-failed'
  | 'upstream-connect-timed-out'
  | 'upstream-reset'
  | 'overloaded'
  | 'upstream-protocol-error'
  | 'upstream-timed-out'
  | 'client-gone'
  | 'no-endpoint';

/** What is wrong with a message itself, found while it was read. */
export type MessageFault =
  /** Not HTTP/1.1 as RFC 9112 spells it. */
  | 'bad-message'
  /** Two readers could disagree on where the message ends. */
  | 'bad-framing'
  /** Plain HTTP on the TLS port. */
  | 'tls-expected'
  /** The head or the body did not come in time. */
  | 'request-timed-out'
  | 'body-too-large'
  | 'target-too-long'
  | 'head-too-large'
  | 'expectation-unknown'
  | 'method-unknown'
  | 'transfer-coding-unknown'
  | 'version-not-supported';

/** Why the engine itself turns an exchange away. */
export type EngineRefusal =
  | 'overloaded'
  | 'protocol-not-supported'
  | 'internal-fault'
  /** The client said how long its call may take (grpc-timeout), and it took longer. */
  | 'deadline-exceeded';

/** A host with TLS is served over TLS only; `redirection` says where to. */
export type Redirect = 'https-only';

export type LocalReason = Refusal | PolicyRefusal | Redirect | AttemptFailure | MessageFault | EngineRefusal;

/** A response that Portico itself gives. Shared between exchanges: never changed. */
export interface LocalResponse {
  readonly status: number;
  readonly reasonPhrase: string;
  /** Lower-case names; `content-length` included unless there is no body, `date` and `connection` left to the engine. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Latin-1: a byte a character. Leave it out for HEAD, keep the fields. */
  readonly body: string;
  /** The connection must not carry another request: what follows on it cannot be trusted to be one. */
  readonly close: boolean;
}

/** How a client is told: in words, as JSON, or as a gRPC status. */
export type Language = 'text' | 'json' | 'grpc';

/** JSON when the client names it and does not like plain text better; a gRPC call is told as gRPC does. */
export function languageOf(accept: string | undefined, isGrpc: boolean): Language {
  if (isGrpc) return 'grpc';
  return prefersJson(accept) ? 'json' : 'text';
}

/** The one place where Portico's own responses are written. Nothing that a client sent is ever part of one. */
export function localResponse(reason: LocalReason, language: Language): LocalResponse {
  const cache = made[language];
  let response = cache.get(reason);
  if (!response) {
    response = language === 'grpc' ? grpcStatus(reason) : write(reason, language === 'json');
    cache.set(reason, response);
  }
  return response;
}

const made: Readonly<Record<Language, Map<LocalReason, LocalResponse>>> = {
  text: new Map(),
  json: new Map(),
  grpc: new Map(),
};

/** What a policy tells a client for a reason, in the language of its request, with fields of its own. */
export function refusal(
  reason: LocalReason,
  request: FieldsView,
  fields: readonly HeaderField[],
): LocalResponse {
  const isGrpc = /^application\/grpc/i.test(request.value('content-type') ?? '');
  const response = localResponse(reason, languageOf(request.value('accept'), isGrpc));
  return { ...response, fields: [...response.fields, ...fields] };
}

/** Sends a client to where it asks for the same by https, with the same method and body (RFC 9110 15.4.9). */
export function redirection(location: string, language: Language, status = 308): LocalResponse {
  if (status !== 308) return redirectTo(status, location);
  const response = localResponse('https-only', language === 'grpc' ? 'text' : language);
  return { ...response, fields: [...response.fields, ['location', location]] };
}

/** Sends a client elsewhere because a policy says so. The status is one of a redirect to a location. */
export function redirectTo(status: number, location: string): LocalResponse {
  const reasonPhrase = PHRASES[status] ?? '';
  const body = `${status} ${reasonPhrase}\n`;
  const fields: LocalResponse['fields'] = [
    ['content-type', 'text/plain; charset=utf-8'],
    ['content-length', String(body.length)],
    ['location', location],
  ];
  return { status, reasonPhrase, fields, body, close: false };
}

/** What a server that was asked says to a client in the place of Portico: a byte of `body` a character. */
export function saidByServer(status: number, said: readonly HeaderField[], body: string): LocalResponse {
  const hasBody = status !== 204 && status !== 205 && status !== 304;
  const usual: readonly HeaderField[] = [
    ...(hasBody && body !== '' ? [['content-type', 'text/plain; charset=utf-8'] as const] : []),
    ['cache-control', 'no-store'],
    ['x-content-type-options', 'nosniff'],
  ];
  const fields = [
    ...usual.filter(([name]) => !said.some(([each]) => each.toLowerCase() === name)),
    ...said,
    ...(hasBody ? [['content-length', String(body.length)] as const] : []),
  ];
  return { status, reasonPhrase: PHRASES[status] ?? '', fields, body: hasBody ? body : '', close: false };
}

/** Sends a client away that asked for too much; it may come back in `retryAfterS` seconds. */
export function limitedResponse(status: number, retryAfterS: number, language: Language): LocalResponse {
  const response =
    language === 'grpc'
      ? localResponse('rate-limited', language)
      : write('rate-limited', language === 'json', status);
  return { ...response, fields: [...response.fields, ['retry-after', String(Math.max(1, retryAfterS))]] };
}

/**
 * A gRPC call is answered with a status of its own and no body ("Trailers-Only"): whatever speaks gRPC knows what to do
 * with it, and not what to do with a page.
 */
function grpcStatus(reason: LocalReason): LocalResponse {
  const { message, close = false } = explain(reason);
  const fields = [
    ['content-type', 'application/grpc'],
    ['grpc-status', String(grpcStatusOf(reason))],
    ['grpc-message', message],
  ] as const;
  return { status: 200, reasonPhrase: 'OK', fields, body: '', close };
}

/** As gRPC maps HTTP (doc/http-grpc-status-mapping.md), except for what it has a status of its own for. */
function grpcStatusOf(reason: LocalReason): number {
  if (reason === 'deadline-exceeded') return GRPC.deadlineExceeded;
  if (reason === 'certificate-missing' || reason === 'certificate-refused') return GRPC.unauthenticated;
  if (reason === 'backend-invalid') return GRPC.unavailable;
  switch (statusOf(reason)) {
    case 400:
    case 431:
      return GRPC.internal;
    case 401:
      return GRPC.unauthenticated;
    case 403:
      return GRPC.permissionDenied;
    case 404:
    case 405:
    case 501:
      return GRPC.unimplemented;
    case 408:
    case 499:
      return GRPC.cancelled;
    case 413:
    case 429:
      return GRPC.resourceExhausted;
    case 502:
    case 503:
    case 504:
      return GRPC.unavailable;
    default:
      return GRPC.unknown;
  }
}

/** grpc/status.h */
const GRPC = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** The status a reason is answered with, and logged with: 499 is never sent, the client has left. */
export function statusOf(reason: LocalReason): number {
  return explain(reason).status;
}

/** What a client is told, without its status. */
export function messageOf(reason: LocalReason): string {
  return explain(reason).message;
}

interface Explanation {
  readonly status: number;
  readonly message: string;
  readonly close?: true;
}

function explain(reason: LocalReason): Explanation {
  switch (reason) {
    case 'healthy':
      return { status: 200, message: 'healthy' };
    case 'bad-message':
      return { status: 400, message: 'the request is not well-formed HTTP/1.1', close: true };
    case 'bad-framing':
      return {
        status: 400,
        message: 'the length of the request body is ambiguous or malformed',
        close: true,
      };
    case 'tls-expected':
      return { status: 400, message: 'plain HTTP was sent to the HTTPS port: use https://', close: true };
    case 'bad-host':
      return { status: 400, message: 'the Host field is missing, repeated or malformed', close: true };
    case 'bad-target':
      return { status: 400, message: 'the request target is malformed', close: true };
    case 'host-disagrees':
      return {
        status: 400,
        message: 'the request target and the Host field name different hosts',
        close: true,
      };
    case 'certificate-missing':
      return {
        status: 400,
        message: 'this host requires a client certificate, and none was sent',
        // Another certificate comes with another connection.
        close: true,
      };
    case 'certificate-refused':
      return {
        status: 400,
        message: 'the client certificate that was sent could not be verified',
        close: true,
      };
    case 'client-certificate-not-available':
      return {
        status: 403,
        message: 'this host asks for client certificates: it is served only over TLS that ends here',
      };
    case 'unauthenticated':
      return { status: 401, message: 'authentication is needed here' };
    case 'client-name-denied':
      return { status: 403, message: 'the name in your client certificate is not allowed here' };
    case 'unauthorized':
      return { status: 403, message: 'you are not allowed to do this' };
    case 'auth-failed':
      return { status: 500, message: 'whether you are allowed to do this could not be found out' };
    case 'auth-unavailable':
      return {
        status: 503,
        message: 'whether you are allowed to do this cannot be found out: try again later',
      };
    case 'passwords-unavailable':
      return { status: 503, message: 'the passwords that are needed here cannot be checked' };
    case 'passwords-busy':
      return { status: 503, message: 'too many passwords wait to be checked: try again in a moment' };
    case 'address-denied':
      return { status: 403, message: 'your address is not allowed here' };
    case 'blocked':
      return { status: 403, message: 'requests like this one are not allowed here' };
    case 'misdirected':
      return {
        status: 421,
        message: 'this connection was opened for hosts with other rules for TLS: open a new one',
        close: true,
      };
    case 'clients-unverifiable':
      return { status: 503, message: 'the client certificates that this route requires cannot be verified' };
    case 'https-only':
      return { status: 308, message: 'this host is served over https only' };
    case 'no-route':
      return { status: 404, message: 'no route: no Ingress has a rule for this host and path' };
    case 'loop-detected':
      return { status: 508, message: 'the route of this request leads back here, again and again' };
    case 'method-not-allowed':
      return { status: 405, message: 'CONNECT and TRACE are not served here', close: true };
    case 'request-timed-out':
      return { status: 408, message: 'the request did not arrive in time', close: true };
    case 'body-too-large':
      return { status: 413, message: 'the request body is too large', close: true };
    case 'target-too-long':
      return { status: 414, message: 'the request line is too long', close: true };
    case 'path-too-costly':
      return { status: 414, message: 'the path is too long for the regular expressions of this host' };
    case 'rate-limited':
      return { status: 429, message: 'you have sent too many requests: wait before you send more' };
    case 'expectation-unknown':
      return {
        status: 417,
        message: 'the Expect field asks for something other than 100-continue',
        close: true,
      };
    case 'head-too-large':
      return { status: 431, message: 'the request head is too large or has too many fields', close: true };
    case 'client-gone':
      return { status: 499, message: 'the client closed the connection', close: true };
    case 'internal-fault':
      return { status: 500, message: 'the proxy failed to carry out the request', close: true };
    case 'method-unknown':
      return { status: 501, message: 'the request method is not known here', close: true };
    case 'transfer-coding-unknown':
      return { status: 501, message: 'the only transfer coding understood is chunked', close: true };
    case 'protocol-not-supported':
      return { status: 501, message: 'the protocol this service speaks is not supported' };
    case 'upstream-refused':
      return { status: 502, message: 'the upstream refused the connection' };
    case 'upstream-unreachable':
      return { status: 502, message: 'the upstream cannot be reached' };
    case 'upstream-handshake-failed':
      return { status: 502, message: 'no protocol could be agreed on with the upstream' };
    case 'upstream-reset':
      return { status: 502, message: 'the upstream closed the connection before it answered' };
    case 'upstream-protocol-error':
      return { status: 502, message: 'the upstream sent something that is not a valid HTTP response' };
    case 'backend-unavailable':
      return { status: 503, message: 'the service behind this route is missing or has no endpoint' };
    case 'backend-invalid':
      return { status: 500, message: 'this route names no service that may have this request' };
    case 'closed-by-policy':
      return {
        status: 503,
        message: 'this path is closed: its Ingress asks for access rules that cannot be enforced',
      };
    case 'no-endpoint':
      return { status: 503, message: 'no endpoint is left for the service behind this route' };
    case 'overloaded':
      return { status: 503, message: 'the proxy has reached its limit of connections', close: true };
    case 'draining':
      return { status: 503, message: 'the proxy is shutting down', close: true };
    case 'upstream-connect-timed-out':
      return { status: 504, message: 'the connection to the upstream timed out' };
    case 'upstream-timed-out':
      return { status: 504, message: 'the upstream did not answer in time' };
    case 'deadline-exceeded':
      return { status: 504, message: 'the call took longer than its deadline allows' };
    case 'version-not-supported':
      return { status: 505, message: 'only HTTP/1.1 and HTTP/1.0 are served here', close: true };
    default:
      return reason satisfies never;
  }
}

const PHRASES: Readonly<Record<number, string>> = {
  200: 'OK',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
};

function write(reason: LocalReason, json: boolean, otherStatus?: number): LocalResponse {
  const { status: usual, message, close = false } = explain(reason);
  const status = otherStatus ?? usual;
  const reasonPhrase = PHRASES[status] ?? '';
  const body = json
    ? `${JSON.stringify({ status, reason, message })}\n`
    : `${status} ${reasonPhrase}: ${message}\n`;
  const fields: [string, string][] = [
    ['content-type', json ? 'application/json' : 'text/plain; charset=utf-8'],
    ['content-length', String(body.length)],
    ['cache-control', 'no-store'],
    ['x-content-type-options', 'nosniff'],
  ];
  // RFC 9110 15.5.6: a 405 names the methods that would do.
  if (status === 405) fields.push(['allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']);
  return { status, reasonPhrase, fields, body, close };
}

const LONGEST_ACCEPT = 1024;

/** Whether an Accept field names JSON and gives it at least the weight of plain text (RFC 9110 12.5.1). */
function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined || accept === '*/*' || accept.length > LONGEST_ACCEPT) return false;
  let json = 0;
  let text = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const weight = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1);
    if (type === 'application/json' || type === 'application/problem+json')
      json = Math.max(json, weight || 0);
    if (type === 'text/plain' || type === 'text/*') text = Math.max(text, weight || 0);
  }
  return json > 0 && json >= text;
}
