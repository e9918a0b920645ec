import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type ApiObject, startApiServer } from '../test/support/api-server.ts';
import { clusterObjects } from './cluster-objects.ts';

/**
 * The scripted API server of a benchmark in a process of its own: with tens of thousands of objects its garbage
 * collections would otherwise stop the clock of the load.
 */
export interface ApiProcess {
  readonly kubeconfig: string;
  apply(object: ApiObject): void;
  stop(): void;
}

export async function startApiProcess(ingresses: number, upstreamPort: number): Promise<ApiProcess> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), [`${ingresses}`, `${upstreamPort}`]);
  process.on('exit', () => child.kill('SIGKILL'));
  const [kubeconfig] = (await once(child, 'message')) as [string];
  return { kubeconfig, apply: (object) => void child.send(object), stop: () => void child.kill('SIGKILL') };
}

if (process.send && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [ingresses = 0, upstreamPort = 0] = process.argv.slice(2).map(Number);
  const api = await startApiServer({ objects: clusterObjects(ingresses, upstreamPort), streamingList: true });
  process.on('message', (object) => void api.apply(object as ApiObject));
  // An idle watch gets a bookmark about once a minute, as a real one does.
  setInterval(() => api.bookmark(), 60_000);
  process.send(api.kubeconfig());
}
