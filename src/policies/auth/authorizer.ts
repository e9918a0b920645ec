import type { HeaderField } from '../../http/head-edit.ts';
import type { MatchedRule, RequestEdit, RequestView } from '../../http/request-view.ts';
import type { SubrequestOutcome } from '../../http/subrequest.ts';
import { type Template, renderTemplate } from '../../http/variables.ts';
import { type BoundPolicy, CONTINUE, type PolicyThread, type Verdict } from '../policy.ts';
import { type AuthAnswer, AuthCache } from './auth-cache.ts';
import { CHALLENGE, redirect, redirected, refuse, unauthenticated, valuesOf } from './auth-refusal.ts';
import { authRequest, namesOfOwnFields } from './auth-request.ts';
import { judged } from './auth-verdict.ts';
import type { ExternalAuthConfig } from './external-auth-config.ts';

/** Asks the server of a config about each request, and does what it says. */
export function authorizer(config: ExternalAuthConfig, thread: PolicyThread): BoundPolicy {
  const cache = config.cache && { key: config.cache.key, answers: new AuthCache(config.cache.rules) };
  const ownFields = namesOfOwnFields(config);
  const used = new Set([...config.responseHeaders, CHALLENGE, 'location']);
  /** The cookies of the answer, until the client gets them. */
  const cookies = new WeakMap<RequestView, readonly string[]>();

  const ask = (request: RequestView, edit: RequestEdit, key: string | null): Verdict | Promise<Verdict> => {
    const question = authRequest(config, ownFields, request);
    if (question === null) return judged('external-auth', 'asked', request, failed(config, request));
    return thread
      .send(question)
      .then((outcome) => judged('external-auth', 'asked', request, answered(outcome, request, edit, key)));
  };
  const answered = (
    outcome: SubrequestOutcome,
    request: RequestView,
    edit: RequestEdit,
    key: string | null,
  ): Verdict => {
    if (outcome.kind === 'failed') return failed(config, request);
    const { status, fields } = outcome;
    const answer = { status, fields: fields.filter(([name]) => used.has(name)) };
    if (cache && key !== null) cache.answers.put(key, answer, fields, thread.now());
    const set = valuesOf(fields, 'set-cookie');
    if (set.length > 0) cookies.set(request, set);
    for (const value of set) edit.keptBytes += value.length;
    return verdictOf(answer, config, request, edit);
  };

  return {
    ownFields: config.responseHeaders,
    onRequest(request, edit) {
      const exempt = isExempt(request.rule, config.exempt);
      // What the client says in the name of the authentication server is never passed on; credentials are its own.
      for (const name of config.responseHeaders) if (!exempt || name !== 'authorization') edit.remove(name);
      if (exempt) return CONTINUE;
      if (cache === null) return ask(request, edit, null);
      const asked = renderTemplate(config.url.target, request);
      const client = renderTemplate(cache.key, request);
      // It tells nobody apart: what one client is told would be remembered for all.
      if (client === '') return ask(request, edit, null);
      const key = AuthCache.key(request.host, asked, client);
      const known = cache.answers.get(key, thread.now());
      if (known === null) return ask(request, edit, key);
      return judged('external-auth', 'cached', request, verdictOf(known, config, request, edit));
    },
    onResponse(edit, request) {
      for (const cookie of cookies.get(request) ?? []) edit.add('Set-Cookie', cookie);
      cookies.delete(request);
    },
  };
}

/** By the path of the rule, which its Ingress has: by that of the request a client could choose not to be asked about. */
function isExempt(rule: MatchedRule | null, exempt: readonly string[]): boolean {
  if (rule === null || rule.isPattern) return false;
  return exempt.some((path) => rule.path === path || rule.path.startsWith(`${path}/`));
}

/** 2xx lets in, 401 and 403 do not, and anything else is no answer. */
function verdictOf(
  { status, fields }: AuthAnswer,
  config: ExternalAuthConfig,
  request: RequestView,
  edit: RequestEdit,
): Verdict {
  if (status >= 200 && status < 300) {
    for (const name of config.responseHeaders) {
      const values = valuesOf(fields, name);
      if (values.length > 0) edit.set(name, values.join(', '));
    }
    return CONTINUE;
  }
  if (status === 401 || status === 403) return notAllowed(status, fields, config.signIn, request);
  return (config.isOurs ? redirected(status, fields) : null) ?? refuse('auth-failed', request);
}

function failed({ isOurs }: ExternalAuthConfig, request: RequestView): Verdict {
  return refuse(isOurs ? 'auth-unavailable' : 'auth-failed', request);
}

function notAllowed(
  status: 401 | 403,
  fields: readonly HeaderField[],
  signIn: Template | null,
  request: RequestView,
): Verdict {
  if (status === 403) return refuse('unauthorized', request);
  if (signIn !== null) return redirect(302, renderTemplate(signIn, request));
  return unauthenticated(fields, request);
}
