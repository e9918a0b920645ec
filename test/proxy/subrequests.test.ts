import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  Cancellation,
  type Subrequest,
  type SubrequestBackend,
  type SubrequestOutcome,
  type SubrequestTarget,
} from '../../src/http/subrequest.ts';
import { OwnContent } from '../../src/http/request-content.ts';
import { createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { STRICT } from '../../src/proxy/http1/leniency.ts';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { type SubrequestLimits, Subrequests } from '../../src/proxy/subrequests/subrequests.ts';
import type { Hop } from '../../src/proxy/subrequests/subrequest-exchange.ts';
import { endpointState } from '../../src/proxy/balance/endpoint-state.ts';
import type { Backend } from '../../src/routing/table.ts';
import type { AskedTransport } from '../../src/policies/asked-backend.ts';
import { askedTransport } from '../../src/proxy/subrequests/asked-transport.ts';
import { createAuthority } from '../support/certificates.ts';
import { forEachRequest, framePod, responseHead } from '../support/http2-frame-pod.ts';
import { FRAME, data, ping, settings } from '../support/http2-frames.ts';
import { until } from '../support/until.ts';
import { happens } from '../support/until.ts';

const closing: (() => void)[] = [];
const faults: unknown[] = [];
afterEach(() => {
  expect(faults.splice(0)).toEqual([]);
  for (const close of closing.splice(0)) close();
});

async function server(answer: RequestListener, tls?: https.ServerOptions) {
  const listening = tls ? https.createServer(tls, answer) : http.createServer(answer);
  const sockets = new Set<Socket>();
  let connections = 0;
  listening.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
  });
  listening.listen(0, '127.0.0.1');
  await happens(listening, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  const { port } = listening.address() as AddressInfo;
  return { port, sockets, connections: () => connections, scheme: tls ? 'https' : 'http' } as const;
}

/** A sender for which every name leads to the loopback. */
function sender(
  limits: Partial<SubrequestLimits> = {},
  allowLoopback = true,
  now = Date.now,
  chooseEndpoint: (to: SubrequestBackend) => Hop | null = () => null,
) {
  const names = createExternalNames({
    ask: ({ host, namespace }) =>
      process.nextTick(() =>
        names.answered({
          ...{ host, namespace, freshForMs: 60_000 },
          addresses: host.startsWith('gone') ? [] : ['127.0.0.1'],
        }),
      ),
    now: Date.now,
  });
  const made = new Subrequests({
    ...{ names, rules: { allowLoopback }, now, limits, chooseEndpoint },
    ...{ upstreams: DEFAULT_LIMITS, leniency: STRICT, onFault: (fault) => void faults.push(fault) },
  });
  closing.push(() => made.close());
  return made;
}

function request(
  port: number,
  more: Partial<Subrequest> = {},
  to: Partial<SubrequestTarget> = {},
): Subrequest {
  return {
    namespace: 'shop',
    to: { scheme: 'http', host: '127.0.0.1', port, verify: false, ...to },
    method: 'GET',
    target: '/check?a=b',
    fields: [
      ['Host', 'auth.test'],
      ['X-One', '1'],
    ],
    timeoutMs: 5_000,
    ...more,
  };
}

const failure = (outcome: SubrequestOutcome): string =>
  outcome.kind === 'failed' ? outcome.reason : `status ${outcome.status}`;

test('sends what it is given and no more, and gives the fields of the response one by one', async () => {
  const seen: IncomingMessage[] = [];
  const { port, connections } = await server((message, response) => {
    seen.push(message);
    response.writeHead(202, [
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['X-User', 'ada'],
    ]);
    response.end('body');
  });
  const requests = sender();
  const outcome = await requests.send(request(port));
  expect(outcome).toMatchObject({ kind: 'response', status: 202 });
  expect(outcome.kind === 'response' && outcome.fields.slice(0, 3)).toEqual([
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
    ['x-user', 'ada'],
  ]);
  expect(seen[0]?.rawHeaders).toEqual(['Host', 'auth.test', 'X-One', '1']);
  expect(`${seen[0]?.method} ${seen[0]?.url}`).toBe('GET /check?a=b');
  await until(async () => failure(await requests.send(request(port, { method: 'POST' }))) === 'status 202');
  expect(seen.at(-1)?.headers['content-length']).toBe('0');
  expect(connections()).toBe(1);
});

