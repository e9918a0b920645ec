import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClientAuth } from '../../src/policies/client-certificate.ts';
import { type Pod, startPod } from '../e2e/pod.ts';
import { type GatewayPlane, askOn, startGatewayPlane } from '../support/gateway-plane.ts';
import { createAuthority } from '../support/certificates.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { get, rawClient } from '../support/raw-client.ts';
import { authority, secureClient } from '../support/tls-proxy.ts';
import { happens, until } from '../support/until.ts';

const PORT = await heldPort();
const NAMES = ['any.test', 'second.test', '*.wildcard.test', 'fourth.wildcard.test', 'ingress.test'];
const keys = Object.fromEntries(NAMES.map((name) => [`default/${name}`, authority().issue([name])]));
const selfSigned = authority().issue(['self-signed.test']);

let pod: Pod;
let podPort: number;
// Each test has addresses of its own, and the table that it serves replaces the one before.
let plane: GatewayPlane;

beforeAll(async () => {
  pod = await startPod('pod');
  plane = await startGatewayPlane({ keys, selfSigned });
  podPort = Number(pod.endpoint.split(':')[1]);
});
afterAll(async () => {
  await plane[Symbol.asyncDispose]();
  await pod.stop();
});

/** The status of a request over HTTP/2, on a connection for a name. */
async function askHttp2(address: string, serverName: string, host: string): Promise<number> {
  const session = connectHttp2(`https://${address}:${PORT}`, {
    servername: serverName,
    rejectUnauthorized: false,
  });
  session.on('error', () => undefined);
  try {
    const stream = session.request({ ':authority': host, ':path': '/' });
    const [fields] = await happens(stream, 'response');
    return Number(fields[':status']);
  } finally {
    session.destroy();
  }
}

const shownAt = async (address: string, serverName: string | null, port = PORT): Promise<string> => {
  using client = await secureClient(port, serverName, { host: address });
  return client.shown;
};

const UNRECOGNIZED = /alert number 112/;

describe('TLS on ports of Gateways', () => {
  it('shows the certificate of the listener that has the name, and of no other', async () => {
    const [address, closed] = [loopbackAddress(), loopbackAddress()];
    const paths = { '/': podPort };
    await plane.serve({
      ports: [
        {
          ...{ address, port: PORT, isTls: true },
          hosts: { '': { paths }, 'second.test': { paths }, '*.wildcard.test': { paths } },
          certificates: {
            '': 'default/any.test',
            'second.test': 'default/second.test',
            '*.wildcard.test': 'default/*.wildcard.test',
          },
        },
        {
          ...{ address: closed, port: PORT, isTls: true },
          hosts: { 'second.test': { paths }, 'any.test': { paths } },
          certificates: { 'second.test': 'default/second.test', 'any.test': 'default/lost' },
        },
      ],
    });
    expect(await shownAt(address, 'second.test')).toBe('second.test');
    expect(await shownAt(address, 'SECOND.test')).toBe('second.test');
    expect(await shownAt(address, 'a.b.wildcard.test')).toBe('*.wildcard.test');
    expect(await shownAt(address, 'wildcard.test')).toBe('any.test');
    expect(await shownAt(address, null)).toBe('any.test');
    expect(await shownAt(closed, 'second.test')).toBe('second.test');
    for (const name of ['other.test', 'any.test', null]) {
      await expect(shownAt(closed, name)).rejects.toThrow(UNRECOGNIZED);
    }
    using client = await secureClient(PORT, 'second.test', { host: address });
    client.wire.send(get('/', 'Connection: close').replace('app.test', 'second.test'));
    expect((await client.wire.message()).status).toBe(200);
  });

  it('shares the port of Ingresses: who has the host has the certificate', async () => {
    const { address, httpsPort: port } = plane;
    const gateway = {
      ...{ address: '', port, isTls: true },
      hosts: { 'second.test': { paths: { '/': podPort } }, 'any.test': { paths: { '/': podPort } } },
      certificates: { 'second.test': 'default/second.test' },
    };
    const sites = [{ host: 'ingress.test', ports: [podPort] }];
    await plane.serve({ ports: [gateway], sites });
    expect(await shownAt(address, 'second.test', port)).toBe('second.test');
    expect(await shownAt(address, 'ingress.test', port)).toBe('self-signed.test');
    expect(await shownAt(address, null, port)).toBe('self-signed.test');
    await expect(shownAt(address, 'any.test', port)).rejects.toThrow(UNRECOGNIZED);
    using client = await secureClient(port, 'ingress.test', { host: address });
    client.wire.send(get('/').replace('app.test', 'ingress.test'));
    expect((await client.wire.message()).status).toBe(200);
    client.wire.send(get('/').replace('app.test', 'second.test'));
    expect((await client.wire.message()).status).toBe(421);

    await plane.serve({ sites });
    await until(async () => (await shownAt(address, 'second.test', port)) === 'self-signed.test');
  });

  it('answers 421 where a connection is for another listener than its request', async () => {
    const address = loopbackAddress();
    const paths = { '/': podPort };
    const route = (host: string) => ({ listener: host, paths });
    await plane.serve({
      ports: [
        {
          ...{ address, port: PORT, isTls: true },
          // The listener for all hosts has a route for one of them.
          hosts: {
            '': { listener: 'all' },
            'example.test': { listener: 'all', paths },
            'second.test': route('second'),
            '*.wildcard.test': route('wildcard'),
            'fourth.wildcard.test': route('fourth'),
          },
          certificates: { '': 'default/any.test' },
        },
      ],
    });
    const table: readonly (readonly [sni: string, host: string, status: number])[] = [
      ['example.test', 'example.test', 200],
      ['example.test', 'second.test', 421],
      ['example.test', 'unknown.test', 404],
      ['second.test', 'second.test', 200],
      ['second.test', 'example.test', 421],
      ['second.test', 'unknown.test', 421],
      ['third.wildcard.test', 'third.wildcard.test', 200],
      ['third.wildcard.test', 'fifth.wildcard.test', 200],
      ['third.wildcard.test', 'fourth.wildcard.test', 421],
      ['third.wildcard.test', 'second.test', 421],
      ['third.wildcard.test', 'unknown.test', 421],
      ['fourth.wildcard.test', 'fourth.wildcard.test', 200],
      ['fourth.wildcard.test', 'fifth.wildcard.test', 421],
      ['unknown.test', 'example.test', 200],
      ['unknown.test', 'unknown.test', 404],
      // Without a server name a connection is for the listener of all hosts.
      ['', 'example.test', 200],
      ['', 'second.test', 421],
      ['', 'unknown.test', 404],
    ];
    const found = await Promise.all(
      table.map(async ([sni, host]) => [sni, host, await askHttp2(address, sni, host)] as const),
    );
    expect(found).toEqual(table);
  });
});

