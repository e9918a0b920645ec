import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { type Forwarding, type IncomingForwarding, forwarding } from '../../../http/forwarded.ts';
import type { TrustedProxies } from '../../../http/forwarded.ts';
import { text } from '../../http1/bytes.ts';
import { FieldKind } from '../../../http/field-names.ts';
import type { RequestHead } from '../../downstream/http1/request-head.ts';

/** What a request goes on with: its way so far, and the head as it is sent to each endpoint that is tried. */
export interface UpstreamHead {
  readonly way: Forwarding;
  /** Latin-1, with the empty line. */
  readonly text: string;
  /** The protocol that is asked for with it; null when none is. */
  readonly upgrade: string | null;
}

/**
 * The head for the pod. Runs of fields that pass unchanged are copied as one range; what frames the body, speaks of
 * the connection or of the way so far is left out and said anew, so a `Connection` field can take none of it away.
 */
export function upstreamHead(
  head: RequestHead,
  bytes: Buffer,
  base: number,
  connectionInfo: ConnectionInfo,
  trustedProxies: TrustedProxies,
): UpstreamHead {
  const way = forwarding(connectionInfo, incoming(head, bytes, base, connectionInfo), trustedProxies);
  const upgrade = upgradeOf(head, bytes, base);
  let out = `${head.method} ${originForm(head)} HTTP/1.1\r\n${relayedFields(head, bytes, base, connectionInfo)}`;
  if (!head.saysHost) out += `Host: ${head.host}\r\n`;
  out += `X-Forwarded-For: ${way.forwardedFor}\r\nX-Forwarded-Host: ${way.forwardedHost}\r\n`;
  out += `X-Forwarded-Port: ${way.forwardedPort}\r\nX-Forwarded-Proto: ${way.forwardedProto}\r\n`;
  out += `X-Real-IP: ${way.realIp}\r\nX-Request-ID: ${way.requestId}\r\n`;
  if (way.forwarded !== null) out += `Forwarded: ${way.forwarded}\r\n`;
  if (connectionInfo.certificate) out += connectionInfo.certificate.lines;
  if (head.framing.kind === 'chunked') out += 'Transfer-Encoding: chunked\r\n';
  else if (head.contentLength >= 0) out += `Content-Length: ${head.contentLength}\r\n`;
  else if (!MOSTLY_BODILESS.has(head.method)) out += 'Content-Length: 0\r\n';
  if (head.expectsContinue) out += 'Expect: 100-continue\r\n';
  if (upgrade !== null) out += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  return { way, text: `${out}\r\n`, upgrade };
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
): string {
  const { fields } = head;
  const { names } = head.connection;
  let out = '';
  let runStart = -1;
  for (let field = 0; field < fields.count; field++) {
    const relayed =
      isRelayedRequest(fields.kind(field), connectionInfo) && !names?.has(fields.name(bytes, base, field));
    if (relayed && runStart < 0) runStart = base + fields.lineStart(field);
    if (!relayed && runStart >= 0) {
      out += text(bytes, runStart, base + fields.lineStart(field));
      runStart = -1;
    }
  }
  return runStart < 0 ? out : out + text(bytes, runStart, base + fields.lineEnd(fields.count - 1));
}

/** Whether a field of a request goes on to the pod as it came. */
export function isRelayedRequest(kind: FieldKind, { trusted, certificate }: ConnectionInfo): boolean {
  switch (kind) {
    case FieldKind.other:
    case FieldKind.host:
    case FieldKind.accept:
    case FieldKind.date:
    // Already dropped unless the flag lets it pass.
    case FieldKind.underscored:
      return true;
    case FieldKind.clientAddress:
      return trusted;
    case FieldKind.clientCertificate:
      return trusted && certificate === undefined;
    default:
      return false;
  }
}

/** The authority of a target in absolute-form; empty for any other. */
export function authorityOf(target: string): string {
  return /^https?:\/\/([^/?#]*)/i.exec(target)?.[1] ?? '';
}

/** RFC 9112 3.2.2: absolute-form is for proxies; whoever answers is asked by path, and the Host field agrees. */
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

function upgradeOf(head: RequestHead, bytes: Buffer, base: number): string | null {
  if (!head.hasUpgrade || !head.connection.upgrade || head.minor === 0 || head.framing.kind !== 'none')
    return null;
  const value = head.fields.valueOfKind(bytes, base, FieldKind.upgrade) ?? '';
  const protocols = value.split(',').map((protocol) => protocol.trim());
  const allowed = protocols.filter((protocol) => PROTOCOL.test(protocol) && !NO_TUNNEL.test(protocol));
  return allowed.length > 0 ? allowed.join(', ') : null;
}

function incoming(
  head: RequestHead,
  bytes: Buffer,
  base: number,
  connectionInfo: ConnectionInfo,
): IncomingForwarding {
  const { host, fields } = head;
  const requestId = head.hasRequestId ? fields.valueOfKind(bytes, base, FieldKind.requestId) : undefined;
  if (!connectionInfo.trusted) return { host, requestId };
  return {
    host,
    requestId,
    forwardedFor: fields.valueOfName(bytes, base, 'x-forwarded-for'),
    forwardedHost: fields.valueOfName(bytes, base, 'x-forwarded-host'),
    forwardedPort: fields.valueOfName(bytes, base, 'x-forwarded-port'),
    forwardedProto: fields.valueOfName(bytes, base, 'x-forwarded-proto'),
    realIp: fields.valueOfName(bytes, base, 'x-real-ip'),
    forwarded: fields.valueOfName(bytes, base, 'forwarded'),
  };
}

/** What the client likes to read, looked up only when Portico itself has something to say. */
export function acceptOf(headText: string): string | undefined {
  // Nothing in the pattern may match blanks in two ways: tens of KiB of them can be in the field.
  return /^accept:(.*)$/im.exec(headText)?.[1]?.trim();
}
