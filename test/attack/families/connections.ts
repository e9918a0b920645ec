import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../../support/daemon.ts';
import type { RawClient } from '../../support/raw-client.ts';
import type { Wire } from '../../support/wire.ts';
import type { Family } from '../scene.ts';
import { type Site, inTime } from '../site.ts';

const CONNECTIONS = 64;

/** Clients that hold what others need: connections, time, descriptors. */
export const connections: Family = {
  name: 'connections',
  flags: [
    '--limit',
    `connections=${CONNECTIONS}`,
    'client-head-timeout=1s',
    'body-idle-timeout=1s',
    'keep-alive-idle-timeout=2s',
  ],
  respond: ({ startLine }) => (startLine.includes('/held') ? null : undefined),
  scenes: [
    {
      name: `${CONNECTIONS} connections, as many as there may be, that say nothing`,
      promise: 'at the limit the oldest idle connection goes, not the newcomer',
      run: (site) => crowd(site, ''),
    },
    {
      name: `${CONNECTIONS} connections that have had an answer and say nothing more`,
      promise: 'at the limit the oldest idle connection goes, not the newcomer',
      run: (site) => crowd(site, 'GET / HTTP/1.1\r\nHost: attacked.test\r\n\r\n'),
    },
    {
      name: 'a head that comes an octet at a time',
      promise: 'is over after client-head-timeout, however often an octet comes',
      fullOnly: true,
      run: (site) => drip(site, 'GET / HTTP/1.1\r\nHost: attacked.test\r\nX: ', 'x'),
    },
    {
      name: 'a body that stops',
      promise: 'is given up after body-idle-timeout, and the Pod let go',
      fullOnly: true,
      run: (site) => stall(site, 'text/plain'),
    },
    {
      name: 'a body that stops and calls itself application/grpc',
      promise: 'has no other limits than the rest, to a Pod that does not speak gRPC',
      fullOnly: true,
      run: (site) => stall(site, 'application/grpc'),
    },
    {
      name: 'more connections than the process has descriptors',
      promise: 'no thread spins while there is none',
      fullOnly: true,
      run: exhaustDescriptors,
    },
  ],
};

async function crowd(site: Site, request: string): Promise<string | null> {
  const clients: RawClient[] = [];
  try {
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = await site.connect();
      clients.push(client);
      if (request === '') continue;
      client.send(request);
      await client.message().catch(() => undefined);
    }
    return await site.suffering();
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}

async function drip(site: Site, first: string, piece: string): Promise<string | null> {
  using client = await site.connect();
  client.send(first);
  const timer = setInterval(() => client.socket.writable && client.send(piece), 100);
  try {
    await inTime(client.ended, 'the connection stayed open');
    return null;
  } finally {
    clearInterval(timer);
  }
}

async function stall(site: Site, type: string): Promise<string | null> {
  using client = await site.connect();
  const path = `/held/${type}`;
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: attacked.test\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
  );
  const atPod = (): Wire | undefined => site.pod.connections.find(({ text }) => text.includes(path));
  await inTime(
    eventually(async () => atPod() !== undefined),
    'the Pod got no request',
  );
  await inTime(client.ended, 'the client was not let go');
  await inTime(Promise.resolve(atPod()?.ended), 'the Pod was not let go');
  return null;
}

const DESCRIPTORS = 200;
const CROWD = 400;
/** Of one processor, while nothing happens. */
const BUSY = 0.5;

async function exhaustDescriptors(site: Site): Promise<string | null> {
  const { pid } = site.daemon;
  const limit = (count: string): void =>
    void execFileSync('prlimit', ['--pid', `${pid}`, `--nofile=${count}`]);
  const [, soft = '1024', hard = '1024'] =
    /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8')) ?? [];
  limit(`${DESCRIPTORS}:${hard}`);
  const clients: Promise<RawClient>[] = [];
  try {
    for (let i = 0; i < CROWD; i++) clients.push(site.connect());
    await Promise.allSettled(clients);
    const from = processorSeconds(pid);
    await pause(2_000);
    const share = (processorSeconds(pid) - from) / 2;
    return share > BUSY ? `${Math.round(share * 100)} % of a processor is used for nothing` : null;
  } finally {
    limit(`${soft}:${hard}`);
    for (const client of clients)
      void client.then(
        (open) => open[Symbol.dispose](),
        () => undefined,
      );
  }
}

function processorSeconds(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const numbers = rest.split(' ');
  // In ticks of a hundredth of a second.
  return (Number(numbers[11]) + Number(numbers[12])) / 100;
}
