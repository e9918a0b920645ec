import { type AddressInfo, createServer } from 'node:net';
import {
  type Block,
  FLAG,
  FRAME,
  type FieldList,
  type FrameClient,
  PREFACE,
  blocks,
  data,
  frame,
  frameEnd,
  headers,
  settings,
} from './http2-frames.ts';
import { soon } from './until.ts';

/** The pod's end of a connection, frame by frame. */
export interface PodEnd extends FrameClient {
  /** The nth request of the connection, from 0, as soon as its head is there; rejects at the end. */
  request(index: number): Promise<Block>;
  /** Octets of DATA that came on a stream. */
  received(stream: number): number;
}

/** A pod that speaks HTTP/2 by hand, and does what a script says. */
export interface FramePod extends AsyncDisposable {
  readonly port: number;
  /** In the order in which they were accepted. */
  readonly connections: readonly PodEnd[];
  /** The nth connection, from 0, as soon as it is there; rejects when it does not come in time. */
  connection(index: number): Promise<PodEnd>;
}

/** Runs once per connection; that it ends before the script does ends the script quietly. */
export type PodScript = (end: PodEnd, index: number) => void | Promise<void>;

/** `first` is what the pod begins with; it acknowledges the SETTINGS of others. Both are left out when it is null. */
export async function framePod(script: PodScript, first: Buffer | null = settings()): Promise<FramePod> {
  const connections: PodEnd[] = [];
  const waiting = new Set<() => void>();
  const server = createServer({ noDelay: true }, (socket) => {
    const end = frameEnd(socket, PREFACE);
    const pod: PodEnd = {
      ...end,
      async request(index) {
        const known = (): Block[] => firstsOf(blocks(end.frames));
        await end.until(() => known().length > index);
        return known()[index]!;
      },
      received: (stream) =>
        end.frames
          .filter((came) => came.type === FRAME.data && came.stream === stream)
          .reduce((sum, { payload }) => sum + payload.length, 0),
    };
    if (first) {
      end.send(first);
      const theirs = end.until(({ type, flags }) => type === FRAME.settings && flags === 0);
      theirs.then(() => end.send(frame(FRAME.settings, FLAG.ack, 0))).catch(() => undefined);
    }
    connections.push(pod);
    for (const look of waiting) look();
    void Promise.resolve(script(pod, connections.length - 1)).catch(() => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    connections,
    connection(index) {
      const accepted = new Promise<PodEnd>((resolve) => {
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
    async [Symbol.asyncDispose]() {
      server.close();
      for (const { socket } of connections) socket.destroy();
    },
  };
}

/** Without trailers. */
function firstsOf(all: readonly Block[]): Block[] {
  return [...Map.groupBy(all, ({ stream }) => stream).values()].flatMap(([first]) => first ?? []);
}

/** The value of a field, or of a pseudo-header field, of a request. */
export function valueOf({ fields }: Block, name: string): string | undefined {
  return fields.find(([of]) => of === name)?.[1];
}

/** The head of a response that goes on. */
export function responseHead(stream: number, ...fields: FieldList): Buffer {
  return headers(stream, [[':status', '200'], ...fields], FLAG.endHeaders);
}

/** A whole response. */
export function response(stream: number, body = 'ok', ...fields: FieldList): Buffer {
  return Buffer.concat([responseHead(stream, ...fields), data(stream, body, true)]);
}

/** Does this for each request that comes, one after the other. */
export async function forEachRequest(
  end: PodEnd,
  serve: (request: Block, index: number) => void | Promise<void>,
): Promise<void> {
  for (let index = 0; ; index++) await serve(await end.request(index), index);
}