test('a name leads where the control thread says, and TLS names it', async () => {
  const authority = await createAuthority();
  const { certificate: cert, key } = await authority.issue(['auth.test']);
  const servername = Promise.withResolvers<unknown>();
  const { port } = await server(
    (message, response) => {
      servername.resolve((message.socket as { servername?: unknown }).servername);
      response.end();
    },
    { cert, key },
  );
  const requests = sender();
  const to = { scheme: 'https', host: 'auth.test' } as const;
  expect(failure(await requests.send(request(port, {}, to)))).toBe('status 200');
  expect(await servername.promise).toBe('auth.test');
  expect(failure(await requests.send(request(port, {}, { ...to, verify: true })))).toBe('unreachable');
});

describe('what goes wrong is said, and nothing is thrown:', () => {
  test('hosts that no request is sent to', async () => {
    const requests = sender({}, false);
    for (const host of [
      '169.254.169.254',
      '127.0.0.1',
      '::1',
      'metadata',
      'web.other.svc',
      '127.1',
      'localhost',
    ])
      expect(failure(await requests.send(request(80, {}, { host })))).toBe('host-refused');
  });

  test('names without an address', async () => {
    expect(failure(await sender().send(request(80, {}, { host: 'gone.test' })))).toBe('host-unresolved');
  });

  test('a server that is not there', async () => {
    const { port, sockets } = await server((_, response) => response.end());
    closing.splice(0).forEach((close) => close());
    expect(sockets.size).toBe(0);
    expect(failure(await sender().send(request(port)))).toBe('unreachable');
  });

  test('a server that says nothing', async () => {
    const { port } = await server(() => {});
    expect(failure(await sender().send(request(port, { timeoutMs: 50 })))).toBe('timed-out');
  });

  test('a server that speaks something else, or switches protocols', async () => {
    const { port } = await server((message) => message.socket.end('220 smtp\r\n'));
    expect(failure(await sender().send(request(port)))).toBe('protocol-error');
    const other = await server((message) =>
      message.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    );
    expect(failure(await sender().send(request(other.port)))).toBe('protocol-error');
  });

  test('a field or a target that would be something else on the wire', async () => {
    const requests = sender();
    expect(failure(await requests.send(request(80, { fields: [['X', 'a\r\nY: b']] })))).toBe(
      'protocol-error',
    );
    expect(failure(await requests.send(request(80, { target: '/ HTTP/1.1\r\nX: y' })))).toBe(
      'protocol-error',
    );
  });

  test('a head that is too long; one of 32 KiB passes', async () => {
    const answer = (bytes: number) => (_: IncomingMessage, response: ServerResponse) =>
      void response.writeHead(200, { 'x-long': 'x'.repeat(bytes) }).end();
    const [fits, exceeds] = [await server(answer(32_000)), await server(answer(80_000))];
    expect(failure(await sender().send(request(fits.port)))).toBe('status 200');
    expect(failure(await sender().send(request(exceeds.port)))).toBe('protocol-error');
  });
});

test('a connection that the server closed while it was idle costs nothing', async () => {
  const { port, sockets, connections } = await server((_, response) => response.end());
  const requests = sender();
  for (let n = 1; n <= 5; n++) {
    expect(failure(await requests.send(request(port)))).toBe('status 200');
    for (const socket of sockets) socket.resetAndDestroy();
  }
  expect(connections()).toBeGreaterThan(1);
});

test('a body without end costs its connection, and no more', async () => {
  const { port, sockets } = await server((_, response) => {
    const pump = (): void => {
      while (response.write('x'.repeat(16_384)));
      response.once('drain', pump);
    };
    pump();
  });
  expect(failure(await sender().send(request(port)))).toBe('status 200');
  await until(() => [...sockets].every(({ destroyed }) => destroyed));
  expect(sockets.size).toBe(1);
});

