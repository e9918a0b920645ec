import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { type ApiConnection, connectApi } from '../../src/kubernetes/api-connection.ts';
import { credentialsOf } from '../../src/kubernetes/credentials.ts';
import { startApiServer } from '../support/api-server.ts';
import { until } from '../support/until.ts';
import { connect, ingress, watchOverSockets } from './cluster-fixture.ts';
import { FakeClock } from './fake-clock.ts';
import { happens } from '../support/until.ts';

const never = new AbortController().signal;

async function version(connection: ApiConnection): Promise<string> {
  const response = await connection.request({ path: '/version', signal: never });
  return `${response.status} ${await text(response.body)}`;
}

test('over HTTP/2 everything shares one connection, however much starts at once', async () => {
  await using cluster = await watchOverSockets('h2', { streamingList: false });
  await cluster.source.synced;
  await cluster.api.until(() => cluster.api.watches() === 5);
  expect(new Set(cluster.api.requests.map(({ httpVersion }) => httpVersion))).toEqual(new Set(['2.0']));
  expect(new Set(cluster.api.requests.map(({ connection }) => connection)).size).toBe(1);
  expect(cluster.api.connections()).toBe(1);
});

test.each(['http', 'https'] as const)('over %s connections are kept alive', async (protocol) => {
  const api = await startApiServer({ protocol });
  const connection = await connect(api, new FakeClock());
  try {
    for (let i = 0; i < 3; i++) expect(await version(connection)).toContain('200');
    expect(new Set(api.requests.map(({ connection }) => connection)).size).toBe(1);
    expect(api.requests[0]?.httpVersion).toBe('1.1');
  } finally {
    connection.close();
    await api.close();
  }
});

test('a body is sent with its type, over HTTP/1.1 and HTTP/2', async () => {
  for (const protocol of ['http', 'h2'] as const) {
    const api = await startApiServer({ protocol, objects: [ingress('shop/web')] });
    const connection = await connect(api, new FakeClock());
    try {
      const response = await connection.request({
        method: 'PATCH',
        path: '/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web/status',
        contentType: 'application/merge-patch+json',
        body: JSON.stringify({ status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } } }),
        signal: never,
      });
      expect(response.status).toBe(200);
      expect(JSON.parse(await text(response.body))).toMatchObject({
        metadata: { name: 'web', resourceVersion: '402', generation: 1 },
        status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } },
      });
      expect(api.requests[0]?.headers['content-type']).toBe('application/merge-patch+json');
    } finally {
      connection.close();
      await api.close();
    }
  }
});

test('a connection that is half open is found by PING and replaced', async () => {
  const api = await startApiServer({ protocol: 'h2' });
  // A wire that can be cut without either end noticing.
  const wires: { frozen: boolean; sockets: Socket[] }[] = [];
  const relay = net.createServer((near) => {
    const far = net.connect(api.port, '127.0.0.1');
    const wire = { frozen: false, sockets: [near, far] };
    wires.push(wire);
    near.on('data', (chunk) => wire.frozen || far.write(chunk)).on('error', () => {});
    far.on('data', (chunk) => wire.frozen || near.write(chunk)).on('error', () => {});
  });
  relay.listen(0, '127.0.0.1');
  await happens(relay, 'listening');
  const clock = new FakeClock();
  const { port } = relay.address() as AddressInfo;
  const connection = await connect(api, clock, api.kubeconfig().replace(`${api.port}`, `${port}`));
  try {
    expect(await version(connection)).toContain('200');
    const response = await connection.request({ path: '/api/v1/services?watch=true', signal: never });
    const ended = text(response.body).then(
      () => 'ended',
      (error: Error) => error.message,
    );
    // An answered PING keeps the session: the next one is planned.
    clock.advance(30_000);
    await until(() => clock.pending().includes(30_000));
    expect(await version(connection)).toContain('200');
    expect(wires).toHaveLength(1);

    wires[0]!.frozen = true;
    clock.advance(30_000);
    expect(clock.pending()).toEqual([15_000]);
    clock.advance(15_000);
    expect(await ended).toMatch(/PING/);
    expect(await version(connection)).toContain('200');
    expect(wires).toHaveLength(2);
  } finally {
    connection.close();
    relay.close();
    for (const socket of wires.flatMap(({ sockets }) => sockets)) socket.destroy();
    await api.close();
  }
});

test('an untrusted certificate is refused', async () => {
  const api = await startApiServer({ protocol: 'h2' });
  const connection = connectApi(
    {
      server: new URL(api.url),
      origin: 'a test',
      namespace: undefined,
      tls: async () => ({}),
      credentials: credentialsOf(undefined),
      proxyUrl: undefined,
    },
    new FakeClock(),
  );
  try {
    await expect(version(connection)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  } finally {
    connection.close();
    await api.close();
  }
});

test('a server that accepts and never greets is given up', async () => {
  const sockets: Socket[] = [];
  const silent = net.createServer((socket) => sockets.push(socket));
  silent.listen(0, '127.0.0.1');
  await happens(silent, 'listening');
  const clock = new FakeClock();
  const connection = connectApi(
    {
      server: new URL(`https://127.0.0.1:${(silent.address() as AddressInfo).port}`),
      origin: 'a test',
      namespace: undefined,
      tls: async () => ({}),
      credentials: credentialsOf(undefined),
      proxyUrl: undefined,
    },
    clock,
  );
  const answer = version(connection);
  answer.catch(() => {});
  await until(() => clock.pending().includes(10_000));
  clock.advance(10_000);
  await expect(answer).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  connection.close();
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test('an aborted request ends at once and leaves the connection to the others', async () => {
  const api = await startApiServer({ protocol: 'h2' });
  const connection = await connect(api, new FakeClock());
  try {
    await version(connection);
    api.fail({ resource: 'services' }, { kind: 'hang' });
    const abort = new AbortController();
    const hanging = connection.request({ path: '/api/v1/services', signal: abort.signal });
    await api.until(() => api.requests.length === 2);
    abort.abort(new Error('enough'));
    await expect(hanging).rejects.toThrow();
    expect(await version(connection)).toContain('200');
    expect(api.connections()).toBe(1);
  } finally {
    connection.close();
    await api.close();
  }
});

test('the proxy-url of a kubeconfig is gone through', async () => {
  const api = await startApiServer({ protocol: 'h2' });
  const asked: string[] = [];
  const sockets: Socket[] = [];
  const proxy = http.createServer();
  proxy.on('connect', (request, near: Socket) => {
    asked.push(`${request.url}`);
    const far = net.connect(api.port, '127.0.0.1', () => near.write('HTTP/1.1 200 OK\r\n\r\n'));
    sockets.push(near, far);
    near.on('error', () => {}).pipe(far);
    far.on('error', () => {}).pipe(near);
  });
  proxy.listen(0, '127.0.0.1');
  await happens(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  const kubeconfig = api.kubeconfig().replace('server:', `proxy-url: 'http://127.0.0.1:${port}', server:`);
  const connection = await connect(api, new FakeClock(), kubeconfig);
  try {
    expect(await version(connection)).toContain('200');
    expect(asked).toEqual([`127.0.0.1:${api.port}`]);
  } finally {
    connection.close();
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await api.close();
  }
});
