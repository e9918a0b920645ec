import { parentPort, threadId } from 'node:worker_threads';
import type { ToThread } from '../../src/proxy/threads/messages.ts';
import { serve } from '../../src/proxy/threads/thread.ts';

/** What the test tells all threads; the one that is meant does it. */
export type Order = { readonly thread: number; readonly die: 'now' | 'at the next report' };
/** What a thread tells the test when it is about to serve. */
export type Birth = { readonly born: number };

export const CHANNEL = 'portico-threads-test';

// A data-plane thread like any other, but one that dies when it is told to.
if (parentPort) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener('message', (event) => {
    const order = (event as unknown as { data: Order | Birth }).data;
    if (!('die' in order) || order.thread !== threadId) return;
    const die = (): never => {
      throw new Error(`thread ${threadId} was told to die`);
    };
    if (order.die === 'now') setImmediate(die);
    else parentPort?.on('message', (message: ToThread) => message.kind === 'report' && die());
  });
  await serve();
  channel.postMessage({ born: threadId } satisfies Birth);
}
