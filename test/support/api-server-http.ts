import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { loopbackAddress } from './loopback.ts';
import { type Serve, type Transport, requestOf } from './api-server-transport.ts';
import type { Reply } from './api-server-watches.ts';
import { happens } from './until.ts';

const certificate = new URL('certificates/api-server.crt', import.meta.url);
const certificateKey = new URL('certificates/api-server.key', import.meta.url);

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Response = http.ServerResponse | http2.Http2ServerResponse;

/** Listens on a loopback address. `h2` offers HTTP/2 and HTTP/1.1 by ALPN, `https` HTTP/1.1 only. */
export async function httpTransport(
  protocol: 'http' | 'https' | 'h2',
  wantedPort: number,
  serve: Serve,
  changed: () => void,
): Promise<Transport> {
  const sockets = new Set<Socket>();
  const numbers = new WeakMap<object, number>();
  let accepted = 0;
  // On an address of its own nobody takes the port while it is closed; the certificate has but one address.
  const host = protocol === 'http' ? loopbackAddress() : '127.0.0.1';

  const receive = async (request: Request, response: Response): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const seen = requestOf({
      method: request.method ?? 'GET',
      target: request.url ?? '/',
      headers: request.headers,
      httpVersion: request.httpVersion,
      connection: numbers.get(connectionOf(request)) ?? 0,
      body: Buffer.concat(chunks).toString(),
    });
    await serve(seen, replyOf(response));
  };
  const onRequest = (request: Request, response: Response): void => {
    receive(request, response).catch(() => replyOf(response).reset());
  };
  const build = (): http.Server | http2.Http2SecureServer => {
    if (protocol === 'http') return http.createServer(onRequest);
    if (protocol === 'https') return https.createServer(certificates(), onRequest);
    return http2.createSecureServer({ ...certificates(), allowHTTP1: true }, onRequest);
  };

  let server: http.Server | http2.Http2SecureServer | undefined;
  const listen = async (port: number): Promise<number> => {
    server = build();
    server.on('connection', (socket: Socket) => {
      numbers.set(socket, ++accepted);
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        changed();
      });
    });
    // Requests name the decrypted socket or the HTTP/2 session: these get the number of the newest connection.
    server.on('secureConnection', (socket: Socket) => numbers.set(socket, accepted));
    server.on('session', (session: http2.ServerHttp2Session) => numbers.set(session, accepted));
    server.on('sessionError', () => {});
    server.listen(port, host);
    await happens(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  const port = await listen(wantedPort);
  return {
    url: `${protocol === 'http' ? 'http' : 'https'}://${host}:${port}`,
    port,
    memory: null,
    connections: () => sockets.size,
    async close() {
      if (!server) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
      server = undefined;
    },
    async open() {
      await listen(port);
    },
  };
}

/** The certificate authority of the scripted API server, which signed itself. */
export function apiServerCertificate(): Buffer {
  return readFileSync(certificate);
}

function certificates(): { cert: Buffer; key: Buffer } {
  return { cert: apiServerCertificate(), key: readFileSync(certificateKey) };
}

function connectionOf(request: Request): object {
  return 'stream' in request ? (request.stream.session ?? request.stream) : request.socket;
}

function replyOf(response: Response): Reply {
  // The two response types take the same calls; TypeScript cannot call overloads of a union.
  const plain = response as http.ServerResponse;
  const headers = { 'Cache-Control': 'no-cache, private', 'Content-Type': 'application/json' };
  return {
    head(status, more) {
      plain.writeHead(status, { ...headers, ...more });
      plain.flushHeaders();
    },
    write: (text) => void plain.write(text),
    end: (text) => void plain.end(text),
    reset() {
      if ('stream' in response) response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      else response.socket?.resetAndDestroy();
    },
    onClose: (callback) => void plain.on('close', callback),
  };
}