test('a body that is asked for comes whole, with what follows it, or not at all', async () => {
  const { port } = await server(({ url }, response) => {
    response.writeHead(200, { Trailer: 'X-Sum' });
    response.write('be', () => (url === '/cut' ? response.destroy() : null));
    if (url === '/slow' || url === '/cut') return;
    response.addTrailers({ 'X-Sum': '1' });
    response.end('gun');
  });
  const requests = sender();
  const ask = (target: string, more: Partial<Subrequest> = {}) =>
    requests.send(request(port, { target, maxContentBytes: 5, ...more }));
  const bytes = Buffer.from('begun');
  expect(await ask('/')).toMatchObject({ status: 200, content: { bytes, trailers: [['x-sum', '1']] } });
  expect(failure(await ask('/', { maxContentBytes: 4 }))).toBe('protocol-error');
  expect(failure(await ask('/cut'))).toBe('protocol-error');
  expect(failure(await ask('/slow', { timeoutMs: 50 }))).toBe('timed-out');
  expect(failure(await ask('/', { body: new OwnContent(Buffer.from('said')) }))).toBe('status 200');
});

test('a namespace whose server takes nothing of what it is sent leaves room for others', async () => {
  await using greedy = await framePod(() => undefined, settings(0));
  await using fair = await framePod((end) =>
    // A read that ends within the response.
    forEachRequest(end, ({ stream }) => end.send(responseHead(stream), ping(), data(stream, 'ok', true))),
  );
  const requests = sender({ heldBytes: 64 * 1024 }, true, Date.now, ({ backend }) => ({
    state: endpointState({ address: '127.0.0.1', port: backend === 'greedy' ? greedy.port : fair.port }),
    transport: { http2: true, grpc: true, tls: null },
  }));
  const ask = (backend: string, bytes: number): Promise<string> => {
    const more = { namespace: backend, method: 'POST', body: new OwnContent(Buffer.alloc(bytes)) };
    return requests.send({ ...request(0, more), to: { backend }, maxContentBytes: 5 }).then(failure);
  };
  const outcomes: string[] = [];
  for (let i = 0; i < 8; i++) void ask('greedy', 16 * 1024).then((outcome) => outcomes.push(outcome));
  await until(() =>
    greedy.connections.some(({ frames }) => frames.some(({ type }) => type === FRAME.headers)),
  );
  expect(await ask('fair', 5)).toBe('status 200');
  // Twice: as it is sent, and as it waits for the server.
  expect(outcomes).toEqual(Array(6).fill('too-many'));
});

test('the time runs also where a server takes no more of a body that is there', async () => {
  const { port } = await server((message) => void message.pause());
  const pieces = [Buffer.alloc(12_000_000), Buffer.alloc(12_000_000)];
  const body = {
    ...{ length: 24_000_000, uncountedBytes: 0, isWhole: true, read() {}, rewind: () => false, drop() {} },
    ...{ next: () => pieces.shift() ?? null },
    get waiting() {
      return pieces.reduce((sum, { length }) => sum + length, 0);
    },
  };
  const silent = sender().send(request(port, { method: 'POST', body, timeoutMs: 100 }));
  expect(failure(await silent)).toBe('timed-out');
});

test('namespaces whose servers are silent leave room for others, however many they are', async () => {
  const { port } = await server(({ url }, response) => void (url === '/' && response.end()));
  const requests = sender({ perNamespace: 4, total: 8 });
  const silent = { target: '/silent', timeoutMs: 200 };
  const outcomes = ['a', 'b', 'c', 'd'].flatMap((namespace) =>
    [1, 2, 3, 4].map(() => requests.send(request(port, { namespace, ...silent }))),
  );
  expect(failure(await requests.send(request(port, { target: '/' })))).toBe('status 200');
  const failures = (await Promise.all(outcomes)).map(failure);
  expect(failures.filter((reason) => reason === 'timed-out')).toHaveLength(7);
});

