import { type Socket, connect } from 'node:net';
import { STATUS_PORT } from '../../support/daemon.ts';
import { rawClient } from '../../support/raw-client.ts';
import type { Scene } from '../scene.ts';
import { type Site, inTime } from '../site.ts';

/** 10254, which every Pod may reach: nothing that is sent there may keep Portico from serving, or from being probed. */
export const statusPort: readonly Scene[] = [
  {
    name: '150 connections that say nothing',
    promise: '/healthz and /readyz answer',
    run: (site) => crowd(site, 150, ''),
  },
  {
    name: '150 connections with half a head',
    promise: '/healthz and /readyz answer',
    run: (site) => crowd(site, 150, 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: '),
  },
  {
    name: '100 connections that ask for /metrics ten times and read nothing',
    promise: '/healthz and /readyz answer, and changes are served',
    fullOnly: true,
    run: (site) => scrapes(site),
  },
  {
    name: '/routes by the name of another host (DNS rebinding)',
    promise: 'what is served is told to the node itself only',
    run: (site) => refusesRoutes(site, 'attacker.example'),
  },
  {
    name: 'methods that would change something',
    promise: 'nothing on this port changes anything',
    run: methods,
  },
];

async function isHealthy(site: Site): Promise<string | null> {
  for (const path of ['/healthz', '/readyz']) {
    const { status } = await inTime(site.daemon.status(path), `${path} gave no answer`);
    if (status !== 200) return `${path} answered ${status}`;
  }
  return null;
}

function openMany(site: Site, count: number, bytes: string): Socket[] {
  return Array.from({ length: count }, () => {
    const socket = connect({ host: site.daemon.address, port: STATUS_PORT });
    socket.on('error', () => undefined);
    if (bytes === '') socket.resume();
    else socket.write(bytes);
    return socket;
  });
}

async function crowd(site: Site, count: number, bytes: string): Promise<string | null> {
  const sockets = openMany(site, count, bytes);
  try {
    await Promise.all(
      sockets.map(
        (socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve)),
      ),
    );
    return await isHealthy(site);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function scrapes(site: Site): Promise<string | null> {
  const sockets = openMany(site, 100, 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10));
  try {
    await site.apply([]);
    return await isHealthy(site);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function refusesRoutes(site: Site, host: string): Promise<string | null> {
  using client = await rawClient(STATUS_PORT, site.daemon.address);
  client.send(`GET /routes HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const { status } = await inTime(client.message(), 'no answer');
  return status >= 400 ? null : `it was answered with ${status}`;
}

async function methods(site: Site): Promise<string | null> {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    using client = await rawClient(STATUS_PORT, site.daemon.address);
    client.send(
      `${method} /routes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
    const { status } = await inTime(client.message(), 'no answer');
    if (status < 400) return `${method} was answered with ${status}`;
  }
  return null;
}
