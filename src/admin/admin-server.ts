import { createHash } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { Api, type AdminResponse, type ApiSources } from './api/api.ts';
import { type DebugControl, answerDebug } from './api/debug-api.ts';
import { createOpenResponses } from './connection-limits.ts';
import { closeNow, listenHttp, sendText, writeHead } from './http-listener.ts';
import { clearSocketPath } from './socket-path.ts';
import { type LocalVerdict, judgeLocal } from './local-only.ts';

export interface AdminServerOptions {
  readonly sources: ApiSources;
  readonly debug: DebugControl;
  /** The page, as one file of HTML; null where it cannot be had. */
  readonly page: () => Promise<string | null>;
}

/**
 * The admin API and its page, on listeners of their own. They share no limit with probes and scrapes, so that neither can
 * keep the other out.
 */
export interface AdminServer {
  /** Listens on a loopback address; resolves with the port. A client must ask for a name that always means this machine. */
  listen(host: string, port: number): Promise<number>;
  /** Listens on a Unix socket that only the user of this process can open. A file that is there already is replaced. */
  listenOnSocket(path: string): Promise<void>;
  close(): void;
}

/** Of each listener. */
const MAX_IDLE_CONNECTIONS = 64;
const RESPONSES = { limit: 16, timeoutMs: 30_000 };
/** An answer beyond this is refused: a page of a list has no more than some hundred items. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const API = '/api/v1/';
/** What may be changed, by a process that can open the socket. */
const DEBUG = `${API}debug`;

/** What the page may do, with hashes of its own script and style: nothing else runs in it, and nothing leaves it. */
interface Page {
  readonly html: Buffer;
  readonly policy: string;
}

export function createAdminServer({ sources, debug, page }: AdminServerOptions): AdminServer {
  const servers: Server[] = [];
  const api = new Api(sources);
  const openResponses = createOpenResponses(RESPONSES);
  let readPage: Promise<Page | null> | null = null;

  const sendPage = async (response: ServerResponse): Promise<void> => {
    readPage ??= page().then((html) => (html === null ? null : pageOf(html)));
    readPage.catch(() => (readPage = null));
    const found = await readPage;
    if (found === null) return sendText(response, 404, 'this build has no page; the API is below /api/v1/\n');
    response.setHeader('Content-Security-Policy', found.policy);
    writeHead(response, 200, 'text/html; charset=utf-8', found.html.length);
    response.end(found.html);
  };

  const sendAnswer = async (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
  ) => {
    const segments = decoded(path.slice(API.length));
    if (segments === null) return sendJson(response, 400, { error: 'the path is not percent-encoded' });
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const knownTag = request.headers['if-none-match'] ?? '';
    const answer = await api.answer({ path: segments, query, knownTag, signal: gone.signal });
    if (!gone.signal.aborted) send(response, answer);
  };

  const respond = async (
    request: IncomingMessage,
    response: ServerResponse,
    mayChange: boolean,
  ): Promise<void> => {
    const { method = '' } = request;
    const [path = '', query = ''] = splitTarget(request.url ?? '/');
    const isRead = method === 'GET' || method === 'HEAD';
    if (!isRead && !(mayChange && path === DEBUG && (method === 'POST' || method === 'DELETE'))) {
      const allowed = path === DEBUG ? 'GET, HEAD, POST, DELETE' : 'GET, HEAD';
      response.setHeader('Allow', mayChange ? allowed : 'GET, HEAD');
      const reason =
        path === DEBUG && !mayChange ? 'only the socket of --admin-socket takes that' : 'only GET and HEAD';
      return sendText(response, 405, `${method.slice(0, 20)}: ${reason}\n`);
    }
    openResponses.add(request.socket.remoteAddress ?? '', response);
    for (const [name, value] of Object.entries(FIELDS)) response.setHeader(name, value);
    if (path === '/') return sendPage(response);
    if (path === DEBUG) return send(response, answerDebug(debug, method, query));
    if (!path.startsWith(API)) return sendText(response, 404, 'try / or /api/v1/overview\n');
    try {
      await sendAnswer(request, response, path, query);
    } catch (error) {
      // Nobody waits for the answer any more.
      if (!response.destroyed) throw error;
    }
  };

  const respondLocally = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const verdict = judge(request);
    if (verdict.kind === 'refused')
      return sendText(response, verdict.status, `the admin API ${verdict.reason}\n`);
    return respond(request, response, false);
  };

  const listen = async (address: ListenOptions, answer: typeof respondLocally): Promise<Server> => {
    const server = await listenHttp(address, MAX_IDLE_CONNECTIONS, answer);
    servers.push(server);
    return server;
  };

  return {
    async listen(host, port) {
      const server = await listen({ host, port }, respondLocally);
      // It listens on a port.
      return (server.address() as AddressInfo).port;
    },
    async listenOnSocket(path) {
      await clearSocketPath(path);
      // The file is made while `listen` runs: nobody else can open it at any time.
      const mask = process.umask(0o177);
      const listening = listen({ path }, (request, response) => respond(request, response, true));
      process.umask(mask);
      await listening;
      await chmod(path, 0o600);
    },
    close() {
      for (const server of servers) closeNow(server);
    },
  };
}

/** Beside those of every answer. */
const FIELDS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
} as const;

/**
 * Whether a request that came by TCP is one of a person on this machine: not of a page of another origin, and not one
 * that a proxy passes on, such as the data plane to a Service that leads here.
 */
function judge(request: IncomingMessage): LocalVerdict {
  const local = judgeLocal(request);
  if (local.kind === 'refused') return local;
  const { host = '', origin } = request.headers;
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    return { kind: 'refused', status: 403, reason: 'does not answer to pages of other origins' };
  if (PROXY_FIELDS.some((name) => request.headers[name] !== undefined))
    return { kind: 'refused', status: 403, reason: 'does not answer to proxies' };
  return local;
}

/** The data plane sets the first on every request of a client, and the last on those of its policies, too. */
const PROXY_FIELDS = ['x-forwarded-for', 'x-forwarded-host', 'forwarded', 'via', 'cdn-loop'];

function splitTarget(target: string): readonly [path: string, query: string] {
  const at = target.indexOf('?');
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

function decoded(path: string): readonly string[] | null {
  try {
    return path.split('/').map(decodeURIComponent);
  } catch {
    return null;
  }
}

function pageOf(html: string): Page {
  const hashes = (tag: string): string =>
    [...html.matchAll(new RegExp(`<${tag}[^>]*>([\\s\\S]*?)</${tag}>`, 'g'))]
      .map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`)
      .join(' ');
  const policy = [
    "default-src 'none'",
    `script-src ${hashes('script')}`,
    `style-src ${hashes('style')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return { html: Buffer.from(html), policy: policy.join('; ') };
}

function send(response: ServerResponse, answer: AdminResponse): void {
  switch (answer.kind) {
    case 'answer':
      if (answer.tag !== null) response.setHeader('ETag', answer.tag);
      return sendJson(response, 200, answer.body);
    case 'not-modified':
      response.setHeader('ETag', answer.tag);
      response.writeHead(304, { Connection: 'close', 'Cache-Control': 'no-store' });
      response.end();
      return;
    case 'refused':
      return sendJson(response, answer.status, { error: answer.reason });
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(`${JSON.stringify({ apiVersion: 'v1', ...body })}\n`);
  if (bytes.length > MAX_ANSWER_BYTES)
    return sendJson(response, 400, { error: 'the answer is too long: ask for fewer items with limit' });
  writeHead(response, status, 'application/json', bytes.length);
  response.end(bytes);
}
