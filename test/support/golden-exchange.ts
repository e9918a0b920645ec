import { X509Certificate } from 'node:crypto';
import { type ConnectionInfo, directConnection } from '../../src/http/connection-info.ts';
import { forwarding, trustedProxies } from '../../src/http/forwarded.ts';
import { errorFields } from '../../src/http/error-request.ts';
import { type HeaderField, HeadEdit, applyEdit, fieldsViewOf } from '../../src/http/head-edit.ts';
import { Cancellation } from '../../src/http/subrequest.ts';
import { NO_CONTENT } from '../../src/http/request-content.ts';
import { HeadText } from '../../src/http/head-text.ts';
import {
  type Language,
  type LocalResponse,
  languageOf,
  localResponse,
  redirection,
} from '../../src/http/local-response.ts';
import { type MatchedRule, RequestEdit, type RequestView } from '../../src/http/request-view.ts';
import { type BoundPolicies, policyBinder } from '../../src/policies/bound-policies.ts';
import type { Verdict } from '../../src/policies/policy.ts';
import { askPolicies, editResponse } from '../../src/policies/run-policies.ts';
import { strictTransportSecurity } from '../../src/policies/strict-transport-security.ts';
import { RequestHead } from '../../src/proxy/downstream/http1/request-head.ts';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { clientPolicies } from '../../src/proxy/tls/client-policies.ts';
import { presentedCertificate } from '../../src/proxy/tls/presented-certificate.ts';
import { incomingForwarding, upgradeOf, upstreamHead } from '../../src/proxy/upstream/http1/upstream-head.ts';
import { type Decision, decide, policiesToAsk } from '../../src/routing/decide.ts';
import { matchedRule } from '../../src/routing/matched-rule.ts';
import { get } from '../../src/model/sharded-map.ts';
import type { Compilation } from '../../src/routing/compile/compile.ts';
import { type RouteTable, portKey } from '../../src/routing/table.ts';
import { policyThread } from './policy-thread.ts';
import { type Case, type CaseRequest, clientCertificate, requestHead, splitRequest } from './cases.ts';

/** The address of the peer: the client, or a trusted proxy where the request is `from` a client behind it. */
const PEER = '127.0.0.1';
const TRUSTED = trustedProxies([PEER]);

/** What becomes of a request of a golden case, found without sockets. */
export interface GoldenExchange {
  readonly decision: Decision;
  /** What the policies say of a request that they are asked about. */
  readonly verdict: Verdict;
  /** What Portico responds itself; null where a Pod responds. */
  readonly local: LocalResponse | null;
  /** The header fields of the response after the policies. Of a Pod's response only those that the case states. */
  readonly response: readonly HeaderField[];
  /** The head that the Pod receives; null where none does. */
  readonly upstream: { readonly request: string; readonly fields: readonly HeaderField[] } | null;
}

