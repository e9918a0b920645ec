import type { HeaderField } from '../http/head-edit.ts';
import { connectionOptions, isForwardingField, isHopByHop } from '../http/header-fields.ts';
import { saidByServer } from '../http/local-response.ts';
import { normalizePath, originForm } from '../http/path.ts';
import type { CopiedContent } from '../http/request-content.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { Subrequest, SubrequestOutcome } from '../http/subrequest.ts';
import type { AskedBackend } from './asked-backend.ts';
import { redirected, refuse, unauthenticated, unavailable, valuesOf } from './auth/auth-refusal.ts';
import { judged } from './auth/auth-verdict.ts';
import { checkCall, checkOutcome } from './auth/check-call.ts';
import { type CheckAnswer, type FieldChange, applyChanges } from './auth/check-response.ts';
import { fieldFault } from './field-fault.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';

export interface ExternalAuthFilterConfig {
  /** Of the route: its limits count. */
  readonly namespace: string;
  /** Null where it may not be asked, or cannot be verified: nobody is let in. */
  readonly to: AskedBackend | null;
  /** What paths of requests have before them; empty for nothing. */
  readonly prefix: string;
  /** Present where the server is asked by gRPC (ext_authz of Envoy): what it is called. */
  readonly grpc?: { readonly authority: string };
  /**
   * Fields of the request that the server is told beside `Host`, `Authorization` and `CDN-Loop`, in lower case. By gRPC it is told no
   * others, or all where none are listed.
   */
  readonly allowedHeaders: readonly string[];
  /** Fields of the answer that Pods get, in lower case; null for all that are not about the answer itself. */
  readonly responseHeaders: readonly string[] | null;
  /** The server gets the bodies of requests, which may have at most so many bytes; 0 for none. */
  readonly maxBodyBytes: number;
}

const NAME = 'external-auth-filter';

export const externalAuthFilter = definePolicy({
  name: NAME,
  phase: 'access',
  summary:
    'Asks a Service whether a request may pass: the filter `ExternalAuth` of Gateway API. With the protocol HTTP 200 lets it pass; ' +
    '401, 403 and redirects (302, 303, 307) reach the client, and any other answer below 500 is 403. With the protocol GRPC, which ' +
    'is ext_authz of Envoy, the answer says so. Without an answer it is 503.',
  annotations: [],
  whenInvalid: 'close',

  parse(): ExternalAuthFilterConfig | null {
    return null;
  },

  bind(config, thread) {
    const { to, grpc, allowedHeaders, responseHeaders, maxBodyBytes, namespace } = config;
    const listed = responseHeaders && new Set(responseHeaders);
    const isPassed = (name: string): boolean => listed?.has(name) ?? isAboutClient(name);
    const asked = [...new Set(grpc ? allowedHeaders : ['authorization', 'cdn-loop', ...allowedHeaders])];
    /** What the server says to clients that it lets in, until they get it. */
    const toClients = new WeakMap<RequestView, readonly FieldChange[]>();
    const ask = (
      server: AskedBackend,
      body: CopiedContent | null,
      request: RequestView,
      edit: RequestEdit,
    ): Verdict | Promise<Verdict> => {
      const path = normalizedTarget(request);
      if (path === null) {
        body?.drop();
        return judged(NAME, 'asked', request, refuse('unauthorized', request));
      }
      const question = grpc
        ? checkQuestion(namespace, asked, server, grpc.authority, request, path, body, thread.now())
        : authQuestion(config, asked, server, request, path, body);
      return thread.send(question).then((outcome) => {
        const { verdict, toClient } = grpc
          ? checked(outcome, request, edit)
          : answered(outcome, isPassed, request, edit);
        if (toClient.length > 0) toClients.set(request, toClient);
        for (const { name, value } of toClient) edit.keptBytes += name.length + value.length;
        return judged(NAME, 'asked', request, verdict);
      });
    };

    return {
      onRequest(request, edit) {
        if (to === null) return judged(NAME, 'asked', request, refuse('auth-unavailable', request));
        // What the client says in the name of the server is never passed on.
        for (const name of responseHeaders ?? []) edit.remove(name);
        if (maxBodyBytes === 0 || !request.body.exists) return ask(to, null, request, edit);
        if (Number(request.value('content-length') ?? 0) > maxBodyBytes) return TOO_LARGE;
        return request.body
          .whole(namespace)
          .then((body) =>
            body
              ? ask(to, body, request, edit)
              : judged(NAME, 'asked', request, refuse('auth-unavailable', request)),
          );
      },
      onResponse(edit, request) {
        applyChanges(edit, toClients.get(request) ?? []);
        toClients.delete(request);
      },
    };
  },

  describe({ to, grpc, responseHeaders, maxBodyBytes }) {
    if (to === null) return 'lets nobody in: its Service cannot be asked';
    const parts = [
      `asks ${to.backend}${grpc ? ' by gRPC' : ''}`,
      ...(to.transport?.['upstream-tls'] ? ['by verified TLS'] : []),
      ...(grpc ? [] : [`passes on ${responseHeaders === null ? 'all' : responseHeaders.join(', ')}`]),
      ...(maxBodyBytes > 0 ? [`with bodies of at most ${maxBodyBytes} bytes`] : []),
    ];
    return parts.join(', ');
  },
});

const TOO_LARGE: Verdict = { kind: 'refuse', reason: 'body-too-large' };
/** From the call to the head of the answer. */
const TIMEOUT_MS = 30_000;
/** Those that frame a body, or are about this message only. */
const OMITTED: ReadonlySet<string> = new Set(['host', 'content-length', 'expect', 'trailer']);

