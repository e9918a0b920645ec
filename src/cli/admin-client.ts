import { existsSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { quote } from '../model/untyped.ts';

/** Where a running Portico is asked. */
export type From =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  | { readonly kind: 'pod'; readonly namespace: string; readonly name: string };

/** Where the manifests of deploy/ have it, and where `run --manifests` has it. */
const USUAL_SOCKET = '/run/portico/admin.sock';
const USUAL_ADDRESS = { kind: 'address', host: '127.0.0.1', port: 10_253 } as const;

/** Reads `--from`; null for what is none of the three. */
export function parseFrom(text: string | undefined): From | null {
  if (text === undefined)
    return existsSync(USUAL_SOCKET) ? { kind: 'socket', path: USUAL_SOCKET } : USUAL_ADDRESS;
  const [, namespace, name] = /^pod\/([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text) ?? [];
  if (namespace !== undefined && name !== undefined) return { kind: 'pod', namespace, name };
  const [, bracketed, plain, port] =
    /^(?:http:\/\/)?(?:\[([\da-f:]+)\]|([\w.-]+)):(\d{1,5})\/?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535)
    return { kind: 'address', host, port: Number(port) };
  // Half of an address or of a Pod is no path.
  if (text.startsWith('pod/') || text.includes('://')) return null;
  return text.includes('/') || text.endsWith('.sock') ? { kind: 'socket', path: text } : null;
}

/** What a running Portico could not be asked, or did not answer; in one line. */
export class AdminFailure extends Error {}

/** Null for what is no object. */
function parsed(body: string): object | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** Asks the admin API of one Portico. */
export class AdminClient {
  readonly #from: Exclude<From, { readonly kind: 'pod' }>;

  constructor(from: Exclude<From, { readonly kind: 'pod' }>) {
    this.#from = from;
  }

  /** The body of `GET /api/v1/` and `path`. Rejects with an `AdminFailure`, also when `signal` is aborted. */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.send('GET', path, signal);
  }

  /** The same by another method; only the socket takes what changes something. */
  async send<T>(method: 'GET' | 'POST' | 'DELETE', path: string, signal?: AbortSignal): Promise<T> {
    const { status, body } = await this.#fetch(method, `/api/v1/${path}`, signal).catch((error: unknown) => {
      throw new AdminFailure(
        `${this.#name()}: ${this.#whyNot(error as NodeJS.ErrnoException)}; is Portico running, with --admin-socket or --admin-address?`,
      );
    });
    const answer = parsed(body);
    if (status === 200 && answer !== null) return answer as T;
    const { error } = (answer ?? {}) as { error?: unknown };
    if (typeof error === 'string') throw new AdminFailure(`${this.#name()}: ${error}`);
    const line = body.split('\n', 1)[0]?.slice(0, 200);
    // Refusals of the API are text.
    const doubt = status === 200 || status === 404 ? `; is that the admin API of Portico?` : '';
    throw new AdminFailure(`${this.#name()}: it answers ${status}: ${quote(line)}${doubt}`);
  }

  #name(): string {
    const from = this.#from;
    if (from.kind === 'socket') return from.path;
    return from.host.includes(':') ? `[${from.host}]:${from.port}` : `${from.host}:${from.port}`;
  }

  #whyNot({ code = '', message }: NodeJS.ErrnoException): string {
    const isSocket = this.#from.kind === 'socket';
    if (code.startsWith('HPE_')) return 'its answer is not HTTP';
    if (code === 'ECONNRESET') return 'it closed the connection without an answer';
    if (code === 'ECONNREFUSED') return 'nobody listens there';
    if (isSocket && code === 'ENOENT') return 'there is no such socket';
    if (isSocket && code === 'EACCES') return 'this user may not use the socket';
    if (isSocket && code === 'EINVAL') return 'the path is too long for a socket';
    return message;
  }

  #fetch(
    method: string,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const from = this.#from;
    const to: RequestOptions =
      from.kind === 'socket'
        ? { socketPath: from.path, headers: { host: 'localhost' } }
        : { host: from.host, port: from.port };
    return new Promise((resolve, reject) => {
      const options = { ...to, method, path, agent: false, timeout: TIMEOUT_MS, ...(signal && { signal }) };
      const asked = request(options, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
          if (body.length > MAX_ANSWER_BYTES) asked.destroy(new Error('the answer is too long'));
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      asked.on('timeout', () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      asked.on('error', reject);
      asked.end();
    });
  }
}