/** Takes a request the way of the data plane: facts, decision, policies, the head for the upstream, the response. */
export async function goldenExchange(
  { table, policySecrets }: Pick<Compilation, 'table' | 'policySecrets'>,
  { serving, settings }: Case,
  stated: CaseRequest,
  thread = policyThread,
): Promise<GoldenExchange> {
  const { method, host, target } = splitRequest(stated.request);
  const connectionInfo = connectionOf(table, stated, settings.now);
  const bytes = Buffer.from(requestHead(stated), 'latin1');
  const head = new RequestHead(DEFAULT_LIMITS);
  // A head that is refused before anybody decides is decided all the same: the goldens say what for.
  const isRead = head.read(bytes, 0, bytes.length) === 'done';
  const incoming = isRead ? incomingForwarding(head, bytes, 0, connectionInfo) : { host };
  const way = forwarding(connectionInfo, incoming, TRUSTED);
  const fields = new HeadText(bytes.toString('latin1'));
  const request: RequestView = {
    method,
    target: target === '' ? '/' : target,
    host,
    scheme: way.scheme,
    httpVersion: stated.httpVersion ?? '1.1',
    clientAddress: way.realIp,
    requestId: way.requestId,
    loop: way.loop,
    connectionInfo,
    body: NO_CONTENT,
    cancellation: new Cancellation(),
    noteAuth: () => {},
    get rule(): MatchedRule | null {
      return matchedRule(decision.route, request.target);
    },
    value: (name) => fields.value(name),
    values: (name) => fields.values(name),
    allFields: () => fields.all(),
  };
  const decision = decide(table, request, serving.https ? { port: 443 } : null);

  const everywhere = serving.hsts === null ? [] : [strictTransportSecurity(serving.hsts)];
  const policies = policyBinder(
    thread(
      () => settings.now,
      (key) => get(policySecrets, key),
    ),
    everywhere,
  )(decision.route?.policies ?? null);
  const edit = new RequestEdit(request);
  if (decision.kind === 'forward' && decision.replaces !== undefined) {
    for (const [name, value] of errorFields(decision.replaces, request, decision.route))
      edit.set(name, value);
  }
  const verdict = await askPolicies(policiesToAsk(decision, policies), request, edit);
  const local = localResponseOf(decision, verdict, languageOf(request.value('accept'), false));
  if (local) {
    return { decision, verdict, local, response: edited(local.fields, policies, request), upstream: null };
  }
  const response = edited(Object.entries(stated.pod ?? {}), policies, request, { status: 200 });
  const sent = upstreamHead(head, bytes, 0, connectionInfo, way, upgradeOf(head, bytes, 0), edit);
  return { decision, verdict, local, response, upstream: parseHead(`${sent}\r\n`) };
}

/** In clear text, or over TLS with what the client shows to the server name that it gives. */
function connectionOf(
  table: RouteTable,
  { request, from, certificate, sni }: CaseRequest,
  now: number,
): ConnectionInfo {
  const { scheme, host } = splitRequest(request);
  const port = Number(/:(\d+)$/.exec(host)?.[1] ?? (scheme === 'https' ? 443 : 80));
  const connection: ConnectionInfo = {
    ...directConnection(PEER, from !== undefined, scheme, port),
    portKey: portKey('', port),
    ...(scheme === 'https' && { serverName: sni ?? host.replace(/:\d+$/, '') }),
    ...(port !== 80 && port !== 443 && { gatewayOnly: true }),
  };
  const policy = scheme === 'https' ? clientPolicies(() => table).of(sni ?? host, connection) : null;
  if (policy === null) return connection;
  const shown = certificate && new X509Certificate(clientCertificate(certificate).cert);
  const authorized = shown?.verify(new X509Certificate(policy.caCertificates).publicKey) ?? false;
  const socket = { authorized, getPeerX509Certificate: () => shown };
  return { ...connection, certificate: presentedCertificate(socket, policy, now) };
}

/** Null where the request goes on to a Pod. */
function localResponseOf(decision: Decision, verdict: Verdict, language: Language): LocalResponse | null {
  if (verdict.kind === 'respond') return verdict.response;
  if (verdict.kind === 'refuse') return localResponse(verdict.reason, language);
  switch (decision.kind) {
    case 'forward':
      return null;
    case 'redirect':
      return redirection(decision.location, language, decision.status);
    case 'refuse':
      return localResponse(decision.reason, language);
  }
}

function edited(
  fields: readonly HeaderField[],
  { onResponse }: BoundPolicies,
  request: RequestView,
  encodable: { readonly status: number } | null = null,
): HeaderField[] {
  const view = fieldsViewOf(fields);
  return applyEdit(fields, editResponse(onResponse, view, request, encodable) ?? new HeadEdit(view));
}

function parseHead(head: string): { request: string; fields: HeaderField[] } {
  const [line = '', ...lines] = head.trimEnd().split('\r\n');
  const fields = lines.map((each): HeaderField => {
    const colon = each.indexOf(':');
    return [each.slice(0, colon), each.slice(colon + 1).trim()];
  });
  return { request: line.replace(/ HTTP\/1\.1$/, ''), fields };
}
