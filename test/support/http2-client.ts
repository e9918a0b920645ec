import {
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  connect,
} from 'node:http2';
import { soon } from './until.ts';

export interface Http2Response {
  /** 0 when the stream was reset before a response. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: IncomingHttpHeaders | null;
  /** With which the stream was closed. */
  readonly code: number;
}

/** A client of node:http2 with prior knowledge. Disposing it ends the connection at once. */
export interface Http2Client extends Disposable {
  readonly session: ClientHttp2Session;
  /** To `app.test` unless the fields say another. */
  ask(
    fields: OutgoingHttpHeaders,
    body?: string | Buffer,
    trailers?: OutgoingHttpHeaders,
  ): Promise<Http2Response>;
}

export function http2Client(port: number, address = '127.0.0.1'): Http2Client {
  const session = connect(`http://${address}:${port}`);
  session.on('error', () => undefined);
  return {
    session,
    ask(fields, body, trailers) {
      const closed = new Promise<Http2Response>((resolve) => {
        const options = { endStream: body === undefined, waitForTrailers: trailers !== undefined };
        const stream = session.request({ ':authority': 'app.test', ':path': '/', ...fields }, options);
        let headers: IncomingHttpHeaders = {};
        let received: IncomingHttpHeaders | null = null;
        const chunks: Buffer[] = [];
        stream.on('response', (given) => (headers = given));
        stream.on('trailers', (given) => (received = given));
        stream.on('data', (bytes: Buffer) => chunks.push(bytes));
        stream.on('error', () => undefined);
        stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}));
        stream.on('close', () =>
          resolve({
            status: Number(headers[':status'] ?? 0),
            headers,
            body: Buffer.concat(chunks).toString('latin1'),
            trailers: received,
            code: stream.rstCode ?? 0,
          }),
        );
        if (body !== undefined) stream.end(body);
      });
      return soon(closed, () => `the end of the stream for ${fields[':path'] ?? '/'}`);
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}
