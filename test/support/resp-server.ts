import { createHash } from 'node:crypto';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

/** As much of Redis as a limit store asks for, with its own GCRA. */
export interface RespServer extends AsyncDisposable {
  readonly port: number;
  /** Every command that came, by its first word. */
  readonly commands: readonly string[];
  readonly connections: number;
  /** From now on it answers nothing. */
  silent: boolean;
  /** Answered instead of every reply. */
  error: string | null;
  forgetScripts(): void;
}

export interface RespServerSettings {
  /** A free one unless said. */
  readonly port?: number;
  readonly password?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function respServer(settings: RespServerSettings = {}): Promise<RespServer> {
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  const scripts = new Set<string>();
  const paid = new Map<string, number>();
  let connections = 0;
  const state = { silent: false, error: null as string | null };

  const gcra = (words: readonly string[]): string => {
    if (!scripts.has(words[1] ?? '')) return '-NOSCRIPT No matching script.\r\n';
    const count = Number(words[2]);
    const keys = words.slice(3, 3 + count);
    const rates = words.slice(3 + count).map(Number);
    const now = performance.now() * 1_000;
    const times = keys.map((key) => Math.max(now, paid.get(key) ?? 0));
    const wait = Math.max(...times.map((time, i) => time - now - (rates[2 * i + 1] ?? 0)));
    if (wait > 0) return `:${Math.ceil(wait)}\r\n`;
    for (const [i, key] of keys.entries()) paid.set(key, (times[i] ?? 0) + (rates[2 * i] ?? 0));
    return ':0\r\n';
  };
  const serve = (socket: Socket): void => {
    connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    let isOpen = settings.password === undefined;
    let held = '';
    const reply = (words: readonly string[]): string => {
      if (state.error !== null) return `-${state.error}\r\n`;
      if (words[0] === 'AUTH') {
        isOpen = words.at(-1) === settings.password;
        return isOpen ? '+OK\r\n' : '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
      }
      if (!isOpen) return '-NOAUTH Authentication required.\r\n';
      if (words[0] === 'SELECT') return '+OK\r\n';
      if (words[0] === 'EVALSHA') return gcra(words);
      const sha = createHash('sha1')
        .update(words[2] ?? '')
        .digest('hex');
      scripts.add(sha);
      return `$40\r\n${sha}\r\n`;
    };
    socket.setEncoding('latin1');
    socket.on('data', (bytes: string) => {
      held += bytes;
      for (let read = readCommand(held); read !== null; read = readCommand(held)) {
        held = held.slice(read.length);
        commands.push(read.words[0] ?? '');
        if (!state.silent) socket.write(reply(read.words));
      }
    });
  };
  const server: Server =
    settings.tls === undefined ? createServer(serve) : createTlsServer(settings.tls, serve);
  await new Promise<void>((resolve) => server.listen(settings.port ?? 0, '127.0.0.1', resolve));
  return Object.defineProperties(state, {
    port: { value: (server.address() as AddressInfo).port },
    commands: { value: commands },
    connections: { get: () => connections },
    forgetScripts: { value: () => scripts.clear() },
    [Symbol.asyncDispose]: {
      async value() {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    },
  }) as unknown as RespServer;
}

/** The first command of a text, when it is all there. */
function readCommand(text: string): { readonly words: readonly string[]; readonly length: number } | null {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return null;
  const words: string[] = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (!length) return null;
    const from = at + length[0].length;
    const to = from + Number(length[1]);
    if (text.length < to + 2) return null;
    words.push(text.slice(from, to));
    at = to + 2;
  }
  return { words, length: at };
}
