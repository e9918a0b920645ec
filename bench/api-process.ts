import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { constants, setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ApiObject, startApiServer } from '../test/support/api-server.ts';
import { type GatewayCluster, clusterObjects, gatewayObjects } from './cluster-objects.ts';

/**
 * The scripted API server of a benchmark in a process of its own: with tens of thousands of objects its garbage
 * collections would otherwise stop the clock of the load. It stands behind a port that counts the bytes it sends.
 */
export interface ApiProcess {
  readonly kubeconfig: string;
  apply(object: ApiObject): void;
  /** Since it started. */
  bytesSent(): Promise<number>;
  /** Ends every watch so that none can be resumed; resolves when all are there again and nothing more is sent. */
  relist(): Promise<void>;
  stop(): void;
}

type Order = { readonly kind: 'apply'; readonly object: ApiObject } | { readonly kind: 'bytes' | 'relist' };

export async function startApiProcess(
  ingresses: number,
  upstreamPort: number,
  gateways: GatewayCluster | null = null,
): Promise<ApiProcess> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), [
    `${ingresses}`,
    `${upstreamPort}`,
    JSON.stringify(gateways),
  ]);
  process.on('exit', () => child.kill('SIGKILL'));
  const answer = async (): Promise<unknown> => ((await once(child, 'message')) as [unknown])[0];
  const order = (what: Order): void => void child.send(what);
  const kubeconfig = String(await answer());
  return {
    kubeconfig,
    apply: (object) => order({ kind: 'apply', object }),
    async bytesSent() {
      order({ kind: 'bytes' });
      return Number(await answer());
    },
    async relist() {
      order({ kind: 'relist' });
      await answer();
    },
    stop: () => void child.kill('SIGKILL'),
  };
}

/** What Portico watches: Ingress, IngressClass, Service, EndpointSlice, Secret. */
const KINDS = 5;
const QUIET_MS = 500;

async function serve(
  ingresses: number,
  upstreamPort: number,
  gateways: GatewayCluster | null,
): Promise<void> {
  const ofGateways = gateways ? gatewayObjects(gateways, upstreamPort) : [];
  const objects = [...clusterObjects(ingresses, upstreamPort), ...ofGateways];
  const api = await startApiServer({ objects, streamingList: true });
  if (gateways) api.install();
  let sent = 0;
  const counter = createServer((client: Socket) => {
    const server = connect(api.port, new URL(api.url).hostname);
    server.on('data', (chunk: Buffer) => (sent += chunk.length));
    client.pipe(server).pipe(client);
    for (const end of [client, server]) end.on('error', () => [client, server].map((each) => each.destroy()));
  }).listen(0, '127.0.0.1');
  await once(counter, 'listening');

  const relist = async (): Promise<void> => {
    // Listing takes the whole core that the load needs to measure with: from here on the load comes first.
    setPriority(constants.priority.PRIORITY_LOW);
    // The newest version belongs to the one kind that costs nothing to list.
    api.apply(objects[0]!);
    api.compact();
    api.endWatches();
    await delay(QUIET_MS);
    await api.until(() => api.watches() === KINDS);
    for (let before = -1; before !== sent;) {
      before = sent;
      await delay(QUIET_MS);
    }
  };
  process.on('message', async (order: Order) => {
    switch (order.kind) {
      case 'apply':
        api.apply(order.object);
        break;
      case 'bytes':
        process.send?.(sent);
        break;
      case 'relist':
        await relist();
        process.send?.('relisted');
        break;
    }
  });
  // An idle watch gets a bookmark about once a minute, as a real one does.
  setInterval(() => api.bookmark(), 60_000);
  const { port } = counter.address() as AddressInfo;
  process.send?.(api.kubeconfig().replaceAll(api.url, `http://127.0.0.1:${port}`));
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [ingresses = 0, upstreamPort = 0] = process.argv.slice(2).map(Number);
  await serve(ingresses, upstreamPort, JSON.parse(process.argv[4] ?? 'null') as GatewayCluster | null);
}
