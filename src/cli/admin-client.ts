import { existsSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';

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
  if (host !== undefined && Number(port) <= 65_535) return { kind: 'address', host, port: Number(port) };
  return text.includes('/') || text.endsWith('.sock') ? { kind: 'socket', path: text } : null;
}

/** What a running Portico could not be asked, or did not answer; in one line. */
export class AdminFailure extends Error {}

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** Asks the admin API of one Portico. */
export class AdminClient {
  readonly #from: Exclude<From, { readonly kind: 'pod' }>;

  constructor(from: Exclude<From, { readonly kind: 'pod' }>) {
    this.#from = from;
  }

  /** The body of `GET /api/v1/` and `path`. Rejects with an `AdminFailure`. */
  get<T>(path: string): Promise<T> {
    return this.send('GET', path);
  }

  /** The same by another method; only the socket takes what changes something. */
  async send<T>(method: 'GET' | 'POST' | 'DELETE', path: string): Promise<T> {
    const { status, body } = await this.#fetch(method, `/api/v1/${path}`).catch((error: unknown) => {
      const why = (error as Error).message;
      throw new AdminFailure(
        `${this.#name()}: ${why}; is Portico running, with --admin-socket or --admin-address?`,
      );
    });
    let answer: unknown;
    try {
      answer = JSON.parse(body);
    } catch {
      throw new AdminFailure(`${this.#name()}: ${body.split('\n', 1)[0]?.slice(0, 200)}`);
    }
    if (status === 200) return answer as T;
    throw new AdminFailure(`${this.#name()}: ${String((answer as { error?: unknown }).error)}`);
  }

  #name(): string {
    const from = this.#from;
    return from.kind === 'socket' ? from.path : `${from.host}:${from.port}`;
  }

  #fetch(method: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
    const from = this.#from;
    const to: RequestOptions =
      from.kind === 'socket'
        ? { socketPath: from.path, headers: { host: 'localhost' } }
        : { host: from.host, port: from.port };
    return new Promise((resolve, reject) => {
      const asked = request({ ...to, method, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
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
