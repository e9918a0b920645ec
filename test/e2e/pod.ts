import { type Server, createServer } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { soon } from '../support/until.ts';
import { happens } from '../support/until.ts';
import { STAYS_OPEN } from '../support/stays-open.ts';

/** A small server as a Pod runs it: answers every request with its name. */
export interface Pod extends AsyncDisposable {
  readonly name: string;
  /** `address:port` */
  readonly endpoint: string;
  readonly server: Server;
  /** Requests for /slow that are not answered yet. */
  readonly held: number;
  /** Resolves when so many requests are held; rejects when they do not come in time. */
  holds(count: number): Promise<void>;
  /** Answers what is held, and /slow at once from now on. */
  release(): void;
  /** Ends: connections are refused. */
  stop(): Promise<void>;
}

export async function startPod(name: string, address = '127.0.0.1', port = 0): Promise<Pod> {
  let held: (() => void)[] = [];
  let waiting: { count: number; resolve: () => void }[] = [];
  let holding = true;
  const server = createServer(STAYS_OPEN, (request, response) => {
    request.resume();
    response.setHeader('x-pod', name);
    const respond = (): void => void response.end(name);
    if (request.url !== '/slow' || !holding) return respond();
    held.push(respond);
    waiting = waiting.filter(({ count, resolve }) => {
      if (held.length < count) return true;
      resolve();
      return false;
    });
  });
  server.listen(port, address);
  await happens(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  const release = (): void => {
    holding = false;
    for (const respond of held) respond();
    held = [];
  };
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await happens(server, 'close');
  };
  return {
    name,
    endpoint: `${isIPv6(address) ? `[${address}]` : address}:${bound}`,
    server,
    get held() {
      return held.length;
    },
    holds(count) {
      const met = new Promise<void>((resolve) => {
        if (held.length >= count) resolve();
        else waiting.push({ count, resolve });
      });
      return soon(met, () => `${count} requests are held; there were ${held.length}`);
    },
    release,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
