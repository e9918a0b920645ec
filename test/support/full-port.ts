import { type Socket, connect } from 'node:net';
import { Worker } from 'node:worker_threads';

/** A port whose queue is full: to connect is neither accepted nor refused. */
export interface FullPort extends AsyncDisposable {
  readonly port: number;
}

/** Ports of which nothing is accepted, that nobody has asked for yet. The thread that listens on them sleeps. */
const unused: number[] = [];
/** More than the files of one test process ask for; there is another thread for those beyond. */
const PORTS_OF_A_THREAD = 32;

async function sleepingPort(): Promise<number> {
  if (unused.length === 0) {
    const thread = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const { once } = require('node:events');
       const listen = async () => {
         const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 });
         await once(server, 'listening');
         return server.address().port;
       };
       Promise.all(Array.from({ length: workerData }, listen)).then((ports) => {
         parentPort.postMessage(ports);
         Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
       });`,
      { eval: true, workerData: PORTS_OF_A_THREAD },
    );
    unused.push(...(await new Promise<readonly number[]>((resolve) => thread.once('message', resolve))));
    // It does not keep the process of the tests.
    thread.unref();
  }
  return unused.pop()!;
}

/** Fills the kernel's queue of a port on which nothing is accepted. */
export async function fullPort(): Promise<FullPort> {
  const port = await sleepingPort();
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
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
