import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, createServer, get as httpGet } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DebugRow } from '../../src/admin/api/answers.ts';
import { answerDebug } from '../../src/admin/api/debug-api.ts';
import type { ApiSources } from '../../src/admin/api/api.ts';
import { type AdminServer, createAdminServer } from '../../src/admin/admin-server.ts';
import { AdminClient, type From, parseFrom } from '../../src/cli/admin-client.ts';
import { createAdmin } from '../../src/admin/server.ts';
import { DebugSessions } from '../../src/controller/debug-sessions.ts';
import type { DebugSession } from '../../src/proxy/debug/debug-session.ts';
import type { EngineName } from '../../src/proxy/threads/messages.ts';
import { createFolder } from '../e2e/folder.ts';
import { leaveSocket } from '../support/left-socket.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { type RawClient, rawClient } from '../support/raw-client.ts';
import { happens } from '../support/until.ts';
import type { WireMessage } from '../support/wire.ts';

const SOURCES: ApiSources = {
  version: '1.2.3',
  pod: '',
  startedAt: 0,
  redirect: null,
  health: null,
  compilation: () => null,
  sourceProblems: () => [],
  locate: () => null,
  checks: () => [],
  watches: () => [],
  threads: async () => [],
  endpointHealth: async () => new Map(),
  requests: null,
  traffic: () => null,
};
const PAGE = '<!doctype html><style>b{color:red}</style><script type="module">1+1</script>';

const distributed: (readonly DebugSession[])[] = [];

function debugSessions(engine: EngineName = 'relay'): DebugSessions {
  const distribute = (sessions: readonly DebugSession[]): void => void distributed.push(sessions);
  return new DebugSessions({ logger: pino({ level: 'silent' }), engine, distribute, now: () => 0 });
}

let server: AdminServer | null = null;
const clients: RawClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client[Symbol.dispose]();
  server?.close();
});

function create(sources: Partial<ApiSources> = {}, page: string | null = PAGE): AdminServer {
  server = createAdminServer({
    sources: { ...SOURCES, ...sources },
    debug: debugSessions(),
    page: async () => page,
  });
  return server;
}

interface Started {
  readonly port: number;
  connect(text?: string): Promise<RawClient>;
  /** One request, a line and perhaps fields. */
  ask(request: string): Promise<WireMessage>;
}

async function start(sources: Partial<ApiSources> = {}, page: string | null = PAGE): Promise<Started> {
  const address = loopbackAddress();
  const port = await create(sources, page).listen(address, 0);
  const connect = async (text = ''): Promise<RawClient> => {
    const client = await rawClient(port, address);
    clients.push(client);
    client.send(text);
    return client;
  };
  return {
    port,
    connect,
    async ask(request) {
      const [line = '', ...fields] = request.split('\r\n');
      const host = fields.some((field) => /^host:/i.test(field)) ? [] : [`Host: localhost:${port}`];
      const client = await connect([`${line} HTTP/1.1`, ...host, ...fields, '', ''].join('\r\n'));
      return await client.message({ toHead: line.startsWith('HEAD') });
    },
  };
}

it('answers in JSON that is neither stored, sniffed, framed nor run', async () => {
  const { ask } = await start();
  const answered = await ask('GET /api/v1/overview');
  expect(answered.status).toBe(200);
  expect(JSON.parse(answered.body)).toMatchObject({ apiVersion: 'v1', version: '1.2.3' });
  expect({
    type: answered.field('content-type'),
    cache: answered.field('cache-control'),
    sniff: answered.field('x-content-type-options'),
    frame: answered.field('x-frame-options'),
    policy: answered.field('content-security-policy'),
    resource: answered.field('cross-origin-resource-policy'),
  }).toEqual({
    type: 'application/json',
    cache: 'no-store',
    sniff: 'nosniff',
    frame: 'DENY',
    policy: "default-src 'none'; frame-ancestors 'none'",
    resource: 'same-origin',
  });
});

