import { type AddressInfo, type Server, createServer } from 'node:net';
import { soon } from './until.ts';
import { type Wire, type WireMessage, bothWires } from './wire.ts';

/** A pod that does what a script says, seeing every byte. */
export interface Upstream extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** In the order in which they were accepted. */
  readonly connections: readonly Wire[];
  /** The nth connection, from 0, as soon as it is there; rejects when it does not come in time. */
  connection(index: number): Promise<Wire>;
  /** Stops listening, so that connections are refused; those that are open stay. */
  refuse(): Promise<void>;
}

export type Script = (connection: Wire, index: number) => void | Promise<void>;

/** The script runs once per connection, and may wait for as long as that lasts. A connection that ends before its script does ends the script quietly. */
export async function scriptedUpstream(script: Script): Promise<Upstream> {
  const connections: Wire[] = [];
  const waiting = new Set<() => void>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const { wire, patient } = bothWires(socket);
    connections.push(wire);
    for (const look of waiting) look();
    void Promise.resolve(script(patient, connections.length - 1)).catch(() => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const refuse = (): Promise<void> =>
    new Promise((resolve) => {
      // Resolves when the port is free, not when every connection is over.
      if (server.listening) server.close(() => undefined);
      resolve();
    });
  return {
    port,
    address: `127.0.0.1:${port}`,
    connections,
    connection(index) {
      const accepted = new Promise<Wire>((resolve) => {
        const look = (): void => {
          const found = connections[index];
          if (!found) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      });
      return soon(accepted, () => `connection ${index} to the pod; there were ${connections.length}`);
    },
    refuse,
    async [Symbol.asyncDispose]() {
      await refuse();
      for (const { socket } of connections) socket.destroy();
    },
  };
}

/** A pod that reads requests one after the other, keeps them, and answers each with its name. */
export interface RecordingUpstream extends Upstream {
  readonly requests: readonly WireMessage[];
  /** Bytes of any connection that are no whole request. */
  leftover(): string;
}

export async function recordingUpstream(
  name = 'ok',
  answer: (request: WireMessage) => string = () => ok(name),
): Promise<RecordingUpstream> {
  const requests: WireMessage[] = [];
  const upstream = await scriptedUpstream(async (connection) => {
    for (;;) {
      const request = await connection.message();
      requests.push(request);
      connection.send(answer(request));
    }
  });
  return Object.assign(upstream, {
    requests,
    leftover: () => upstream.connections.map(({ unread }) => unread).join(''),
  });
}

/** A 200 with a length. */
export function ok(body: string, ...fields: string[]): string {
  return ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n');
}
