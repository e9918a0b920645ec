import { parentPort, postMessageToThread, threadId } from 'node:worker_threads';
import type { ToThread } from '../../src/proxy/threads/messages.ts';
import { serve } from '../../src/proxy/threads/thread.ts';

/** What the test tells a thread by `postMessageToThread`. */
export type Order = { readonly die: 'now' | 'at the next report' };
/** What a thread tells the thread of the test, in the same way, when it is about to serve: its id. */
export type Birth = { readonly born: number };

// A data-plane thread like any other, but one that dies when it is told to. There is no BroadcastChannel between it and
// the test, since Node loads fetch for the first message of one.
if (parentPort) {
  process.on('workerMessage', ({ die: when }: Order) => {
    const die = (): never => {
      throw new Error(`thread ${threadId} was told to die`);
    };
    if (when === 'now') setImmediate(die);
    else parentPort?.on('message', (message: ToThread) => message.kind === 'report' && die());
  });
  await serve();
  // Not every test listens.
  await postMessageToThread(0, { born: threadId } satisfies Birth).catch(() => undefined);
}
