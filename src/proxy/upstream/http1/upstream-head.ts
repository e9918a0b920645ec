import type { ConnectionInfo } from '../../../http/connection-info.ts';
import type { Forwarding, IncomingForwarding } from '../../../http/forwarded.ts';
import { ingressNginxFields } from '../../../http/ingress-nginx-fields.ts';
import { type HeadEdit, type HeaderField, applyEdit } from '../../../http/head-edit.ts';
import type { RequestEdit } from '../../../http/request-view.ts';
import type { FieldBlock } from '../../http1/field-block.ts';
import { text } from '../../http1/bytes.ts';
import { FieldKind } from '../../../http/field-names.ts';
import type { RequestHead } from '../../downstream/http1/request-head.ts';

/**
 * The head for the upstream, in Latin-1 and without the empty line. Runs of fields that pass unchanged are copied as one range;
 * what frames the body, speaks of the connection or of the way so far is left out and said anew, so a `Connection` field
 * can take none of it away. `edit` is null where no policy looked at the request.
 */
export function upstreamHead(
  head: RequestHead,
  bytes: Buffer,
  base: number,
  connectionInfo: ConnectionInfo,
  way: Forwarding,
  upgrade: string | null,
  edit: RequestEdit | null,
): string {
  const target = edit?.target ?? originForm(head);
  let out = `${head.method} ${target} HTTP/1.1\r\n${relayedFields(head, bytes, base, connectionInfo, edit)}`;
  if (edit?.host) out += `Host: ${edit.host}\r\n`;
  else if (!head.saysHost) out += `Host: ${head.host}\r\n`;
  if (edit === null) {
    out += `X-Forwarded-For: ${way.forwardedFor}\r\nX-Forwarded-Host: ${way.forwardedHost}\r\n`;
    out += `X-Forwarded-Port: ${way.forwardedPort}\r\nX-Forwarded-Proto: ${way.forwardedProto}\r\n`;
    out += `X-Real-IP: ${way.realIp}\r\nX-Request-ID: ${way.requestId}\r\n`;
    if (way.forwarded !== null) out += `Forwarded: ${way.forwarded}\r\n`;
    if (way.also !== undefined) for (const [name, value] of way.also) out += `${name}: ${value}\r\n`;
  } else {
    for (const [name, value] of applyEdit(forwardedFields(way), edit)) out += `${name}: ${value}\r\n`;
  }
  out += `CDN-Loop: ${way.loop}\r\n`;
  if (connectionInfo.certificate) out += connectionInfo.certificate.lines;
  if (head.framing.kind === 'chunked') out += 'Transfer-Encoding: chunked\r\n';
  else if (head.contentLength >= 0) out += `Content-Length: ${head.contentLength}\r\n`;
  else if (!MOSTLY_BODILESS.has(head.method)) out += 'Content-Length: 0\r\n';
  if (head.expectsContinue) out += 'Expect: 100-continue\r\n';
  if (upgrade !== null) out += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  return out;
}

/** How the request came, as the upstream is told it; the same for both engines. */
export function forwardedFields(way: Forwarding): HeaderField[] {
  const fields: HeaderField[] = [
    ['X-Forwarded-For', way.forwardedFor],
    ['X-Forwarded-Host', way.forwardedHost],
    ['X-Forwarded-Port', way.forwardedPort],
    ['X-Forwarded-Proto', way.forwardedProto],
    ['X-Real-IP', way.realIp],
    ['X-Request-ID', way.requestId],
  ];
  if (way.forwarded !== null) fields.push(['Forwarded', way.forwarded]);
  if (way.also !== undefined) fields.push(...way.also);
  return fields;
}

/** RFC 9110 8.6: a request of any other method says that it has no body. Some servers insist on it (411). */
const MOSTLY_BODILESS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
]);

function relayedFields(
  head: RequestHead,
  bytes: Buffer,
  base: number,
  connectionInfo: ConnectionInfo,
  edit: RequestEdit | null,
): string {
  const { fields } = head;
  const { names } = head.connection;
  const ownHost = (edit?.host ?? null) !== null;
  let out = '';
  let runStart = -1;
  for (let field = 0; field < fields.count; field++) {
    const kind = fields.kind(field);
    const relayed =
      isRelayedRequest(kind, connectionInfo) &&
      !names?.has(fields.name(bytes, base, field)) &&
      !(ownHost && kind === FieldKind.host) &&
      !(edit !== null && isDropped(edit, fields, bytes, base, field));
    if (relayed && runStart < 0) runStart = base + fields.lineStart(field);
    if (!relayed && runStart >= 0) {
      out += text(bytes, runStart, base + fields.lineStart(field));
      runStart = -1;
    }
  }
  return runStart < 0 ? out : out + text(bytes, runStart, base + fields.lineEnd(fields.count - 1));
}

