import { type IncomingMessage, get as httpGet } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ReadinessCheck } from '../../src/admin/server.ts';
import { isLoopback } from '../../src/admin/local-only.ts';
import type { Scrape } from '../../src/admin/scrapes.ts';
import { type Admin, createAdmin } from '../../src/admin/server.ts';
import { createFolder } from '../e2e/folder.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { leaveSocket } from '../support/left-socket.ts';
import { type RawClient, rawClient } from '../support/raw-client.ts';
import type { WireMessage } from '../support/wire.ts';
import { happens } from '../support/until.ts';

const PORT = await heldPort();
let admin: Admin | null = null;
afterEach(() => admin?.close());

const OK: ReadinessCheck = { name: 'data-plane', ok: true, detail: 'every thread serves a table' };
const BAD: ReadinessCheck = { name: 'watch-Ingress', ok: false, detail: 'not listed yet' };

interface Options {
  readonly checks?: readonly ReadinessCheck[];
  readonly metrics?: () => Promise<Scrape>;
  readonly routes?: () => Iterable<string>;
}

function scrapeOf(text: string): Scrape {
  const chunk = Buffer.from(text);
  return { contentType: 'text/plain; version=0.0.4', chunks: [chunk], bytes: chunk.length };
}

function create(options: Options): Admin {
  admin?.close();
  admin = createAdmin({
    checks: () => options.checks ?? [OK],
    metrics: options.metrics ?? (async () => scrapeOf('up 1\n')),
    routes: options.routes ?? (() => ['{"hosts":', '[]}']),
  });
  return admin;
}

/** Answers one request, a line and perhaps fields, to `address` and from there. */
async function ask(
  request: string,
  options: Options = {},
  address = loopbackAddress(),
): Promise<WireMessage> {
  await create(options).listen(PORT, address);
  using client = await rawClient(PORT, address);
  const [line, ...fields] = request.split('\r\n');
  const host = fields.some((field) => /^host:/i.test(field)) ? [] : ['Host: localhost'];
  client.send([`${line} HTTP/1.1`, ...host, ...fields, 'Connection: close', '', ''].join('\r\n'));
  return await client.message({ toHead: request.startsWith('HEAD') });
}

it('/healthz is 200 as long as the process answers', async () => {
  const { status, body } = await ask('GET /healthz', { checks: [BAD] });
  expect([status, body]).toEqual([200, 'ok\n']);
});

it('/readyz is 200 when every check holds, and otherwise 503 with the one that does not', async () => {
  expect(await ask('GET /readyz')).toMatchObject({ status: 200, body: 'ok\n' });
  const expected =
    '[+]data-plane every thread serves a table\n[-]watch-Ingress not listed yet\nreadyz check failed\n';
  expect(await ask('GET /readyz', { checks: [OK, BAD] })).toMatchObject({ status: 503, body: expected });
});

it.each(['?verbose', '?verbose=1', '?a=b&verbose', '?verbose&a=b'])(
  '/readyz%s tells every check',
  async (query) => {
    const { status, body } = await ask(`GET /readyz${query}`);
    expect([status, body]).toEqual([200, '[+]data-plane every thread serves a table\nreadyz check passed\n']);
  },
);

it('/readyz?verbosely is not verbose', async () => {
  expect(await ask('GET /readyz?verbosely')).toMatchObject({ body: 'ok\n' });
});

it('/metrics has the content type it is given, and is never stored or sniffed', async () => {
  const answered = await ask('GET /metrics');
  expect(answered).toMatchObject({ status: 200, body: 'up 1\n' });
  expect(answered.field('content-type')).toBe('text/plain; version=0.0.4');
  expect(answered.field('cache-control')).toBe('no-store');
  expect(answered.field('x-content-type-options')).toBe('nosniff');
});

it('a failure to gather metrics is a 500 that says so, and the next request is served', async () => {
  const failing = async (): Promise<never> => {
    throw new Error('no figures');
  };
  expect(await ask('GET /metrics', { metrics: failing })).toMatchObject({
    status: 500,
    body: 'Error: no figures\n',
  });
  expect(await ask('GET /healthz')).toMatchObject({ status: 200 });
});

it('/routes is JSON for clients on this machine', async () => {
  const { status, body, field } = await ask('GET /routes', {
    routes: () => ['{"hosts":[', '{"host":"a.test"}', ']}'],
  });
  expect([status, field('content-type')]).toEqual([200, 'application/json']);
  expect(JSON.parse(body)).toEqual({ hosts: [{ host: 'a.test' }] });
});

it('/routes is for IPv4 peers of this machine too when it listens on IPv6 and IPv4', async () => {
  expect(await ask('GET /routes', {}, `::ffff:${loopbackAddress()}`)).toMatchObject({ status: 200 });
});

it('a Unix socket answers as the port does, in place of the one that another process left', async () => {
  await using folder = createFolder();
  const socketPath = join(folder.path, 'status.sock');
  await leaveSocket(socketPath);
  await create({ checks: [BAD] }).listenOnSocket(socketPath);
  const get = async (path: string): Promise<number | undefined> => {
    const [response] = (await happens(httpGet({ socketPath, path, agent: false }), 'response')) as [
      IncomingMessage,
    ];
    response.resume();
    return response.statusCode;
  };
  expect(await Promise.all(['/healthz', '/readyz', '/routes'].map(get))).toEqual([200, 503, 200]);
});

