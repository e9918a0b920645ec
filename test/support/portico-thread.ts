import { on } from 'node:events';
import { Readable } from 'node:stream';
import { parentPort, workerData } from 'node:worker_threads';
import type { CommandLine, Finished } from './portico.ts';

/** The module of `main`; data-plane threads are not started here. */
const program = new URL(workerData as string);
const { main } = (await import(program.href)) as typeof import('../../src/cli/program.ts');

for await (const [{ args, input, env }] of on(parentPort!, 'message') as AsyncIterable<[CommandLine]>) {
  process.env = env;
  Object.defineProperty(process, 'stdin', { configurable: true, value: Readable.from([input]) });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = (text: string | Uint8Array, ...more: readonly unknown[]): boolean => {
      said[name] += String(text);
      const callback = more.at(-1);
      if (typeof callback === 'function') callback();
      return true;
    };
  }
  const code = await main(['node', 'portico', ...args], program);
  // `main` listens to it once for each process.
  process.stdout.removeAllListeners('error');
  parentPort!.postMessage({ code, ...said } satisfies Finished);
}