test('one that is taken back gives up its connection, and none that has its answer', async () => {
  const { port, sockets, connections } = await server(
    ({ url }, response) => void (url === '/answered' && response.end()),
  );
  const requests = sender();
  const cancellation = new Cancellation();
  expect(failure(await requests.send(request(port, { target: '/answered', cancellation })))).toBe(
    'status 200',
  );
  cancellation.cancel();
  const pending = requests.send(request(port, { target: '/silent', cancellation }));
  await until(() => [...sockets].some(({ bytesRead }) => bytesRead > 100));
  expect(connections()).toBe(1);
  cancellation.cancel();
  expect(failure(await pending)).toBe('cancelled');
  await until(() => [...sockets].every(({ destroyed }) => destroyed));
});

test('a backend of the table is asked at one of its endpoints', async () => {
  const { port } = await server((_, response) => void response.end());
  const state = endpointState({ address: '127.0.0.1', port });
  const transport = { http2: false, grpc: false, tls: null };
  const requests = sender({}, true, Date.now, (to) =>
    to.backend === 'shop/auth:80' ? { state, transport } : null,
  );
  expect(failure(await requests.send({ ...request(port), to: { backend: 'shop/auth:80' } }))).toBe(
    'status 200',
  );
  expect(state.inFlight).toBe(0);
  expect(failure(await requests.send({ ...request(port), to: { backend: 'shop/gone:80' } }))).toBe(
    'no-endpoint',
  );
});

test('idle connections are bounded in sum', async () => {
  const { port, connections, sockets } = await server((_, response) => void response.end());
  const requests = sender({ idleConnections: { perServer: 8, total: 2 } });
  for (const namespace of ['a', 'b', 'c']) await requests.send(request(port, { namespace }));
  await until(() => [...sockets].filter(({ destroyed }) => !destroyed).length <= 2);
  expect(connections()).toBe(3);
});

test('names that nobody asks for any more make room for others', async () => {
  const { port } = await server((_, response) => void response.end());
  let now = 0;
  const requests = sender({ names: 2, giveWayMs: 1_000 }, true, () => now);
  const ask = async (host: string) => failure(await requests.send(request(port, {}, { host })));
  expect([await ask('one.test'), await ask('two.test')]).toEqual(['status 200', 'status 200']);
  now = 600;
  expect([await ask('three.test'), await ask('one.test')]).toEqual(['too-many', 'status 200']);
  now = 1_200;
  expect([await ask('three.test'), await ask('two.test')]).toEqual(['status 200', 'too-many']);
  expect(await ask('one.test')).toBe('status 200');
});

test('a namespace has its share of what is under way, and its own connections', async () => {
  const waiting: ServerResponse[] = [];
  const { port, connections } = await server((_, response) => void waiting.push(response));
  const requests = sender({ perNamespace: 2, total: 3 });
  const first = [requests.send(request(port)), requests.send(request(port))];
  expect(failure(await requests.send(request(port)))).toBe('too-many');
  const other = requests.send(request(port, { namespace: 'blog' }));
  expect(failure(await requests.send(request(port, { namespace: 'blog' })))).toBe('too-many');
  await until(() => waiting.length === 3);
  for (const response of waiting.splice(0)) response.end();
  expect((await Promise.all([...first, other])).map(failure)).toEqual([
    'status 200',
    'status 200',
    'status 200',
  ]);
  expect(connections()).toBe(3);
});

test('a backend is spoken to as the policy says that asks it, on connections of the same kind each time', () => {
  const backend: Backend = {
    ...{ key: 'shop/auth:80', protocol: 'http', endpoints: [], externalName: null, unavailable: null },
  };
  expect(askedTransport({ backend: backend.key }, backend).tls).toBeNull();
  const transport: AskedTransport = {
    'backend-transport': { protocol: 'https', serverName: null, caCertificates: null },
    'upstream-tls': {
      ...{
        clientSecret: null,
        caCertificates: createAuthority().certificate,
        name: 'auth.test',
        sendsName: true,
      },
      ...{ depth: 1, ciphers: null, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' },
    },
  };
  const { tls } = askedTransport({ backend: backend.key, transport }, backend);
  expect(tls?.options).toMatchObject({ rejectUnauthorized: true, servername: 'auth.test' });
  expect(askedTransport({ backend: backend.key, transport }, backend).tls).toBe(tls);
});
