import { type Server, createServer } from 'node:net';

const SMALL = response(Buffer.alloc(1024, 'a'));
const OK = response(Buffer.from('ok'));
const LARGE_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 16777216\r\n\r\n',
);
const CHUNK = Buffer.alloc(256 * 1024, 'b');
const CHUNKS = 64;
const SOON_MS = 10;

function response(body: Buffer): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/**
 * The pod of the benchmarks: answers over raw sockets, so that it costs little beside what is measured.
 * `GET /small` 1 KiB, `GET /soon` the same after a moment, `GET /large` 16 MiB, `POST` reads the body and answers 2 bytes.
 */
export function createPod(): Server {
  return createServer({ noDelay: true }, (socket) => {
    let pending: Buffer = Buffer.alloc(0);
    let bodyLeft = 0;
    let resume = (): void => {};
    const sendLarge = async (): Promise<void> => {
      socket.write(LARGE_HEAD);
      for (let i = 0; i < CHUNKS && !socket.destroyed; i++) {
        if (!socket.write(CHUNK)) {
          await new Promise<void>((resolve) => (resume = resolve));
        }
      }
    };
    socket.on('drain', () => resume());
    socket.on('close', () => resume());
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      let bytes = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
      pending = Buffer.alloc(0);
      while (bytes.length > 0) {
        if (bodyLeft > 0) {
          const taken = Math.min(bodyLeft, bytes.length);
          bodyLeft -= taken;
          bytes = bytes.subarray(taken);
          if (bodyLeft === 0) socket.write(OK);
          continue;
        }
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) {
          pending = bytes;
          return;
        }
        const head = bytes.toString('latin1', 0, end);
        bytes = bytes.subarray(end + 4);
        if (head.startsWith('POST')) {
          const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
          if (length === 0) socket.write(OK);
          bodyLeft = length;
        } else if (head.startsWith('GET /large')) void sendLarge();
        else if (head.startsWith('GET /soon')) setTimeout(() => socket.write(SMALL), SOON_MS);
        else socket.write(SMALL);
      }
    });
  });
}