it('the page runs its own script and style, and nothing else', async () => {
  const { ask } = await start();
  const { status, body, field } = await ask('GET /');
  expect([status, body]).toEqual([200, PAGE]);
  const policy = field('content-security-policy') ?? '';
  expect(policy).toMatch(
    /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; connect-src 'self'/,
  );
  expect(policy).not.toContain('unsafe');
  const without = await start({}, null);
  expect(await without.ask('GET /')).toMatchObject({ status: 404 });
});

it.each([
  ['Host: portico.example', 421],
  ['Host: 10.0.0.7:10255', 421],
  ['Host: 127.0.0.1.nip.io', 421],
  ['Host: localhost\r\nHost: evil.example', 421],
  ['Origin: http://evil.example', 403],
  ['Origin: null', 403],
  ['Host: localhost:1\r\nOrigin: http://localhost:3000', 403],
  ['Sec-Fetch-Site: same-site', 403],
  ['Sec-Fetch-Site: cross-site', 403],
  ['X-Forwarded-For: 10.0.0.7', 403],
  ['X-Forwarded-Host: localhost', 403],
  ['Forwarded: for=10.0.0.7', 403],
  ['Via: 1.1 proxy', 403],
  ['CDN-Loop: portico', 403],
])('%j is refused with %i: a page of another site, or a proxy', async (fields, status) => {
  const { ask } = await start();
  for (const path of ['/', '/api/v1/overview']) {
    expect(await ask(`GET ${path}\r\n${fields}`)).toMatchObject({
      status,
      body: expect.stringMatching(/^the admin API (answers only|does not answer).*\n$/) as string,
    });
  }
});

it('answers to its own origin and to every name of this machine', async () => {
  const { ask, port } = await start();
  for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
    const own = `Host: ${host}\r\nOrigin: http://${host}\r\nSec-Fetch-Site: same-origin`;
    expect(await ask(`GET /api/v1/overview\r\n${own}`)).toMatchObject({ status: 200 });
  }
});

it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])('%s changes nothing', async (method) => {
  const { ask } = await start();
  const answered = await ask(`${method} /api/v1/overview\r\nContent-Length: 0`);
  expect([answered.status, answered.field('allow')]).toEqual([405, 'GET, HEAD']);
});

it.each([
  ['/api/v1/../../etc/passwd', 404],
  ['/api/v1/routes/..%2f..%2fetc%2fpasswd', 503],
  ['/api/v1/%zz', 400],
  ['/api/v1/%00', 404],
  ['/api/v1/constructor', 404],
  ['/api/v1/__proto__', 404],
  ['/api/v1', 404],
  ['/api/v2/overview', 404],
  ['//api/v1/overview', 404],
  ['/index.html', 404],
  ['*', 404],
  ['http://localhost/api/v1/overview', 404],
])('GET %s is answered with %i', async (path, status) => {
  const { ask } = await start();
  expect(await ask(`GET ${path}`)).toMatchObject({ status });
});

it('a query of many kilobytes is refused', async () => {
  const { ask } = await start();
  expect(await ask(`GET /api/v1/routes?filter=${'%61'.repeat(4_000)}`)).toMatchObject({ status: 431 });
  const many = Array.from({ length: 1_500 }, (_, i) => `a${i}`).join('&');
  expect(await ask(`GET /api/v1/overview?${many}`)).toMatchObject({ status: 400 });
});

it('HEAD is GET without the body', async () => {
  const { ask } = await start();
  const { status, body, field } = await ask('HEAD /');
  expect([status, body, field('content-length')]).toEqual([200, '', `${PAGE.length}`]);
});

