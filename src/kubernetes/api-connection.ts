import http, { type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { Readable } from 'node:stream';
import tls, { type TLSSocket } from 'node:tls';
import type { Clock } from './clock.ts';
import { openHttp2Session } from './http2-session.ts';
import type { ClusterAccess } from './kubeconfig.ts';

export interface RawApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, percent-encoded. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  /** `application/json` when unset. */
  readonly accept?: string;
  /** The ETag of an answer that is known already: the server may answer 304. */
  readonly ifNoneMatch?: string | undefined;
  /** Ends the request and the reading of its body. */
  readonly signal: AbortSignal;
}

export interface RawApiResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
}

/** The one connection to the API server that everything shares. */
export interface ApiConnection {
  /** `https://10.96.0.1:443` and where it was read, for messages. */
  readonly server: string;
  /** Rejects when no answer came; any status is an answer. */
  request(request: RawApiRequest): Promise<RawApiResponse>;
  close(): void;
}

type Transport =
  | { readonly kind: 'http2'; readonly session: ClientHttp2Session }
  | { readonly kind: 'http1'; readonly agent: http.Agent; readonly tls: tls.ConnectionOptions };

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * One kept-alive connection: HTTP/2 where ALPN offers it, so that all watches share it, else an HTTP/1.1 agent
 * (also for plain http and behind a proxy). A session that ends is opened again by the next request. After a 401
 * the credentials are renewed and the request is sent once more.
 */
export function connectApi(access: ClusterAccess, clock: Clock): ApiConnection {
  const { server, credentials, proxyUrl } = access;
  const prefix = server.pathname.replace(/\/$/, '');
  const secure = server.protocol === 'https:';
  let current: Transport | undefined;
  let opening: Promise<Transport> | undefined;
  let closed = false;

  const http1 = (options: tls.ConnectionOptions): Transport => {
    const agentOptions = {
      keepAlive: true,
      keepAliveMsecs: 30_000,
      ...(proxyUrl ? { proxyEnv: { HTTP_PROXY: proxyUrl.href, HTTPS_PROXY: proxyUrl.href } } : {}),
    };
    const agent = secure ? new https.Agent(agentOptions) : new http.Agent(agentOptions);
    return { kind: 'http1', agent, tls: options };
  };

  const open = async (): Promise<Transport> => {
    if (!secure) return http1({});
    const options = await access.tls();
    if (proxyUrl) return http1(options);
    const socket = await dial(server, options, clock);
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return http1(options);
    }
    return { kind: 'http2', session: await openHttp2Session(server, socket, clock) };
  };

  const transport = (): Promise<Transport> => {
    if (closed) return Promise.reject(new Error('the connection to the API server is closed'));
    if (current && isOpen(current)) return Promise.resolve(current);
    opening ??= open()
      .then((opened) => {
        current = opened;
        if (closed) drop();
        return opened;
      })
      .finally(() => {
        opening = undefined;
      });
    return opening;
  };

  /** Requests under way over HTTP/2 may end in peace. */
  const drop = (): void => {
    if (current?.kind === 'http2') current.session.close();
    if (current?.kind === 'http1') current.agent.destroy();
    current = undefined;
  };

  const send = async (request: RawApiRequest): Promise<RawApiResponse> => {
    request.signal.throwIfAborted();
    const [opened, authorization] = await unlessAborted(
      Promise.all([transport(), credentials.headers()]),
      request.signal,
    );
    const headers: OutgoingHttpHeaders = {
      accept: request.accept ?? 'application/json',
      'user-agent': 'portico',
      ...(request.ifNoneMatch === undefined ? {} : { 'if-none-match': request.ifNoneMatch }),
      ...authorization,
      ...(request.body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
    };
    return opened.kind === 'http2'
      ? sendHttp2(opened.session, `${prefix}${request.path}`, headers, request)
      : sendHttp1(opened, server, `${prefix}${request.path}`, headers, request);
  };

  return {
    server: `${server.origin} (${access.origin})`,
    async request(request) {
      const response = await send(request);
      if (response.status !== 401 || !credentials.renew()) return response;
      response.body.destroy();
      // A client certificate belongs to its connection: a renewed one needs another connection.
      if (credentials.issuesCertificate) drop();
      return await send(request);
    },
    close() {
      closed = true;
      if (current?.kind === 'http2') current.session.destroy();
      drop();
    },
  };
}

/** A session that has been told to go away takes no new streams; those it has may live on. */
function isOpen(transport: Transport): boolean {
  return transport.kind === 'http1' || !(transport.session.closed || transport.session.destroyed);
}

function dial(server: URL, options: tls.ConnectionOptions, clock: Clock): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const host = server.hostname.replace(/^\[|\]$/g, '');
    const socket = tls.connect({
      host,
      port: Number(server.port || 443),
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ...options,
    });
    const cancel = clock.setTimeout(
      () => socket.destroy(Object.assign(new Error('connecting took too long'), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT_MS,
    );
    socket.setKeepAlive(true, 30_000);
    socket.once('secureConnect', () => {
      cancel();
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
    socket.once('close', () => {
      cancel();
      reject(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
    });
  });
}

function sendHttp2(
  session: ClientHttp2Session,
  path: string,
  headers: OutgoingHttpHeaders,
  { method = 'GET', body, signal }: RawApiRequest,
): Promise<RawApiResponse> {
  return new Promise((resolve, reject) => {
    const stream: ClientHttp2Stream = session.request(
      { ...headers, ':method': method, ':path': path },
      { signal, endStream: body === undefined },
    );
    stream.on('error', reject);
    stream.once('close', () =>
      reject(Object.assign(new Error('the stream was closed'), { code: 'ECONNRESET' })),
    );
    stream.once('response', (headers) =>
      resolve({ status: Number(headers[':status']), headers, body: stream }),
    );
    if (body !== undefined) stream.end(body);
  });
}

function sendHttp1(
  transport: Transport & { kind: 'http1' },
  server: URL,
  path: string,
  headers: OutgoingHttpHeaders,
  { method = 'GET', body, signal }: RawApiRequest,
): Promise<RawApiResponse> {
  return new Promise((resolve, reject) => {
    const options = { ...transport.tls, agent: transport.agent, method, headers, signal };
    const client = server.protocol === 'https:' ? https : http;
    const request = client.request(`${server.origin}${path}`, options, (response) => {
      response.on('error', reject);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
    });
    request.on('error', reject);
    request.end(body);
  });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
