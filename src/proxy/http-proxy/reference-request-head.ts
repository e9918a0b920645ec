import type { IncomingMessage } from 'node:http';
import type { MessageFault } from '../../http/local-response.ts';
import type { Refusal } from '../../http/local-response.ts';
import type { RequestFacts } from '../../http/request-facts.ts';
import { authorityOf } from '../../http/path.ts';
import { type ConnectionInfo, authorityOfSocket } from '../../http/connection-info.ts';
import type { EngineContext } from '../engine.ts';
import type { IncomingForwarding } from '../../http/forwarded.ts';
import { connectionOptions, isHopByHop } from '../../http/header-fields.ts';
import { FieldKind, fieldKindOf } from '../../http/field-names.ts';
import { valuesOf } from './reference-record.ts';
import { isRelayedRequest } from '../upstream/http1/upstream-head.ts';

/** A request head that may be forwarded, read once from the raw fields. */
export interface ReferenceRequestHead {
  readonly addressee: RequestFacts;
  readonly forwarding: IncomingForwarding;
  /** What goes on, under the client's spelling of each name; the fields that the proxy sets are not among them. */
  readonly fields: Record<string, string | string[]>;
  readonly accept: string | undefined;
  readonly body: 'none' | 'length' | 'chunked';
  /** Of the body, where it is told; `Infinity` where the body is chunked. */
  readonly length: number;
  /** Fields that do not go on because their names have underscores. */
  readonly droppedFields: number;
  /** The protocol of `Upgrade`, where `Connection` asks for it. */
  readonly upgrade: string | null;
}

export type ReadHead =
  | { readonly kind: 'head'; readonly head: ReferenceRequestHead }
  | { readonly kind: 'fault'; readonly reason: MessageFault | Refusal };

/**
 * What Node's parser lets through and RFC 9112 does not: repeated Host, transfer codings other than a single
 * chunked, Transfer-Encoding in HTTP/1.0; and Portico's limits where the parser has none. `connectionInfo` says whether
 * the peer is believed about the client.
 */
export function readHead(
  request: IncomingMessage,
  { limits, underscoresInHeaders, ingressNginxFields }: EngineContext,
  connectionInfo: ConnectionInfo,
): ReadHead {
  const { rawHeaders } = request;
  const method = request.method ?? '';
  const target = request.url ?? '';
  if (method.length + target.length + ' HTTP/1.1'.length + 1 > limits.requestLineBytes)
    return fault('target-too-long');
  if (rawHeaders.length / 2 > limits.fieldCount) return fault('head-too-large');

  const hosts = valuesOf(rawHeaders, 'host');
  const { httpVersion } = request;
  if (hosts.length > 1 || (hosts.length === 0 && httpVersion !== '1.0')) return fault('bad-host');
  const codings = valuesOf(rawHeaders, 'transfer-encoding');
  const lengths = valuesOf(rawHeaders, 'content-length');
  if (codings.length > 0) {
    if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked') return fault('bad-framing');
    if (lengths.length > 0 || request.httpVersion !== '1.1') return fault('bad-framing');
  }
  if (lengths.length > 1 || (lengths[0] !== undefined && !/^\d{1,15}$/.test(lengths[0])))
    return fault('bad-framing');

  const asked = hosts[0] ?? '';
  // HTTP/1.1 has no request without a host.
  const host = asked || authorityOf(target) || authorityOfSocket(request.socket, connectionInfo);
  const connection = connectionOptions(valuesOf(rawHeaders, 'connection').join(','));
  const fields: Record<string, string | string[]> = Object.create(null);
  const spellings = new Map<string, string>();
  const known: Partial<Record<string, string>> = {};
  let accept: string | undefined;
  let droppedFields = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const spelled = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    // DEL, which Node reads and does not write.
    if (value.includes('\x7f')) return fault('bad-message');
    const name = spelled.toLowerCase();
    const kind = fieldKindOf(name);
    if (kind === FieldKind.underscored && !underscoresInHeaders) {
      droppedFields++;
      continue;
    }
    if (name === 'host' && asked === '') continue;
    if (isHopByHop(name) || connection.names?.has(name)) continue;
    // Node would send its own; the exchange sets it where the body is really awaited.
    if (name === 'expect') continue;
    if (name === 'trailer' && codings.length === 0) continue;
    if (kind === FieldKind.forwarding || kind === FieldKind.requestId || kind === FieldKind.loop) {
      known[name] = known[name] === undefined ? value : `${known[name]}, ${value}`;
      continue;
    }
    if (kind === FieldKind.ingressNginx && ingressNginxFields) continue;
    if (kind !== FieldKind.contentLength && !isRelayedRequest(kind, connectionInfo)) continue;
    if (name === 'accept') accept = accept === undefined ? value : `${accept}, ${value}`;
    const before = spellings.get(name);
    if (before === undefined) {
      spellings.set(name, spelled);
      fields[spelled] = value;
    } else {
      const values = fields[before];
      fields[before] = Array.isArray(values) ? [...values, value] : [values ?? '', value];
    }
  }
  if (asked === '') fields['Host'] = host;
  return {
    kind: 'head',
    head: {
      addressee: { method, target, host: asked, httpVersion },
      forwarding: {
        host,
        forwardedFor: known['x-forwarded-for'],
        forwardedHost: known['x-forwarded-host'],
        forwardedPort: known['x-forwarded-port'],
        forwardedProto: known['x-forwarded-proto'],
        realIp: known['x-real-ip'],
        requestId: known['x-request-id'],
        loop: known['cdn-loop'],
        forwarded: known['forwarded'],
      },
      fields,
      accept,
      droppedFields,
      length: codings.length > 0 ? Infinity : Number(lengths[0] ?? 0),
      body: codings.length > 0 ? 'chunked' : Number(lengths[0] ?? 0) > 0 ? 'length' : 'none',
      upgrade: connection.upgrade ? (valuesOf(rawHeaders, 'upgrade')[0] ?? null) : null,
    },
  };
}

function fault(reason: MessageFault | Refusal): ReadHead {
  return { kind: 'fault', reason };
}