it('a request is for the listener with the closest hostname, and for no other', async () => {
  const address = loopbackAddress();
  const listeners = ['', '*.example.test', '*.foo.example.test', 'abc.foo.example.test'];
  const pathOf = (listener: string): string => `/${listeners.indexOf(listener)}`;
  await plane.serve({
    ports: [
      {
        ...{ address, port: PORT },
        hosts: Object.fromEntries(listeners.map((name) => [name, { paths: { [pathOf(name)]: podPort } }])),
      },
    ],
  });
  const owners = {
    'bar.test': '',
    'bar.example.test': '*.example.test',
    'bar.foo.example.test': '*.foo.example.test',
    'abc.foo.example.test': 'abc.foo.example.test',
  };
  using client = await rawClient(PORT, address);
  for (const [host, owner] of Object.entries(owners)) {
    for (const listener of listeners) {
      const { status } = await askOn(client, host, pathOf(listener));
      expect([host, listener, status]).toEqual([host, listener, listener === owner ? 200 : 404]);
    }
  }
});

it('HTTP/2 with prior knowledge is spoken on ports of Gateways', async () => {
  const address = loopbackAddress();
  const own = { address: '', port: plane.httpPort, hosts: { 'one.test': { paths: { '/': podPort } } } };
  await plane.serve({ ports: [{ address, port: PORT, hosts: { '': { paths: { '/': podPort } } } }, own] });
  for (const [host, port] of [
    [address, PORT],
    [plane.address, plane.httpPort],
  ] as const) {
    const session = connectHttp2(`http://${host}:${port}`);
    const [fields] = await happens(session.request({ ':authority': 'one.test', ':path': '/' }), 'response');
    expect(fields[':status']).toBe(200);
    session.destroy();
  }
});

describe('clients with certificates on ports of Gateways', () => {
  const clients = createAuthority();
  const policy = (enforced: ClientAuth['enforced']): ClientAuth => ({
    ...{ policyId: `policy-${enforced}`, required: enforced !== 'never', passCertificate: false },
    caCertificates: clients.certificate,
    ...(enforced && { enforced }),
  });
  const certificate = ({ certificate: cert, key }: { certificate: string; key: string }) => ({ cert, key });
  const good = certificate(clients.issue(['client']));
  const bad = certificate(authority().issue(['client']));

  /** The status of a request, or what became of the connection. */
  async function statusWith(address: string, options: object): Promise<number | 'ended'> {
    try {
      using client = await secureClient(PORT, 'second.test', { host: address, ...options });
      client.wire.send(get('/').replace('app.test', 'second.test'));
      return (await client.wire.message()).status;
    } catch {
      return 'ended';
    }
  }

  it('are let in or not by their handshake, unless nothing is enforced', async () => {
    const [strict, lax] = [loopbackAddress(), loopbackAddress()];
    const port = (address: string, asked: ClientAuth) => ({
      ...{ address, port: PORT, isTls: true },
      hosts: { 'second.test': { paths: { '/': podPort }, clients: asked } },
      certificates: { 'second.test': 'default/second.test' },
    });
    await plane.serve({ ports: [port(strict, policy('in-handshake')), port(lax, policy('never'))] });
    const shown = [good, bad, {}];
    expect(await Promise.all(shown.map((each) => statusWith(strict, each)))).toEqual([200, 'ended', 'ended']);
    expect(await Promise.all(shown.map((each) => statusWith(lax, each)))).toEqual([200, 200, 200]);
  });
});

