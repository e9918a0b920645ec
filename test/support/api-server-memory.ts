import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ApiConnection } from '../../src/kubernetes/api-connection.ts';
import { type Serve, type Transport, requestOf } from './api-server-transport.ts';

/** A stream passes on what was written within two turns of the event loop; a client may then take a few of its own. */
const QUIET_TURNS = 8;
/** When nothing was on its way before: a client that wants something has asked by then. */
const STILL_TURNS = 2;

const refused = (): Error =>
  Object.assign(new Error('connect ECONNREFUSED 127.0.0.1'), { code: 'ECONNREFUSED' });
const aborted = (): Error => Object.assign(new Error('aborted'), { code: 'ECONNRESET' });

export function memoryTransport(serve: Serve, changed: () => void): Transport {
  let listening = true;
  let moves = 0;
  let movesWhenSettled = -1;
  const exchanges = new Set<(error: Error) => void>();

  const connect = (): ApiConnection => {
    const closing = new AbortController();
    return {
      server: 'http://127.0.0.1 (in memory)',
      async request({ method = 'GET', path, contentType, accept, ifNoneMatch, body, signal }) {
        moves++;
        signal.throwIfAborted();
        if (!listening) throw refused();
        const answer = Promise.withResolvers<Awaited<ReturnType<ApiConnection['request']>>>();
        const stream = new Readable({ read: () => void moves++ });
        const end = (error: Error): void => {
          answer.reject(error);
          stream.destroy(error);
        };
        const either = AbortSignal.any([signal, closing.signal]);
        const abort = (): void => end(either.reason as Error);
        either.addEventListener('abort', abort, { once: true });
        exchanges.add(end);
        // Who reads the stream hears of its error; nobody has to.
        stream.on('error', () => {});
        stream.once('close', () => {
          moves++;
          exchanges.delete(end);
          either.removeEventListener('abort', abort);
          changed();
        });
        const headers = {
          'user-agent': 'portico',
          accept: accept ?? 'application/json',
          ...(ifNoneMatch !== undefined && { 'if-none-match': ifNoneMatch }),
          ...(body !== undefined && { 'content-type': contentType ?? 'application/json' }),
        };
        setImmediate(() => {
          moves++;
          const seen = requestOf({ method, target: path, headers, httpVersion: '1.1', connection: 1, body });
          void serve(seen, {
            head(status, more = {}) {
              moves++;
              const named = Object.entries(more).map(([name, value]) => [name.toLowerCase(), value]);
              answer.resolve({ status, headers: Object.fromEntries(named), body: stream });
            },
            write(text) {
              moves++;
              stream.push(text);
            },
            end(text) {
              moves++;
              if (text) stream.push(text);
              stream.push(null);
            },
            reset: () => end(aborted()),
            onClose: (callback) => void stream.once('close', callback),
          });
        });
        return await answer.promise;
      },
      close: () => closing.abort(new Error('the connection to the API server is closed')),
    };
  };

  return {
    url: 'http://127.0.0.1',
    port: 0,
    connections: () => exchanges.size,
    async close() {
      listening = false;
      for (const end of exchanges) end(aborted());
    },
    async open() {
      listening = true;
    },
    memory: {
      connect,
      async settled() {
        for (let quiet = 0, before = moves; ; quiet++) {
          if (quiet === (moves === movesWhenSettled ? STILL_TURNS : QUIET_TURNS)) break;
          await nextTurn();
          if (moves === before) continue;
          before = moves;
          quiet = 0;
        }
        movesWhenSettled = moves;
      },
    },
  };
}