describe('the Unix socket', () => {
  it('is for the user of the process alone, from the first moment on, and replaces one that was left', async () => {
    await using folder = createFolder();
    const socketPath = join(folder.path, 'admin.sock');
    await leaveSocket(socketPath);
    const listening = create().listenOnSocket(socketPath);
    await listening;
    expect((statSync(socketPath).mode & 0o777).toString(8)).toBe('600');
    // A client there needs no name, and may be what it likes.
    const asked = httpGet({ socketPath, path: '/api/v1/overview', agent: false, headers: { via: '1.1 x' } });
    const [response] = (await happens(asked, 'response')) as [IncomingMessage];
    expect(JSON.parse(await textOf(response))).toMatchObject({ version: '1.2.3' });
  });

  it('takes the place of nothing else, and it is said what to do', async () => {
    await using folder = createFolder();
    const file = join(folder.path, 'manifest.yaml');
    writeFileSync(file, 'kind: Ingress');
    const reasons = [
      [file, 'a file that is not a socket is there; use another path'],
      [folder.path, 'a file that is not a socket is there; use another path'],
      [join(folder.path, 'none', 'a.sock'), `there is no folder ${join(folder.path, 'none')}; create it`],
      [join(folder.path, 'x'.repeat(200)), 'the path is too long for a socket; use one of at most 107 bytes'],
    ] as const;
    const status = createAdmin({ checks: () => [], metrics: async () => Promise.reject(), routes: () => [] });
    for (const [path, reason] of reasons) {
      await expect(create().listenOnSocket(path)).rejects.toThrow(reason);
      await expect(status.listenOnSocket(path)).rejects.toThrow(reason);
    }
    expect(readFileSync(file, 'utf8')).toBe('kind: Ingress');
  });
});