it('/routes is for peers on this machine only', () => {
  const peers = [
    '127.0.0.1',
    '127.9.8.7',
    '::1',
    '::ffff:127.0.0.1',
    '10.0.0.7',
    '::ffff:10.0.0.7',
    'fd00::1',
    '',
  ];
  expect(peers.filter(isLoopback)).toEqual(['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1']);
});

it.each([
  ['Host: portico.example', 421],
  ['Host: 10.0.0.7:10254', 421],
  ['Host: localhost.evil.example', 421],
  ['Host: 127.0.0.1.nip.io', 421],
  ['Host: localhost\r\nHost: evil.example', 421],
  ['Host: localhost\r\nOrigin: http://evil.example', 403],
  ['Host: localhost\r\nOrigin: null', 403],
  ['Host: localhost\r\nSec-Fetch-Site: cross-site', 403],
])('/routes refuses what a page of another site could send: %s', async (fields, status) => {
  const answered = await ask(`GET /routes\r\n${fields}`);
  expect(answered.status).toBe(status);
  expect(answered.body).toMatch(/^\/routes .*\n$/);
});

it.each(['localhost:10254', 'LOCALHOST', '127.0.0.1', '127.8.9.1:1', '[::1]:10254'])(
  '/routes answers to %s',
  async (host) => {
    const fields = `Host: ${host}\r\nOrigin: http://${host}\r\nSec-Fetch-Site: same-origin`;
    expect(await ask(`GET /routes\r\n${fields}`)).toMatchObject({ status: 200 });
  },
);

it('HEAD is GET without the body; other methods and paths are told what there is', async () => {
  const head = await ask('HEAD /metrics');
  expect([head.status, head.field('content-length'), head.body]).toEqual([200, '5', '']);
  const post = await ask('POST /healthz');
  expect([post.status, post.field('allow')]).toEqual([405, 'GET, HEAD']);
  const lost = await ask('GET /');
  expect([lost.status, lost.body]).toEqual([404, 'try /healthz, /readyz?verbose, /metrics or /routes\n']);
});

describe('while others do their worst', () => {
  const address = loopbackAddress();
  const clients: RawClient[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client[Symbol.dispose]();
  });
  const connect = async (text = ''): Promise<RawClient> => {
    const client = await rawClient(PORT, address);
    clients.push(client);
    if (text !== '') client.send(text);
    return client;
  };
  const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const expectHealthOnSocket = async (socketPath: string): Promise<void> => {
    const asked = httpGet({ socketPath, path: '/healthz', agent: false });
    const [response] = (await happens(asked, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
  };
  const expectHealth = async (): Promise<void> => {
    for (const health of ['/healthz', '/readyz']) {
      expect(await (await connect(GET(health))).message()).toMatchObject({ status: 200, body: 'ok\n' });
    }
  };

  it('health is answered while hundreds of connections are silent, slow or stuck in a head', async () => {
    await create({}).listen(PORT, address);
    const starts = ['', 'GET /healthz HT', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: '];
    for (let opened = 0; opened < 400; opened++) await connect(starts[opened % starts.length]);
    await expectHealth();
    await using folder = createFolder();
    const socketPath = join(folder.path, 'status.sock');
    await admin?.listenOnSocket(socketPath);
    await expectHealthOnSocket(socketPath);
  });

  it('health is answered while a scrape is built, and all who ask meanwhile share it', async () => {
    const built = Promise.withResolvers<Scrape>();
    let builds = 0;
    const metrics = (): Promise<Scrape> => {
      builds++;
      return built.promise;
    };
    await create({ metrics }).listen(PORT, address);
    const asking = await Promise.all(Array.from({ length: 8 }, () => connect(GET('/metrics'))));
    await expectHealth();
    built.resolve(scrapeOf('up 1\n'));
    for (const client of asking) expect(await client.message()).toMatchObject({ body: 'up 1\n' });
    expect(builds).toBe(1);
  });

  it('one scrape is built at a time, in whatever formats they are asked for', async () => {
    const released = Promise.withResolvers<void>();
    let building = 0;
    let most = 0;
    const metrics = async (): Promise<Scrape> => {
      most = Math.max(most, ++building);
      await released.promise;
      building--;
      return scrapeOf('up 1\n');
    };
    await create({ metrics }).listen(PORT, address);
    const protobuf =
      'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited';
    const asking = await Promise.all(
      ['text/plain', 'application/openmetrics-text', protobuf].map((accept) =>
        connect(`GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\n\r\n`),
      ),
    );
    await expectHealth();
    released.resolve();
    for (const client of asking) expect(await client.message()).toMatchObject({ status: 200 });
    expect(most).toBe(1);
  });

  it('health and another scrape are answered while a hundred do not read theirs', async () => {
    const large = Buffer.alloc(4 * 1024 * 1024, '#');
    const scrape = { contentType: 'text/plain', chunks: [large], bytes: large.length };
    await create({ metrics: async () => scrape }).listen(PORT, address);
    for (let opened = 0; opened < 100; opened++) (await connect(GET('/metrics'))).socket.pause();
    await expectHealth();
    await (await connect(GET('/metrics'))).until((text) => text.length > large.length);
  });

  it('a connection carries one request: what is sent behind it costs nothing', async () => {
    let builds = 0;
    const metrics = async (): Promise<Scrape> => scrapeOf(`builds ${++builds}\n`);
    await create({ metrics }).listen(PORT, address);
    const client = await connect(GET('/metrics').repeat(50));
    const answered = await client.message();
    expect([answered.body, answered.field('connection')]).toEqual(['builds 1\n', 'close']);
    await client.ended;
  });
});
