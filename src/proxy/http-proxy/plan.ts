import type { IncomingMessage } from 'node:http';
import { hopsOf } from '../../http/loop.ts';
import { ingressNginxFields } from '../../http/ingress-nginx-fields.ts';
import { balanceOf } from '../../policies/balance.ts';
import type { Backend, Route } from '../../routing/table.ts';
import type { LocalReason, LocalResponse } from '../../http/local-response.ts';
import { applyEdit } from '../../http/head-edit.ts';
import { RequestEdit, type RequestView } from '../../http/request-view.ts';
import { type BoundPolicies, alsoAtResponse } from '../../policies/bound-policies.ts';
import type { BoundPolicy, Verdict } from '../../policies/policy.ts';
import { askPolicies } from '../../policies/run-policies.ts';
import type { EndpointState } from '../balance/endpoint-state.ts';
import { policiesToAsk } from '../../routing/decide.ts';
import type { EngineContext } from '../engine.ts';
import { errorFields, errorPageFields, errorPageTarget } from '../../http/error-request.ts';
import { type Forwarding, forwarding } from '../../http/forwarded.ts';
import { affinitySession } from '../balance/affinity-session.ts';
import { hashOf } from '../balance/hash-by.ts';
import { forwardedFields } from '../upstream/http1/upstream-head.ts';
import { type RetryRules, retryRules } from '../retry-rules.ts';
import { upstreamTransport } from '../upstream/upstream-transport.ts';
import type { FieldsView } from '../../http/head-edit.ts';
import { NO_KEPT_FIELDS } from '../exchange-record.ts';
import {
  type ReferenceRecord,
  connectionInfoOf,
  requestView,
  valueOf,
  valuesOf,
} from './reference-record.ts';
import { type ReferenceRequestHead, readHead } from './reference-request-head.ts';

/** What is to be done with a request, decided once from its head. */
export type Plan = {
  /** Of the route, or those that count everywhere. */
  readonly policies: BoundPolicies;
  /** Those of them that are asked about the request. */
  readonly asked: readonly BoundPolicy[];
} & (
  | { readonly kind: 'refuse'; readonly reason: LocalReason; readonly head: ReferenceRequestHead | null }
  | {
      readonly kind: 'redirect';
      readonly location: string;
      readonly status: number;
      readonly reason: LocalReason;
      readonly head: ReferenceRequestHead;
    }
  | {
      readonly kind: 'forward';
      readonly head: ReferenceRequestHead;
      readonly route: Route;
      readonly backend: Backend;
      /** See `Forward`. */
      readonly replaces: number | undefined;
      /** Whether the endpoints that there are now speak TLS. */
      speaksTls(): boolean;
      readonly way: Forwarding;
      /** The endpoint for the next attempt. */
      choose(tried: readonly EndpointState[]): EndpointState | null;
      /** Whether there is no other endpoint to try when the one of this attempt, counted from 1, cannot be reached. */
      isLast(attempt: number): boolean;
      /** Whether an endpoint is left that is not one of these. */
      hasAnother(tried: readonly EndpointState[]): boolean;
      readonly retries: RetryRules;
    }
);

export type ForwardPlan = Plan & { readonly kind: 'forward' };

/** Reads the head, asks where it goes, and records what that says. */
export function planRequest(context: EngineContext, request: IncomingMessage, record: ReferenceRecord): Plan {
  const connectionInfo = connectionInfoOf(request.socket);
  const read = readHead(request, context, connectionInfo);
  if (read.kind === 'fault') {
    return {
      ...{ kind: 'refuse', reason: read.reason, head: null },
      ...{ policies: context.policies(null), asked: [] },
    };
  }
  const { head } = read;
  record.droppedFields = head.droppedFields;
  const { forwardedFor, forwardedHost } = head.forwarding;
  const plainWay = forwarding(connectionInfo, head.forwarding, context.trustedProxies);
  const way = context.ingressNginxFields
    ? { ...plainWay, also: ingressNginxFields(plainWay, forwardedFor, forwardedHost) }
    : plainWay;
  record.requestId = way.requestId;
  record.loop = way.loop;
  record.hops = hopsOf(head.forwarding.loop);
  record.clientAddress = way.realIp;
  record.scheme = way.scheme;

  const decision = context.decide({
    ...head.addressee,
    scheme: way.scheme,
    connectionInfo,
    hops: record.hops,
    startedAt: context.now(),
    random: Math.random(),
    value: (name) => valueOf(request, name),
  });
  record.route = decision.route;
  const fields: FieldsView = {
    value: (name) => valueOf(request, name),
    values: (name) => valuesOf(request.rawHeaders, name),
  };
  record.keptFields = context.keepFields?.(fields, decision.route) ?? NO_KEPT_FIELDS;
  const policies = context.policies(decision.route?.policies ?? null);
  const asked = policiesToAsk(decision, policies);
  // It cannot give back a body that it has read for a policy.
  const readsBody = (decision.route?.policies?.configs['external-auth-filter']?.maxBodyBytes ?? 0) > 0;
  if (readsBody && head.body !== 'none')
    return { kind: 'refuse', reason: 'protocol-not-supported', head, policies, asked: [] };
  if (decision.kind === 'refuse') return { kind: 'refuse', reason: decision.reason, head, policies, asked };
  if (decision.kind === 'redirect') return { ...decision, head, policies, asked };
  const { route, backend, canary } = decision;
  record.backend = backend.key;
  record.canary = canary ?? '';
  const session = affinitySession(route, backend, { value: (name) => valueOf(request, name) }, context.now());
  const speech = upstreamTransport(route, backend, context.secret, connectionInfo.tls);
  // Nor can it verify upstreams or pace responses, and what is restricted is not sent without.
  const isPaced = route.policies?.configs['response-rate'] !== undefined;
  if (isPaced || speech.http2 || speech.tls?.options.secureContext) {
    return { kind: 'refuse', reason: 'protocol-not-supported', head, policies, asked };
  }

  const balance = balanceOf(route.policies?.configs.balance, backend.affinity !== undefined);
  const hash = hashOf(decision, requestView(request, record));
  const retries = retryRules(route.policies?.configs.retries, context.limits);
  return {
    kind: 'forward',
    head,
    route,
    backend,
    replaces: decision.replaces,
    speaksTls: () => {
      const current = context.endpoints.current(backend);
      return upstreamTransport(route, current, context.secret, connectionInfo.tls).tls !== null;
    },
    way,
    policies: session === null ? policies : alsoAtResponse(policies, session),
    asked,
    choose(tried) {
      return session === null
        ? context.endpoints.choose(backend, balance, tried, hash, context.now())
        : context.endpoints.chooseForSession(session, backend, balance, tried, hash, context.now());
    },
    retries,
    isLast: (attempt) => attempt >= retries.attempts || !context.endpoints.hasMoreThan(1, backend),
    hasAnother: (tried) => context.endpoints.hasMoreThan(tried.length, backend),
  };
}

