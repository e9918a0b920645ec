import { connect } from 'node:net';
import { EXIT } from '../config/exit-codes.ts';

const TIMEOUT_MS = 5_000;
const MAX_ANSWER_BYTES = 1024 * 1024;

export interface ProbeArguments {
  readonly what: string;
  readonly socketPath: string;
}

/**
 * Reads `probe healthz --status-socket=<path>`, as the kubelet runs it; null for everything else, help and mistakes
 * included, which the whole command line is for.
 */
export function readProbeArguments(args: readonly string[]): ProbeArguments | null {
  const [, what, socketPath] =
    /^probe\n(healthz|readyz)\n--status-socket[=\n]([^\n]+)$/.exec(args.join('\n')) ?? [];
  return what === undefined || socketPath === undefined ? null : { what, socketPath };
}

/**
 * `portico probe readyz`: the answer of the process that has this socket, which a port shared by two processes cannot
 * give. Exits with 0 for yes and 1 for no or no answer.
 *
 * The kubelet starts this every few seconds, so it loads as little as possible: node:http alone takes longer to load
 * than Node to start.
 */
export async function runProbe(
  { what, socketPath }: ProbeArguments,
  write: (text: string) => void,
): Promise<number> {
  if (what !== 'healthz' && what !== 'readyz') {
    console.error(`portico probe: '${what}' is not valid; use healthz or readyz`);
    return EXIT.usage;
  }
  try {
    const answer = await ask(socketPath, `/${what}`);
    const [, status, body = ''] = /^HTTP\/1\.1 (\d{3}) .*?\r\n\r\n(.*)$/s.exec(answer) ?? [];
    if (status === undefined) throw new Error('the answer is not HTTP');
    write(body);
    return status === '200' ? EXIT.ok : EXIT.failure;
  } catch (error) {
    console.error(`portico probe: ${socketPath}: ${(error as Error).message}; is Portico running?`);
    return EXIT.failure;
  }
}

/** Everything that is answered until the other side closes. */
function ask(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)),
      TIMEOUT_MS,
    );
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      if (answer.length > MAX_ANSWER_BYTES) socket.destroy(new Error('the answer is too long'));
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}
