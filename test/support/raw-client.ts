import { connect } from 'node:net';
import { type Wire, wire } from './wire.ts';

/** A client that sends bytes rather than requests. Disposing it aborts the connection. */
export interface RawClient extends Wire, Disposable {}

/** `localAddress` is where it comes from, where that is not for the system to choose. */
export async function rawClient(port: number, host = '127.0.0.1', localAddress?: string): Promise<RawClient> {
  const socket = connect({ port, host, allowHalfOpen: true, ...(localAddress && { localAddress }) });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const end = wire(socket);
  return Object.defineProperties({} as RawClient, {
    ...Object.getOwnPropertyDescriptors(end),
    [Symbol.dispose]: { value: () => void socket.destroy() },
  });
}

/** A GET as most tests need it. */
export function get(path: string, ...fields: string[]): string {
  return request('GET', path, '', ...fields);
}

/** A request to `app.test`; a body gets its Content-Length unless the fields frame it themselves. */
export function request(method: string, path: string, body: string, ...fields: string[]): string {
  const framed = fields.some((field) => /^(?:content-length|transfer-encoding):/i.test(field));
  if (body !== '' && !framed) fields.push(`Content-Length: ${body.length}`);
  return [`${method} ${path} HTTP/1.1`, 'Host: app.test', ...fields, '', body].join('\r\n');
}

/** A body in the chunked coding. */
export function chunked(chunks: readonly string[], trailers: readonly string[] = []): string {
  const coded = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return `${coded}0\r\n${trailers.map((trailer) => `${trailer}\r\n`).join('')}\r\n`;
}
