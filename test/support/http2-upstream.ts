import { type Http2Server, type ServerHttp2Session, type ServerHttp2Stream, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A pod that speaks HTTP/2 with prior knowledge. */
export interface Http2Upstream extends AsyncDisposable {
  readonly port: number;
  readonly server: Http2Server;
  /** In the order in which they were accepted. */
  readonly sessions: readonly ServerHttp2Session[];
}

export type Serve = (stream: ServerHttp2Stream, fields: readonly string[]) => void;

export async function http2Upstream(serve: Serve, maxConcurrentStreams = 1_000): Promise<Http2Upstream> {
  const server = createServer({ settings: { maxConcurrentStreams } });
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => {
    sessions.push(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, _headers, _flags, fields) => {
    stream.on('error', () => undefined);
    serve(stream, fields);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The value of a field that is there once. */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
  return at < 0 ? undefined : fields[at + 1];
}
