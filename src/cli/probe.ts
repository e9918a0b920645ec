import { once } from 'node:events';
import { type IncomingMessage, get } from 'node:http';
import { text } from 'node:stream/consumers';
import { EXIT } from '../config/exit-codes.ts';

const TIMEOUT_MS = 5_000;

/**
 * `portico probe readyz`: the answer of the process that has this socket, which a port shared by two processes cannot
 * give. Exits with 0 for yes and 1 for no or no answer.
 */
export async function runProbe(
  what: string,
  socketPath: string,
  write: (text: string) => void,
): Promise<number> {
  if (what !== 'healthz' && what !== 'readyz') {
    console.error(`portico probe: '${what}' cannot be asked; ask healthz or readyz`);
    return EXIT.usage;
  }
  try {
    const request = get({ socketPath, path: `/${what}`, timeout: TIMEOUT_MS });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    write(await text(response));
    return response.statusCode === 200 ? EXIT.ok : EXIT.failure;
  } catch (error) {
    console.error(`portico probe: ${socketPath}: ${(error as Error).message}; is Portico running?`);
    return EXIT.failure;
  }
}
