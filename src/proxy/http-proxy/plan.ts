import type { IncomingMessage } from 'node:http';
import { balanceOf } from '../../policies/balance.ts';
import type { Backend, Route } from '../../routing/table.ts';
import type { LocalReason } from '../../http/local-response.ts';
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { EngineContext } from '../engine.ts';
import { forwarding } from '../../http/forwarded.ts';
import { hashKey } from '../balance/hash-by.ts';
import { upstreamWay } from '../upstream/upstream-transport.ts';
import { type Ledger, connectionInfoOf } from './reference-record.ts';
import { type RequestHead, readHead } from './reference-request-head.ts';

/** What is to be done with a request, decided once from its head. */
export type Plan =
  | { readonly kind: 'refuse'; readonly reason: LocalReason; readonly head: RequestHead | null }
  | { readonly kind: 'redirect'; readonly location: string; readonly head: RequestHead }
  | {
      readonly kind: 'forward';
      readonly head: RequestHead;
      readonly route: Route;
      readonly backend: Backend;
      readonly tls: boolean;
      /** The fields for the upstream, without those that frame the body. */
      readonly fields: Record<string, string | string[]>;
      /** The endpoint for the next attempt. */
      choose(tried: readonly EndpointState[]): EndpointState | null;
      /** Whether there is no other endpoint to try when the one of this attempt, counted from 1, cannot be reached. */
      isLast(attempt: number): boolean;
    };

/** Reads the head, asks where it goes, and notes in the ledger what that says. */
export function planRequest(context: EngineContext, request: IncomingMessage, ledger: Ledger): Plan {
  const connectionInfo = connectionInfoOf(request.socket);
  const read = readHead(request, context, connectionInfo);
  if (read.kind === 'fault') return { kind: 'refuse', reason: read.reason, head: null };
  const { head } = read;
  ledger.droppedFields = head.droppedFields;
  const way = forwarding(connectionInfo, head.forwarding, context.trustedProxies);
  ledger.requestId = way.requestId;
  ledger.clientAddress = way.realIp;
  ledger.scheme = way.scheme;

  const decision = context.decide({ ...head.addressee, scheme: way.scheme, connectionInfo });
  ledger.route = decision.route;
  if (decision.kind === 'refuse') return { kind: 'refuse', reason: decision.reason, head };
  if (decision.kind === 'redirect') return { kind: 'redirect', location: decision.location, head };
  const { route, backend } = decision;
  const speech = upstreamWay(route, backend);
  // Nor can it verify pods, and what must be verified is not sent without.
  if (speech.http2 || speech.tls?.options.rejectUnauthorized) {
    return { kind: 'refuse', reason: 'protocol-not-supported', head };
  }

  const fields = head.fields;
  fields['X-Forwarded-For'] = way.forwardedFor;
  fields['X-Forwarded-Host'] = way.forwardedHost;
  fields['X-Forwarded-Port'] = way.forwardedPort;
  fields['X-Forwarded-Proto'] = way.forwardedProto;
  fields['X-Real-IP'] = way.realIp;
  fields['X-Request-ID'] = way.requestId;
  if (way.forwarded !== null) fields['Forwarded'] = way.forwarded;
  if (connectionInfo.certificate) Object.assign(fields, connectionInfo.certificate.fields);

  const balance = balanceOf(route.policies?.configs.balance, backend.affinity !== undefined);
  const hash = (): string =>
    hashKey(route.policies?.configs.balance?.hashBy ?? 'client-ip', {
      clientAddress: ledger.clientAddress,
      target: head.addressee.target,
      field: (name) => request.headers[name]?.toString(),
    });
  return {
    kind: 'forward',
    head,
    route,
    backend,
    tls: speech.tls !== null,
    fields,
    choose: (tried) => context.endpoints.choose(backend, balance, tried, hash, context.now()),
    isLast: (attempt) => attempt >= context.limits.attempts || !context.endpoints.hasSeveral(backend),
  };
}