/** What an answer leads to. */
interface Judgement {
  readonly verdict: Verdict;
  /** What a client gets with the response of the Pod, or that of the server. */
  readonly toClient: readonly FieldChange[];
}

function answered(
  outcome: SubrequestOutcome,
  isPassed: (name: string) => boolean,
  request: RequestView,
  edit: RequestEdit,
): Judgement {
  if (outcome.kind === 'failed') return { verdict: unavailable(outcome.reason, request), toClient: [] };
  const { status, fields } = outcome;
  const cookies = valuesOf(fields, 'set-cookie');
  const toClient = cookies.map((value): FieldChange => ({ name: 'Set-Cookie', value, action: 'add' }));
  if (status === 401) return { verdict: unauthenticated(fields, request), toClient };
  if (status !== 200) {
    const refusal =
      status < 500 ? refuse('unauthorized', request) : unavailable(`http-status-${status}`, request);
    return { verdict: redirected(status, fields) ?? refusal, toClient };
  }
  for (const name of new Set(fields.map(([each]) => each).filter(isPassed)))
    edit.set(name, valuesOf(fields, name).join(', '));
  return { verdict: CONTINUE, toClient };
}

function checked(outcome: SubrequestOutcome, request: RequestView, edit: RequestEdit): Judgement {
  const answer = checkOutcome(outcome);
  switch (answer.kind) {
    case 'allowed':
      applyChanges(edit, answer.changes);
      return { verdict: CONTINUE, toClient: answer.toClient };
    case 'denied':
      return { verdict: denied(answer, request), toClient: [] };
    case 'unclear':
      return { verdict: unavailable(answer.fault, request), toClient: [] };
    default:
      return answer satisfies never;
  }
}

/** What the server says to the client; to a gRPC call only that it may not pass. */
function denied(
  { status, fields, body }: Extract<CheckAnswer, { kind: 'denied' }>,
  request: RequestView,
): Verdict {
  const detail = status === 401 ? 'unauthenticated' : 'unauthorized';
  if (/^application\/grpc/i.test(request.value('content-type') ?? '')) return refuse(detail, request);
  return { kind: 'respond', response: saidByServer(status, fields, body), detail };
}

/** Path and query, the path in normal form; null where it climbs above its root: with a prefix before it, it would be another one. */
function normalizedTarget(request: RequestView): string | null {
  const target = originForm(request.target);
  const query = target.indexOf('?');
  const path = normalizePath(target);
  return path === null ? null : `${path}${query < 0 ? '' : target.slice(query)}`;
}

function authQuestion(
  { namespace, prefix }: ExternalAuthFilterConfig,
  asked: readonly string[],
  to: AskedBackend,
  request: RequestView,
  target: string,
  body: CopiedContent | null,
): Subrequest {
  return {
    namespace,
    to,
    method: request.method,
    target: `${prefix}${target}`,
    fields: [['Host', request.host], ...toldFields(request, asked)],
    timeoutMs: TIMEOUT_MS,
    cancellation: request.cancellation,
    ...(body && { body }),
  };
}

/** `asked` are the fields that are told, all where there are none; `body` has come whole. */
function checkQuestion(
  namespace: string,
  asked: readonly string[],
  to: AskedBackend,
  authority: string,
  request: RequestView,
  target: string,
  body: CopiedContent | null,
  now: number,
): Subrequest {
  const all = (): Iterable<string> =>
    new Set([...request.allFields().map(([name]) => name.toLowerCase()), ...Object.keys(ownFields(request))]);
  const fields = toldFields(request, asked.length > 0 ? asked : all());
  const pieces: Buffer[] = [];
  for (let piece = body?.next(); piece; piece = body?.next()) pieces.push(piece);
  const whole = body && Buffer.concat(pieces);
  body?.drop();
  return checkCall(namespace, to, authority, { request, fields, target, body: whole, now });
}

/** The fields of these names, each of them once, as far as a server may know them. */
function toldFields(request: RequestView, names: Iterable<string>): readonly HeaderField[] {
  const own = ownFields(request);
  // What the Pod does not get is nothing to be let in by.
  const { names: dropped } = connectionOptions(request.value('connection'));
  const isTold = (name: string): boolean =>
    !OMITTED.has(name) && !name.includes('_') && !isHopByHop(name) && !isForwardingField(name);
  return [...names].flatMap((name): readonly HeaderField[] => {
    const said = own[name];
    if (said !== undefined) return [[name, said]];
    if (!isTold(name) || dropped?.has(name)) return [];
    return request.values(name).map((value): HeaderField => [name, value]);
  });
}

/** What Portico knows better than a client, by lower-case names. */
function ownFields(request: RequestView): Readonly<Record<string, string>> {
  return {
    'x-forwarded-for': request.clientAddress,
    'x-forwarded-host': request.host,
    'x-forwarded-proto': request.scheme,
    'x-real-ip': request.clientAddress,
    'x-request-id': request.requestId,
    'cdn-loop': request.loop,
  };
}

/** Of responses, and not of the client that they let in. */
const ABOUT_RESPONSE =
  /^(?:content-.*|access-control-.*|accept-.*|age|allow|alt-svc|cache-control|date|etag|expires|last-modified|link|location|server|set-cookie|strict-transport-security|vary|via|warning|www-authenticate|host)$/;

/** Whether a field of the answer may say who the client is, for a Pod. */
function isAboutClient(name: string): boolean {
  const isOurs = isHopByHop(name) || isForwardingField(name) || fieldFault(name, 'x') !== null;
  return !isOurs && !ABOUT_RESPONSE.test(name);
}