describe('TLS without requests on ports of Gateways', () => {
  const open: Socket[] = [];
  afterAll(() => open.forEach((socket) => socket.destroy()));

  async function echo(name: string, isTls = false): Promise<number> {
    const answer = (socket: Socket): void => {
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => socket.write(`${name}: ${bytes.toString()}`));
      socket.on('end', () => socket.end());
    };
    const { key, certificate: cert } = authority().issue([name]);
    const server = isTls
      ? createTlsServer({ key, cert }, answer)
      : createServer({ allowHalfOpen: true }, answer);
    server.on('connection', (socket: Socket) => open.push(socket));
    server.listen(0, '127.0.0.1').unref();
    await happens(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function sayHello(address: string, serverName: string): Promise<readonly [string, string]> {
    using client = await secureClient(PORT, serverName, { host: address });
    client.wire.send('hello');
    await client.wire.until('hello');
    return [client.shown, client.wire.text];
  }

  it('is passed through, ended here, or carries requests, as the listener of its name says', async () => {
    const [secret, plain, secured] = await Promise.all([
      echo('secret', true),
      echo('plain'),
      echo('secured', true),
    ]);
    const [address, streamsOnly] = [loopbackAddress(), loopbackAddress()];
    const securely = {
      'backend-transport': { protocol: 'https', serverName: null, caCertificates: null },
    } as const;
    await plane.serve({
      ports: [
        {
          ...{ address, port: PORT, isTls: true },
          hosts: {
            'passed.test': { tls: 'passthrough', streams: [[secret, 1]] },
            'second.test': { tls: 'terminate', streams: [[plain, 1]] },
            'fourth.wildcard.test': { tls: 'terminate', streams: [[secured, 1]], policies: securely },
            'any.test': { paths: { '/': podPort } },
            'none.test': { tls: 'passthrough' },
            'invalid.test': { tls: 'passthrough', streams: [['invalid-reference', 1]] },
            'split.test': {
              tls: 'passthrough',
              streams: [
                [secret, 0],
                [secured, 1],
              ],
            },
          },
          certificates: {
            'second.test': 'default/second.test',
            'fourth.wildcard.test': 'default/fourth.wildcard.test',
            'any.test': 'default/any.test',
          },
        },
        {
          ...{ address: streamsOnly, port: PORT, isTls: true },
          hosts: {
            'passed.test': { tls: 'passthrough', streams: [[secret, 1]] },
            'second.test': { tls: 'terminate', streams: [[plain, 1]] },
          },
          certificates: { 'second.test': 'default/second.test' },
        },
      ],
    });
    expect(await sayHello(address, 'passed.test')).toEqual(['secret', 'secret: hello']);
    expect(await sayHello(address, 'split.test')).toEqual(['secured', 'secured: hello']);
    expect(await sayHello(address, 'second.test')).toEqual(['second.test', 'plain: hello']);
    expect(await sayHello(address, 'fourth.wildcard.test')).toEqual([
      'fourth.wildcard.test',
      'secured: hello',
    ]);
    for (const name of ['none.test', 'invalid.test']) {
      await expect(sayHello(address, name)).rejects.toMatchObject({ code: 'ECONNRESET' });
    }
    expect(await sayHello(streamsOnly, 'second.test')).toEqual(['second.test', 'plain: hello']);
    await expect(sayHello(streamsOnly, 'other.test')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect(sayHello(address, 'other.test')).rejects.toThrow(UNRECOGNIZED);
    using client = await secureClient(PORT, 'any.test', { host: address, ALPNProtocols: ['http/1.1'] });
    client.wire.send(get('/').replace('app.test', 'any.test'));
    expect((await client.wire.message()).status).toBe(200);
    client.wire.send(get('/').replace('app.test', 'second.test'));
    expect((await client.wire.message()).status).toBe(421);
    // A protocol of the client's own, which no HTTP server would take.
    using other = await secureClient(PORT, 'second.test', { host: address, ALPNProtocols: ['mqtt'] });
    other.wire.send('hello');
    await other.wire.until('plain: hello');
  });
});
