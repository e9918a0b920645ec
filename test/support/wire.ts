import type { Socket } from 'node:net';
import { soon } from './until.ts';

/** One HTTP message as it was on the wire. */
export interface WireMessage {
  readonly startLine: string;
  /** Of a response; 0 for a request. */
  readonly status: number;
  /** As spelled, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The values of a field, by its lower-case name. */
  values(name: string): string[];
  /** The value of a field that is there at most once. */
  field(name: string): string | undefined;
  /** Without framing, latin1. */
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** How the end of the body was known. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
}

/**
 * One end of a connection, for a test to hold: sends bytes, sees bytes, waits for conditions. A wait that is not met in
 * time rejects, with what never happened.
 */
export interface Wire {
  readonly socket: Socket;
  /** Everything that came, latin1. */
  readonly text: string;
  /** What came and was not read as a message yet. */
  readonly unread: string;
  send(bytes: string | Uint8Array): void;
  /** Ends our half. */
  end(): void;
  /** Aborts with a reset. */
  reset(): void;
  /** Resolves when the condition holds for everything that came; rejects when the connection ends before. */
  until(condition: string | ((text: string) => boolean)): Promise<void>;
  /** The head of the next message, without its body. */
  head(): Promise<WireMessage>;
  /** The next whole message. `toHead` for the response to a HEAD. */
  message(options?: { toHead?: boolean }): Promise<WireMessage>;
  /** Resolves when the other side ended its half, or the connection broke. */
  readonly ended: Promise<'end' | 'reset'>;
  /** Resolves when both halves are over. */
  readonly closed: Promise<void>;
}

export function wire(socket: Socket): Wire {
  return bothWires(socket).wire;
}

/** `patient` is the same end for a pod, which waits for its next request for as long as the connection lasts. */
export function bothWires(socket: Socket): { readonly wire: Wire; readonly patient: Wire } {
  let text = '';
  let read = 0;
  let over: 'end' | 'reset' | null = null;
  const waiting = new Set<() => void>();
  const wake = (): void => waiting.forEach((look) => look());
  const done = Promise.withResolvers<'end' | 'reset'>();
  const finish = (how: 'end' | 'reset'): void => {
    over ??= how;
    done.resolve(over);
    wake();
  };
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    wake();
  });
  socket.on('end', () => finish('end'));
  socket.on('error', () => finish('reset'));
  const closed = new Promise<void>((resolve) =>
    socket.on('close', () => {
      finish('reset');
      resolve();
    }),
  );

  function when<T>(look: () => T | null, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const found = look();
        if (found !== null) resolve(found);
        else if (over)
          reject(
            new Error(`connection over (${over}) before ${what}; came: ${JSON.stringify(text.slice(read))}`),
          );
        else return;
        waiting.delete(check);
      };
      waiting.add(check);
      check();
    });
  }

  const waits = (limited: boolean): Wire => {
    const met = <T>(promise: Promise<T>, what: string): Promise<T> =>
      limited ? soon(promise, () => `${what}; came: ${JSON.stringify(text.slice(read))}`) : promise;
    const next = <T>(look: () => T | null, what: string): Promise<T> => met(when(look, what), what);
    return {
      socket,
      get text() {
        return text;
      },
      get unread() {
        return text.slice(read);
      },
      send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
      end: () => void socket.end(),
      reset: () => void socket.resetAndDestroy(),
      until: (condition) =>
        next(
          () =>
            (typeof condition === 'string' ? text.includes(condition) : condition(text))
              ? (undefined as void)
              : null,
          `${condition.toString()}`,
        ),
      head: () =>
        next(() => {
          const end = text.indexOf('\r\n\r\n', read);
          if (end < 0) return null;
          const head = parseHead(text.slice(read, end));
          read = end + 4;
          return { ...head, body: '', trailers: [], framing: 'none' as const };
        }, 'the end of a head'),
      message: (options = {}) =>
        next(() => {
          const parsed = parseMessage(text, read, over !== null, options.toHead ?? false);
          if (parsed === null) return null;
          read = parsed.end;
          return parsed.message;
        }, 'the end of a message'),
      get ended() {
        return met(done.promise, 'the end of the connection');
      },
      get closed() {
        return met(closed, 'the close of the connection');
      },
    };
  };
  return { wire: waits(true), patient: waits(false) };
}

type Head = Pick<WireMessage, 'startLine' | 'status' | 'fields' | 'values' | 'field'>;

function parseHead(text: string): Head {
  const [startLine = '', ...lines] = text.split('\r\n');
  const fields = lines.map(parseField);
  const values = (name: string): string[] =>
    fields.filter(([spelled]) => spelled.toLowerCase() === name).map(([, value]) => value);
  const status = startLine.startsWith('HTTP/') ? Number(startLine.split(' ')[1]) : 0;
  return { startLine, status, fields, values, field: (name) => values(name)[0] };
}

function parseField(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

function parseMessage(
  text: string,
  start: number,
  over: boolean,
  toHead: boolean,
): { message: WireMessage; end: number } | null {
  const headEnd = text.indexOf('\r\n\r\n', start);
  if (headEnd < 0) return null;
  const head = parseHead(text.slice(start, headEnd));
  const bodyStart = headEnd + 4;
  const whole = (
    body: string,
    framing: WireMessage['framing'],
    end: number,
    trailers: WireMessage['trailers'] = [],
  ) => ({
    message: { ...head, body, framing, trailers },
    end,
  });
  const { status } = head;
  if (toHead || (status >= 100 && status < 200) || status === 204 || status === 304)
    return whole('', 'none', bodyStart);
  if (head.field('transfer-encoding') !== undefined) {
    let at = bodyStart;
    let body = '';
    for (;;) {
      const lineEnd = text.indexOf('\r\n', at);
      if (lineEnd < 0) return null;
      const size = Number.parseInt(text.slice(at, lineEnd), 16);
      if (Number.isNaN(size)) throw new Error(`bad chunk size in ${JSON.stringify(text.slice(at, at + 40))}`);
      at = lineEnd + 2;
      if (size === 0) break;
      if (text.length < at + size + 2) return null;
      body += text.slice(at, at + size);
      at += size + 2;
    }
    if (text.startsWith('\r\n', at)) return whole(body, 'chunked', at + 2);
    const trailerEnd = text.indexOf('\r\n\r\n', at);
    if (trailerEnd < 0) return null;
    return whole(body, 'chunked', trailerEnd + 4, text.slice(at, trailerEnd).split('\r\n').map(parseField));
  }
  const length = head.field('content-length');
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return text.length < end ? null : whole(text.slice(bodyStart, end), 'length', end);
  }
  if (status === 0) return whole('', 'none', bodyStart);
  return over ? whole(text.slice(bodyStart), 'close', text.length) : null;
}
