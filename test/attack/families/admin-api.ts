import { type Socket, connect } from 'node:net';
import { siteObjects } from '../../e2e/site.ts';
import { heldPort, loopbackAddress } from '../../support/loopback.ts';
import { rawClient } from '../../support/raw-client.ts';
import type { Scene } from '../scene.ts';
import { type Site, inTime } from '../site.ts';

/** Those of `--admin-address`. Of 127.0.0.1 a client of another test may have the port. */
export const [ADMIN_HOST, ADMIN_PORT] = [loopbackAddress(), await heldPort()];

/** What everybody on this machine may ask, and a page in a browser on it may try to. */
export const adminApi: readonly Scene[] = [
  {
    name: '100 connections that say nothing',
    promise: 'probes and the API answer',
    run: (site) => crowd(site, 100, ''),
  },
  {
    name: '100 connections with half a head',
    promise: 'probes and the API answer',
    run: (site) => crowd(site, 100, 'GET / HTTP/1.1\r\nHost: localhost\r\nX: '),
  },
  {
    name: '200 connections that ask for 500 routes each and read nothing',
    promise: 'probes and the API answer, and changes are served',
    run: (site) => crowd(site, 200, get('/api/v1/routes?limit=500')),
  },
  {
    name: '200 filters at once, each another one',
    promise: 'probes and the API answer, and changes are served',
    run: async (site) => {
      const filters = Array.from({ length: 200 }, (_, i) => get(`/api/v1/routes?filter=a+b+c+d+e+f+${i}`));
      return crowd(site, 200, ...filters);
    },
  },
  refused('by the name of another host (DNS rebinding)', 'Host: attacker.example'),
  refused('by a page of another origin', 'Host: localhost\r\nOrigin: http://attacker.example'),
  refused('by a page of another port', `Host: localhost:${ADMIN_PORT}\r\nOrigin: http://localhost:3000`),
  refused('through a proxy', 'Host: localhost\r\nX-Forwarded-For: 192.0.2.1'),
  {
    name: 'a Service whose endpoint is the admin API',
    promise: 'no client of the data plane reaches it',
    run: throughDataPlane,
  },
  {
    name: 'methods that would change something',
    promise: 'nothing here changes anything',
    run: async () => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const status = await ask(`${method} /api/v1/routes`, 'Host: localhost\r\nContent-Length: 0');
        if (status < 400) return `${method} was answered with ${status}`;
      }
      return null;
    },
  },
];

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

function refused(how: string, fields: string): Scene {
  return {
    name: `/api/v1/overview ${how}`,
    promise: 'the API is for a person on this machine',
    async run() {
      const status = await ask('GET /api/v1/overview', fields);
      return status >= 400 ? null : `it was answered with ${status}`;
    },
  };
}

async function ask(line: string, fields: string): Promise<number> {
  using client = await rawClient(ADMIN_PORT, ADMIN_HOST);
  client.send(`${line} HTTP/1.1\r\n${fields}\r\nConnection: close\r\n\r\n`);
  const { status } = await inTime(client.message(), 'no answer');
  return status;
}

/** Connections that send one text each, in turn, and read nothing. */
async function crowd(site: Site, count: number, ...texts: readonly string[]): Promise<string | null> {
  const sockets: Socket[] = Array.from({ length: count }, (_, index) => {
    const socket = connect({ host: ADMIN_HOST, port: ADMIN_PORT }).on('error', () => undefined);
    const text = texts[index % texts.length] ?? '';
    if (text !== '') socket.write(text);
    return socket;
  });
  try {
    await Promise.all(
      sockets.map((socket) => new Promise((done) => socket.once('connect', done).once('close', done))),
    );
    for (const path of ['/healthz', '/readyz']) {
      const { status } = await inTime(site.daemon.status(path), `${path} gave no answer`);
      if (status !== 200) return `${path} answered ${status}`;
    }
    const status = await ask('GET /api/v1/overview', 'Host: localhost');
    if (status !== 200) return `the overview answered ${status}`;
    await site.apply([]);
    return null;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

async function throughDataPlane(site: Site): Promise<string | null> {
  const thief = {
    host: 'thief.test',
    name: 'thief',
    namespace: 'attacked',
    endpoints: [`${ADMIN_HOST}:${ADMIN_PORT}`],
  };
  await site.apply(siteObjects(thief));
  const { status } = await site.get('thief.test', '/api/v1/overview');
  return status >= 400 ? null : `it was answered with ${status}`;
}