/** What is sent to each endpoint that is tried. */
export interface UpstreamRequest {
  readonly target: string;
  /** Without the fields that frame the body. */
  readonly fields: Readonly<Record<string, string | string[]>>;
  /** What policies changed in them; trailers of the request follow it, too. */
  readonly edit?: RequestEdit | null;
}

export type Prepared =
  | { readonly kind: 'send'; readonly plan: ForwardPlan; readonly upstreamRequest: UpstreamRequest }
  | { readonly kind: 'refuse'; readonly reason: LocalReason; readonly by?: string }
  | {
      readonly kind: 'respond';
      readonly response: LocalResponse;
      readonly detail?: LocalReason | `${LocalReason}: ${string}`;
      readonly by?: string;
    };

/** Asks the policies of the route, and says what to send or respond. A promise only where a policy gives one. */
export function prepare(plan: Plan, request: RequestView): Prepared | Promise<Prepared> {
  const { asked } = plan;
  const replaces = plan.kind === 'forward' ? plan.replaces : undefined;
  if (asked.length === 0 && replaces === undefined) return prepared(plan, request, null);
  const edit = new RequestEdit(request);
  if (plan.kind === 'forward' && replaces !== undefined)
    for (const [name, value] of errorFields(replaces, request, plan.route)) edit.set(name, value);
  const finish = (verdict: Verdict): Prepared =>
    verdict.kind === 'continue' ? prepared(plan, request, edit) : verdict;
  const verdict = askPolicies(asked, request, edit);
  return verdict instanceof Promise ? verdict.then(finish) : finish(verdict);
}

/** What is sent to another backend for its page about an error; null where the response stays. See `EngineContext`. */
export function planReplacement(
  context: EngineContext,
  { head, policies }: Plan,
  request: RequestView,
  route: Route,
  status: number,
  reason: LocalReason | null,
): { readonly plan: ForwardPlan; readonly upstreamRequest: UpstreamRequest } | null {
  const backend = head === null ? null : context.replacingBackend(route, status, reason);
  if (head === null || backend === null) return null;
  const plain = { ...route, policies: null };
  const balance = balanceOf(undefined, backend.affinity !== undefined);
  const retries = retryRules(undefined, context.limits);
  const plan: ForwardPlan = {
    kind: 'forward',
    head: { ...head, body: 'none' },
    route: plain,
    backend,
    replaces: status,
    speaksTls: () => upstreamTransport(plain, context.endpoints.current(backend)).tls !== null,
    way: forwarding(request.connectionInfo, head.forwarding, context.trustedProxies),
    policies,
    asked: [],
    choose: (tried) =>
      context.endpoints.choose(backend, balance, tried, request.clientAddress, context.now()),
    retries,
    isLast: (attempt) => attempt >= retries.attempts || !context.endpoints.hasMoreThan(1, backend),
    hasAnother: (tried) => context.endpoints.hasMoreThan(tried.length, backend),
  };
  const fields = Object.fromEntries(errorPageFields(status, request, route));
  return { plan, upstreamRequest: { target: errorPageTarget(request), fields } };
}

/** What becomes of a request that its policies let go on. */
function prepared(plan: Plan, request: RequestView, edit: RequestEdit | null): Prepared {
  switch (plan.kind) {
    case 'forward':
      return { kind: 'send', plan, upstreamRequest: upstreamRequest(plan, request, edit) };
    case 'refuse':
      return { kind: 'refuse', reason: plan.reason };
    case 'redirect':
      return { kind: 'refuse', reason: plan.reason };
    default:
      return plan satisfies never;
  }
}

function upstreamRequest(
  { head, way }: ForwardPlan,
  { connectionInfo }: RequestView,
  edit: RequestEdit | null,
): UpstreamRequest {
  const fields: Record<string, string | string[]> = { ...head.fields };
  const isHost = (name: string): boolean => name.toLowerCase() === 'host';
  for (const name of Object.keys(fields)) {
    if (edit?.drops(name.toLowerCase()) || (edit?.host && isHost(name))) delete fields[name];
  }
  if (edit?.host) fields['Host'] = edit.host;
  const forwarded = forwardedFields(way);
  for (const [name, value] of edit === null ? forwarded : applyEdit(forwarded, edit)) {
    const before = fields[name];
    fields[name] = before === undefined ? value : [before, value].flat();
  }
  fields['CDN-Loop'] = way.loop;
  if (connectionInfo.certificate) Object.assign(fields, connectionInfo.certificate.fields);
  return { target: edit?.target ?? head.addressee.target, fields, edit };
}
