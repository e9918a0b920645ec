import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type Socket, connect } from 'node:net';

/** One request, again and again. */
export interface LaneRequest {
  readonly host: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Connections that stay open from one window to the next, so that windows can be short. */
export interface Lanes {
  /** Asks on each of them until the time is over and everything is answered; gives how often. Throws unless all is 200. */
  run(request: LaneRequest, durationMs: number): Promise<number>;
  close(): void;
}

const PATH = '/small';

export async function http1Lanes(port: number, connections: number): Promise<Lanes> {
  const sockets = Array.from({ length: connections }, () =>
    connect({ port, host: '127.0.0.1', noDelay: true }),
  );
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return {
    async run({ host, fields }, durationMs) {
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      const bytes = Buffer.from(
        `GET ${PATH} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench/1\r\nAccept: */*\r\n${lines.join('')}\r\n`,
      );
      const endsAt = performance.now() + durationMs;
      const counts = await Promise.all(sockets.map((socket) => askUntil(socket, bytes, endsAt)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    close: () => sockets.forEach((socket) => socket.destroy()),
  };
}

function askUntil(socket: Socket, request: Buffer, endsAt: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let asked = 0;
    let head = '';
    let left = 0;
    const ask = (): void => {
      asked++;
      socket.write(request);
    };
    const onClose = (): void => reject(new Error('a connection was closed'));
    const onData = (chunk: Buffer): void => {
      if (left > 0) left -= chunk.length;
      else {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
        if (!head.startsWith('HTTP/1.1 200')) return reject(new Error(head.slice(0, end)));
        left = length - (head.length - end - 4);
        head = '';
      }
      if (left > 0) return;
      if (performance.now() < endsAt) return ask();
      socket.off('data', onData).off('close', onClose);
      resolve(asked);
    };
    socket.on('data', onData).on('close', onClose);
    ask();
  });
}

/** HTTP/2 without TLS, by prior knowledge. */
export async function http2Lanes(port: number, sessions: number, streams: number): Promise<Lanes> {
  const open = Array.from({ length: sessions }, () => connectHttp2(`http://127.0.0.1:${port}`));
  await Promise.all(open.map((session) => once(session, 'connect')));
  return {
    async run({ host, fields }, durationMs) {
      const head = {
        ...{ ':authority': host, ':path': PATH, 'user-agent': 'bench/1', accept: '*/*' },
        ...fields,
      };
      const endsAt = performance.now() + durationMs;
      const lane = async (session: ClientHttp2Session): Promise<number> => {
        let asked = 0;
        do {
          await askStream(session, head);
          asked++;
        } while (performance.now() < endsAt);
        return asked;
      };
      const lanes = open.flatMap((session) => Array.from({ length: streams }, () => lane(session)));
      return (await Promise.all(lanes)).reduce((sum, count) => sum + count, 0);
    },
    close: () => open.forEach((session) => session.destroy()),
  };
}

function askStream(session: ClientHttp2Session, head: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request(head);
    stream.on('response', ({ ':status': status }) => {
      if (status !== 200) reject(new Error(`status ${status}`));
    });
    stream.on('error', reject).on('end', resolve).resume();
  });
}
