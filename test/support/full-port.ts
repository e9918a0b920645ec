import { type Socket, connect } from 'node:net';
import { Worker } from 'node:worker_threads';

/** A port whose queue is full: to connect is neither accepted nor refused. */
export interface FullPort extends AsyncDisposable {
  readonly port: number;
}

/** Listens in a thread that then sleeps, so that nothing is accepted, and fills the kernel's queue. */
export async function fullPort(): Promise<FullPort> {
  const thread = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const port = await new Promise<number>((resolve) => thread.once('message', resolve));
  const sockets: Socket[] = [];
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      setTimeout(resolve, 100, false);
    });
    // The first that hangs shows that the queue is full; it stays, to keep it so.
    if (!connected) break;
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await thread.terminate();
    },
  };
}