/** Whether an edit takes a field away. */
export function isDropped(
  edit: HeadEdit,
  fields: FieldBlock,
  bytes: Buffer,
  base: number,
  field: number,
): boolean {
  const length = fields.nameEnd(field) - fields.lineStart(field);
  return edit.mayDrop(length) && edit.drops(fields.name(bytes, base, field));
}

/** Whether a field of a request goes on to the upstream as it came. */
export function isRelayedRequest(kind: FieldKind, { trusted, certificate }: ConnectionInfo): boolean {
  switch (kind) {
    case FieldKind.other:
    case FieldKind.host:
    case FieldKind.accept:
    case FieldKind.date:
    case FieldKind.contentType:
    case FieldKind.traceContext:
    case FieldKind.b3:
    case FieldKind.b3multi:
    // Already dropped unless the flag lets it pass.
    case FieldKind.underscored:
      return true;
    case FieldKind.clientAddress:
    case FieldKind.ingressNginx:
      return trusted;
    case FieldKind.clientCertificate:
      return trusted && certificate === undefined;
    default:
      return false;
  }
}

/** RFC 9112 3.2.2: absolute-form is for proxies; an origin server is asked by path, and the Host field agrees. */
function originForm({ method, target }: RequestHead): string {
  if (target.charCodeAt(0) === SLASH || target === '*') return target;
  const authority = target.indexOf('://') + 3;
  const path = target.slice(authority).search(/[/?]/);
  if (path < 0) return method === 'OPTIONS' ? '*' : '/';
  const rest = target.slice(authority + path);
  return rest.charCodeAt(0) === SLASH ? rest : `/${rest}`;
}

const SLASH = 0x2f;

/** RFC 9110 7.8; and those that a tunnel would carry past every rule of routing: HTTP/2 and TLS are ended here or not at all. */
const PROTOCOL = /^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/;
const NO_TUNNEL = /^(?:h2|http|tls)/i;

/** The protocol that a request asks for and that may be passed on; null when there is none. */
export function upgradeOf(head: RequestHead, bytes: Buffer, base: number): string | null {
  if (!head.hasUpgrade || !head.connection.upgrade || head.minor === 0 || head.framing.kind !== 'none')
    return null;
  const value = head.fields.valueOfKind(bytes, base, FieldKind.upgrade) ?? '';
  const protocols = value.split(',').map((protocol) => protocol.trim());
  const allowed = protocols.filter((protocol) => PROTOCOL.test(protocol) && !NO_TUNNEL.test(protocol));
  return allowed.length > 0 ? allowed.join(', ') : null;
}

/** The same with what ingress-nginx tells Pods besides. */
export function withIngressNginxFields(
  way: Forwarding,
  { fields }: RequestHead,
  bytes: Buffer,
  base: number,
): Forwarding {
  fields.drop(FieldKind.ingressNginx);
  const saidFor = fields.valueOfName(bytes, base, 'x-forwarded-for');
  const saidHost = fields.valueOfName(bytes, base, 'x-forwarded-host');
  return { ...way, also: ingressNginxFields(way, saidFor, saidHost) };
}

/** What the request says of its way so far; of an untrusted peer only its request id and its loop are looked at. */
export function incomingForwarding(
  head: RequestHead,
  bytes: Buffer,
  base: number,
  connectionInfo: ConnectionInfo,
): IncomingForwarding {
  const { host, fields } = head;
  const requestId = head.hasRequestId ? fields.valueOfKind(bytes, base, FieldKind.requestId) : undefined;
  const loop = head.hasLoop ? fields.valueOfKind(bytes, base, FieldKind.loop) : undefined;
  if (!connectionInfo.trusted) return { host, requestId, loop };
  return {
    host,
    requestId,
    loop,
    forwardedFor: fields.valueOfName(bytes, base, 'x-forwarded-for'),
    forwardedHost: fields.valueOfName(bytes, base, 'x-forwarded-host'),
    forwardedPort: fields.valueOfName(bytes, base, 'x-forwarded-port'),
    forwardedProto: fields.valueOfName(bytes, base, 'x-forwarded-proto'),
    realIp: fields.valueOfName(bytes, base, 'x-real-ip'),
    forwarded: fields.valueOfName(bytes, base, 'forwarded'),
  };
}
