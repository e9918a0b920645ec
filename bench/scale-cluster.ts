import { type Socket, connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startApiServer } from '../test/support/api-server.ts';
import { clusterObjects, ingress, slice } from './cluster-objects.ts';

/**
 * The cluster of `npm run bench:scale`, a process of its own so that listing fifty thousand objects does not hold up
 * the load generator: the scripted API server, behind a port that counts the bytes it sends.
 */
export type ToCluster =
  | { readonly kind: 'slice'; readonly n: number; readonly endpoints: number }
  | { readonly kind: 'ingress'; readonly n: number; readonly paths: readonly string[] }
  /** Every watch ends, and none can be resumed. */
  | { readonly kind: 'relist' }
  | { readonly kind: 'bytes' };

export type FromCluster =
  | { readonly kind: 'ready'; readonly kubeconfig: string; readonly objects: number }
  | { readonly kind: 'bytes'; readonly sent: number }
  /** Every watch is there again, and nothing more is sent. */
  | { readonly kind: 'relisted' };

const [ingresses = 0, upstreamPort = 0] = process.argv.slice(2).map(Number);
const say = (message: FromCluster): void => void process.send?.(message);

const objects = clusterObjects(ingresses, upstreamPort);
const api = await startApiServer({ objects, streamingList: true });
let sent = 0;
const counter = createServer((client: Socket) => {
  const server = connect(api.port, '127.0.0.1');
  server.on('data', (chunk: Buffer) => (sent += chunk.length));
  client.pipe(server).pipe(client);
  for (const end of [client, server]) {
    end.on('error', () => {
      client.destroy();
      server.destroy();
    });
  }
});
counter.listen(0, '127.0.0.1', () => {
  const { port } = counter.address() as AddressInfo;
  const kubeconfig = api.kubeconfig().replaceAll(`:${api.port}`, `:${port}`);
  say({ kind: 'ready', kubeconfig, objects: objects.length });
});

const KINDS = 5;
const QUIET_MS = 500;

async function quiet(): Promise<void> {
  await delay(QUIET_MS);
  await api.until(() => api.watches() === KINDS);
  for (let before = -1; before !== sent;) {
    before = sent;
    await delay(QUIET_MS);
  }
}

process.on('message', (message: ToCluster) => {
  switch (message.kind) {
    case 'slice':
      api.apply(slice(message.n, upstreamPort, message.endpoints));
      break;
    case 'ingress':
      api.apply(ingress(message.n, message.paths));
      break;
    case 'relist':
      // The newest version belongs to the one kind that costs nothing to list.
      api.apply(objects[0]!);
      api.compact();
      api.endWatches();
      void quiet().then(() => say({ kind: 'relisted' }));
      break;
    case 'bytes':
      say({ kind: 'bytes', sent });
      break;
  }
});
process.on('disconnect', () => process.exit());