describe('while others do their worst', () => {
  it('answers while hundreds of connections are silent or stuck in a head', async () => {
    const { connect, ask } = await start();
    const starts = ['', 'GET / HT', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: '];
    for (let opened = 0; opened < 300; opened++) await connect(starts[opened % starts.length]);
    expect(await ask('GET /api/v1/overview')).toMatchObject({ status: 200 });
  });

  it('answers while a hundred do not read what they asked for', async () => {
    const { connect, ask } = await start({}, `<script>${'x'.repeat(3_000_000)}</script>`);
    const text = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    for (let opened = 0; opened < 100; opened++) (await connect(text)).socket.pause();
    expect(await ask('GET /api/v1/overview')).toMatchObject({ status: 200 });
  });

  it('does not work for those who have gone', async () => {
    let asked = 0;
    const release = Promise.withResolvers<[]>();
    const threads = (): Promise<[]> => {
      asked++;
      return release.promise;
    };
    const { connect, ask } = await start({ threads });
    const text = 'GET /api/v1/threads HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const crowd = await Promise.all(Array.from({ length: 40 }, () => connect(text)));
    // Sixteen are answered at a time; the others lost their place to younger ones.
    await Promise.all(crowd.slice(0, 24).map(({ ended }) => ended));
    release.resolve([]);
    for (const client of crowd.slice(24)) expect(await client.message()).toMatchObject({ status: 200 });
    expect(asked).toBe(40);
    expect(await ask('GET /api/v1/overview')).toMatchObject({ status: 200 });
  });

  it('a fault is a 500, and the next request is served', async () => {
    const { ask } = await start({ threads: () => Promise.reject(new Error('no threads')) });
    expect(await ask('GET /api/v1/threads')).toMatchObject({ status: 500 });
    expect(await ask('GET /api/v1/overview')).toMatchObject({ status: 200 });
  });
});

describe('debugging', () => {
  const request = (method: string, query = ''): string => `${method} /api/v1/debug${query}`;

  it('can be looked at by an address, and changed only on the socket', async () => {
    const { ask } = await start();
    expect(JSON.parse((await ask(request('GET'))).body)).toMatchObject({ items: [] });
    for (const method of ['POST', 'DELETE', 'PUT']) {
      const { status, body, field } = await ask(request(method));
      expect([status, field('allow')]).toEqual([405, 'GET, HEAD']);
      expect(body).toBe(`${method}: only the socket of --admin-socket takes that\n`);
    }
    await using folder = createFolder();
    const socketPath = join(folder.path, 'admin.sock');
    await create().listenOnSocket(socketPath);
    const from = new AdminClient({ kind: 'socket', path: socketPath });
    const before = distributed.length;
    const on = await from.send<DebugRow>(
      'POST',
      'debug?topics=upstream,head&host=Shop.test&seconds=5&requests=3',
    );
    expect(on).toMatchObject({
      ...{ id: 1, topics: ['head', 'upstream'], host: 'shop.test', requests: 3 },
      until: '1970-01-01T00:00:05.000Z',
    });
    expect(distributed.slice(before)).toEqual([
      [{ id: 1, topics: ['head', 'upstream'], host: 'shop.test', until: 5_000, requests: 3 }],
    ]);
    expect(await from.get('debug')).toMatchObject({ items: [{ id: 1, host: 'shop.test' }] });
    expect(await from.send('DELETE', 'debug?id=2')).toMatchObject({ stopped: 0 });
    expect(await from.send('DELETE', 'debug')).toMatchObject({ stopped: 1 });
    expect(distributed.at(-1)).toEqual([]);
    await expect(from.send('POST', 'overview')).rejects.toThrow('POST: only GET and HEAD');
  });

  it('is one line that says why, where nobody answers as it does', async () => {
    await using folder = createFolder();
    const other = createServer((_, response) => response.end('hi'));
    const otherPath = join(folder.path, 'other.sock');
    other.listen(otherPath);
    const mute = createTcpServer((socket) => void socket.once('data', () => socket.end('SSH-2.0-x\r\n')));
    const mutePath = join(folder.path, 'mute.sock');
    mute.listen(mutePath);
    const reasons = [
      [otherPath, 'it answers 200: "hi"; is that the admin API of Portico?'],
      [mutePath, 'its answer is not HTTP; is'],
      [join(folder.path, 'none.sock'), 'there is no such socket; is Portico running'],
      [join(folder.path, 'x'.repeat(200)), 'the path is too long for a socket; is'],
      [folder.path, 'nobody listens there; is'],
    ] as const;
    for (const [path, reason] of reasons) {
      const client = new AdminClient({ kind: 'socket', path });
      await expect(client.get('overview')).rejects.toThrow(`${path}: ${reason}`);
    }
    const nobody = new AdminClient({ kind: 'address', host: '::1', port: 1 });
    await expect(nobody.get('overview')).rejects.toThrow(/^\[::1\]:1: /);
    other.close();
    mute.close();
  });

  it.each<readonly [string, From | null]>([
    ['127.0.0.1:10253', { kind: 'address', host: '127.0.0.1', port: 10_253 }],
    ['http://[::1]:80/', { kind: 'address', host: '::1', port: 80 }],
    ['./pod/admin.sock', { kind: 'socket', path: './pod/admin.sock' }],
    ['pod/shop/portico-x', { kind: 'pod', namespace: 'shop', name: 'portico-x' }],
    ...['', 'host', '127.0.0.1:0', '127.0.0.1:65536', '::1:80'].map((text) => [text, null] as const),
    ...['http://', 'https://127.0.0.1:1', 'pod/a', 'pod/a/b/c', 'pod/A/b'].map(
      (text) => [text, null] as const,
    ),
  ])('is found by --from %s', (text, place) => {
    expect(parseFrom(text)).toEqual(place);
  });

  it.each([
    ['topics=all', '"all" is not one of head, decide, policy, upstream, response'],
    ['topics=respone', 'did you mean response?'],
    ['host=a%20b', 'host "a b" is not a host name'],
    ['seconds=3601', 'seconds is not a number from 1 to 3600'],
    ['requests=0', 'requests is not a number from 1 to 1000'],
    ['for=5', 'there is no parameter "for"'],
  ])('that is not understood is refused: %s', (query, reason) => {
    const answer = answerDebug(debugSessions(), 'POST', query);
    expect(answer).toMatchObject({ kind: 'refused', status: 400, reason: expect.stringContaining(reason) });
  });

  it('is on four times at most, ends by itself, and needs the engine that tells', () => {
    vi.useFakeTimers();
    const sessions = debugSessions();
    const start = { topics: '', seconds: 1, host: '', requests: 1 };
    const results = Array.from({ length: 5 }, () => sessions.start(start));
    expect(results.map((each) => 'error' in each)).toEqual([false, false, false, false, true]);
    vi.advanceTimersByTime(1_000);
    vi.useRealTimers();
    expect([sessions.list(), distributed.at(-1)]).toEqual([[], []]);
    expect(debugSessions('http-proxy').start(start)).toEqual({ error: 'that needs --engine relay' });
  });
});
