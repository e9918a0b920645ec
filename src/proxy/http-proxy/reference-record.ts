import { type AuthOutcome, NO_AUTHS } from '../../http/auth-outcome.ts';
import { Cancellation } from '../../http/subrequest.ts';
import { ReferenceContent } from './reference-content.ts';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { BackendKey, Route } from '../../routing/table.ts';
import type { EngineContext } from '../engine.ts';
import { type KeptFields, NO_KEPT_FIELDS } from '../exchange-record.ts';
import { NO_ATTEMPTS, OpenAttempt } from '../open-attempt.ts';
import { type HeaderField, separatorOf } from '../../http/head-edit.ts';
import type { RequestView } from '../../http/request-view.ts';
import { matchedRule } from '../../routing/matched-rule.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';
import { type ConnectFailure, NO_FAILURES } from '../upstream/connect-failure.ts';

/** What becomes known of an exchange while it runs; accounted once, when it is over. */
export interface ReferenceRecord {
  clientAddress: string;
  /** What the client speaks, to us or to a trusted proxy in front of us. */
  scheme: 'http' | 'https';
  route: Route | null;
  backend: BackendKey;
  canary: string;
  endpoint: string;
  attempts: number;
  upstreams: readonly OpenAttempt[];
  connectFailures: readonly ConnectFailure[];
  requestBytes: number;
  responseBytes: number;
  requestId: string;
  loop: string;
  hops: number;
  keptFields: KeptFields;
  policy: string;
  auths: readonly AuthOutcome[];
  droppedFields: number;
  detail: string;
  /** One more endpoint is tried. */
  beginAttempt(endpoint: string): OpenAttempt;
  /** Accounts the exchange; again does nothing. */
  close(status: number): void;
}

export function openLedger(
  context: EngineContext,
  request: IncomingMessage | null,
  connectionInfo: ConnectionInfo,
): ReferenceRecord {
  const startedAt = context.now();
  const startedOnMonotonicClock = performance.now();
  // Kept now: what goes to the upstream takes the place of the request's fields later.
  const host = request?.headers.host ?? '';
  let closed = false;
  const record: ReferenceRecord = {
    clientAddress: connectionInfo.clientAddress,
    scheme: connectionInfo.scheme,
    route: null,
    backend: '',
    canary: '',
    endpoint: '',
    attempts: 0,
    upstreams: NO_ATTEMPTS,
    connectFailures: NO_FAILURES,
    requestBytes: 0,
    responseBytes: 0,
    requestId: '',
    loop: '',
    hops: 0,
    keptFields: NO_KEPT_FIELDS,
    policy: '',
    auths: NO_AUTHS,
    droppedFields: 0,
    detail: '',
    beginAttempt(endpoint) {
      const attempt = new OpenAttempt(endpoint, startedOnMonotonicClock, performance.now());
      record.endpoint = endpoint;
      record.attempts++;
      record.upstreams = [...record.upstreams, attempt];
      return attempt;
    },
    close(status) {
      if (closed) return;
      closed = true;
      const { clientAddress, scheme, route, backend, canary, endpoint, attempts, connectFailures } = record;
      const { requestBytes, responseBytes, requestId, droppedFields, detail } = record;
      const { upstreams, keptFields, policy, auths } = record;
      context.onComplete({
        startedAt,
        durationMs: context.now() - startedAt,
        clientAddress,
        connectionInfo,
        scheme,
        method: request?.method ?? '',
        host,
        target: request?.url ?? '',
        httpVersion: request?.httpVersion ?? '',
        status,
        route,
        backend,
        canary,
        endpoint,
        attempts,
        upstreams,
        connectFailures,
        // Node does not say.
        headBytes: 0,
        requestBytes,
        responseBytes,
        requestId,
        traceId: '',
        trace: null,
        keptFields,
        policy,
        auths,
        droppedFields,
        detail,
      });
    },
  };
  return record;
}

const connectionInfos = new WeakMap<Socket, ConnectionInfo>();

/** Keeps where a connection comes from, for as long as it is there. */
export function noteConnectionInfo(socket: Socket, connectionInfo: ConnectionInfo): void {
  connectionInfos.set(socket, connectionInfo);
}

/** Where a connection comes from; every one was noted when it came. */
export function connectionInfoOf(socket: Socket): ConnectionInfo {
  const connectionInfo = connectionInfos.get(socket);
  if (!connectionInfo) throw new Error('a connection came by another way than the listener');
  return connectionInfo;
}

/** The request as policies see it. */
export function requestView(request: IncomingMessage, record: ReferenceRecord): RequestView {
  const { rawHeaders, socket } = request;
  const host = valuesOf(rawHeaders, 'host')[0] ?? '';
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    host,
    scheme: record.scheme,
    httpVersion: request.httpVersion,
    clientAddress: record.clientAddress,
    requestId: record.requestId,
    loop: record.loop,
    connectionInfo: connectionInfoOf(socket),
    body: new ReferenceContent(request),
    cancellation: new Cancellation(),
    noteAuth(outcome) {
      record.auths = [...record.auths, outcome];
    },
    get rule() {
      return matchedRule(record.route, request.url ?? '');
    },
    value: (name) => valueOf(request, name),
    values: (name) => valuesOf(rawHeaders, name),
    allFields: () => fieldsOf(rawHeaders),
  };
}

/** Names and values as pairs. */
function fieldsOf(rawHeaders: readonly string[]): HeaderField[] {
  const fields: HeaderField[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) fields.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '']);
  return fields;
}

/** The same joined with `, `; undefined when there is none. */
export function valueOf({ rawHeaders }: IncomingMessage, name: string): string | undefined {
  const values = valuesOf(rawHeaders, name);
  return values.length === 0 ? undefined : values.join(separatorOf(name));
}

/** The values of every field of a lower-case name, in order. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const spelled = rawHeaders[i];
    if (spelled?.length === name.length && spelled.toLowerCase() === name)
      values.push(rawHeaders[i + 1] ?? '');
  }
  return values;
}
