import { type HeaderField, separatorOf } from '../../http/head-edit.ts';
import type { RequestView } from '../../http/request-view.ts';
import { ProtobufWriter } from '../../model/protobuf-writer.ts';

/** Numbers of fields: envoy/service/auth/v3/attribute_context.proto, and core/v3/address.proto. */
const CHECK = { attributes: 1 } as const;
const ATTRIBUTES = { source: 1, request: 4, tlsSession: 12 } as const;
const PEER = { address: 1 } as const;
const ADDRESS = { socketAddress: 1 } as const;
const SOCKET_ADDRESS = { address: 2, portValue: 3 } as const;
const REQUEST = { time: 1, http: 2 } as const;
const TIMESTAMP = { seconds: 1, nanos: 2 } as const;
const HTTP = {
  id: 1,
  method: 2,
  headers: 3,
  path: 4,
  host: 5,
  scheme: 6,
  size: 9,
  protocol: 10,
  body: 11,
  rawBody: 12,
} as const;
const TLS_SESSION = { sni: 1 } as const;

/** What a server of ext_authz is told of a request. */
export interface CheckedRequest {
  readonly request: RequestView;
  /** Those that it may know, with names in lower case. */
  readonly fields: readonly HeaderField[];
  /** Path and query. */
  readonly target: string;
  /** All of it; null where it is not sent. */
  readonly body: Buffer | null;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** An `envoy.service.auth.v3.CheckRequest`. Texts are UTF-8: bytes of fields that are not become U+FFFD. */
export function checkRequest({ request, fields, target, body, now }: CheckedRequest): Buffer {
  const headers = new Map<string, string>([
    [':authority', request.host],
    [':method', request.method],
    [':path', target],
    [':scheme', request.scheme],
  ]);
  for (const [name, value] of fields) {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : before + separatorOf(name) + value);
  }
  const writer = new ProtobufWriter();
  const text = (field: number, value: string): void => writer.text(field, asUnicode(value));
  const { serverName, tls } = request.connectionInfo;
  writer.message(CHECK.attributes, () => {
    writer.message(ATTRIBUTES.source, () =>
      writer.message(PEER.address, () =>
        writer.message(ADDRESS.socketAddress, () => {
          text(SOCKET_ADDRESS.address, request.clientAddress);
          writer.uint(SOCKET_ADDRESS.portValue, 0);
        }),
      ),
    );
    writer.message(ATTRIBUTES.request, () => {
      writer.message(REQUEST.time, () => {
        writer.uint(TIMESTAMP.seconds, Math.floor(now / 1_000));
        writer.uint(TIMESTAMP.nanos, Math.floor(now % 1_000) * 1_000_000);
      });
      writer.message(REQUEST.http, () => {
        text(HTTP.id, request.requestId);
        text(HTTP.method, request.method);
        for (const [name, value] of headers) {
          writer.message(HTTP.headers, () => {
            text(1, name);
            text(2, value);
          });
        }
        text(HTTP.path, target);
        text(HTTP.host, request.host);
        text(HTTP.scheme, request.scheme);
        const size = sizeOf(request, body);
        if (size === null) writer.minusOne(HTTP.size);
        else writer.uint(HTTP.size, size);
        text(HTTP.protocol, request.httpVersion === '2' ? 'HTTP/2' : `HTTP/${request.httpVersion}`);
        if (body !== null) {
          // Servers read the one or the other, and must not overlook what is no text.
          writer.text(HTTP.body, body.toString('utf8'));
          writer.bytes(HTTP.rawBody, body);
        }
      });
    });
    if (tls && serverName !== undefined)
      writer.message(ATTRIBUTES.tlsSession, () => text(TLS_SESSION.sni, serverName));
  });
  return writer.take();
}

/** Null when it is not known. */
function sizeOf(request: RequestView, body: Buffer | null): number | null {
  if (body !== null) return body.length;
  if (!request.body.exists) return 0;
  const declared = request.value('content-length');
  return declared === undefined ? null : Number(declared);
}

const ASCII = /^[\x20-\x7e]*$/;

/** Heads are read as Latin-1, and mean UTF-8 where they mean anything beyond ASCII. */
function asUnicode(value: string): string {
  return ASCII.test(value) ? value : Buffer.from(value, 'latin1').toString('utf8');
}
