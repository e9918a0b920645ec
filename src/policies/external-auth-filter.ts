import type { HeaderField } from '../http/head-edit.ts';
import { connectionOptions, isForwardingField, isHopByHop } from '../http/header-fields.ts';
import { normalizePath, originForm } from '../http/path.ts';
import type { CopiedContent } from '../http/request-content.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { Subrequest, SubrequestOutcome } from '../http/subrequest.ts';
import type { AskedBackend } from './asked-backend.ts';
import { redirected, refuse, unauthenticated, valuesOf } from './auth/auth-refusal.ts';
import { judged } from './auth/auth-verdict.ts';
import { fieldFault } from './field-fault.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';

export interface ExternalAuthFilterConfig {
  /** Of the route: its limits count. */
  readonly namespace: string;
  /** Null where it may not be asked, or cannot be verified: nobody is let in. */
  readonly to: AskedBackend | null;
  /** What paths of requests have before them; empty for nothing. */
  readonly prefix: string;
  /** Fields of the request that the server is told beside `Host` and `Authorization`, in lower case. */
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
    'Asks a Service whether a request may pass: the filter `ExternalAuth` of Gateway API, with the protocol HTTP. 200 lets it pass; ' +
    '401, 403 and redirects (302, 303, 307) reach the client, and any other answer below 500 is 403. Without an answer it is 503.',
  annotations: [],
  whenInvalid: 'close',

  parse(): ExternalAuthFilterConfig | null {
    return null;
  },

  bind(config, thread) {
    const { to, responseHeaders, maxBodyBytes, namespace } = config;
    const listed = responseHeaders && new Set(responseHeaders);
    const isPassed = (name: string): boolean => listed?.has(name) ?? isAboutClient(name);
    /** The cookies of the answer, until the client gets them. */
    const cookies = new WeakMap<RequestView, readonly string[]>();

    const answered = (outcome: SubrequestOutcome, request: RequestView, edit: RequestEdit): Verdict => {
      if (outcome.kind === 'failed') return refuse('auth-unavailable', request);
      const { status, fields } = outcome;
      cookies.set(request, valuesOf(fields, 'set-cookie'));
      if (status === 401) return unauthenticated(fields, request);
      if (status !== 200) {
        const reason = status < 500 ? 'unauthorized' : 'auth-unavailable';
        return redirected(status, fields) ?? refuse(reason, request);
      }
      for (const name of new Set(fields.map(([each]) => each).filter(isPassed)))
        edit.set(name, valuesOf(fields, name).join(', '));
      return CONTINUE;
    };
    const ask = (
      to: AskedBackend,
      body: CopiedContent | null,
      request: RequestView,
      edit: RequestEdit,
    ): Verdict | Promise<Verdict> => {
      const question = authQuestion(config, to, request, body);
      if (question !== null)
        return thread
          .send(question)
          .then((outcome) => judged(NAME, 'asked', request, answered(outcome, request, edit)));
      body?.drop();
      return judged(NAME, 'asked', request, refuse('unauthorized', request));
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
        for (const cookie of cookies.get(request) ?? []) edit.add('Set-Cookie', cookie);
      },
    };
  },

  describe({ to, responseHeaders, maxBodyBytes }) {
    if (to === null) return 'lets nobody in: its Service cannot be asked';
    const parts = [
      `asks ${to.backend}`,
      ...(to.transport?.['upstream-tls'] ? ['by verified TLS'] : []),
      `passes on ${responseHeaders === null ? 'all' : responseHeaders.join(', ')}`,
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

/** Null where the path climbs above its root: with the prefix before it, it would be another one. */
function authQuestion(
  { namespace, prefix, allowedHeaders }: ExternalAuthFilterConfig,
  to: AskedBackend,
  request: RequestView,
  body: CopiedContent | null,
): Subrequest | null {
  const target = originForm(request.target);
  const query = target.indexOf('?');
  const path = normalizePath(target);
  if (path === null) return null;
  const fields: HeaderField[] = [['Host', request.host]];
  const own = ownFields(request);
  // What the Pod does not get is nothing to be let in by.
  const { names: dropped } = connectionOptions(request.value('connection'));
  const isTold = (name: string): boolean =>
    !OMITTED.has(name) && !name.includes('_') && !isHopByHop(name) && !isForwardingField(name);
  for (const name of new Set(['authorization', ...allowedHeaders])) {
    const said = own[name];
    if (said !== undefined) fields.push([name, said]);
    else if (isTold(name) && !dropped?.has(name))
      for (const value of request.values(name)) fields.push([name, value]);
  }
  return {
    namespace,
    to,
    method: request.method,
    target: `${prefix}${path}${query < 0 ? '' : target.slice(query)}`,
    fields,
    timeoutMs: TIMEOUT_MS,
    cancellation: request.cancellation,
    ...(body && { body }),
  };
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
