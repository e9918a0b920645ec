import { type Socket as UdpSocket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { type TLSSocket, createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, HTTPS_PORT, HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { heldPort } from '../support/loopback.ts';
import { get } from '../support/raw-client.ts';
import { type SecureClient, authority, secureClient } from '../support/tls-proxy.ts';
import { happens, soon } from '../support/until.ts';
import { type Folder, createFolder } from './folder.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, siteObjects, slicesOf } from './site.ts';

/** Says who it is, and then what it hears. */
async function startEcho(name: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(`${name}\n`);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function startUdpEcho(): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram, from) =>
    socket.send(`echo ${datagram.toString()}`, from.port, from.address),
  );
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** A Pod that ends TLS itself and echoes what it gets in upper case. */
interface TlsPod extends AsyncDisposable {
  readonly endpoint: string;
}

async function startTlsPod(name: string): Promise<TlsPod> {
  const { key, certificate } = authority().issue([name]);
  const open = new Set<Socket>();
  const server = createTlsServer({ key, cert: certificate }, (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => socket.write(bytes.toString().toUpperCase()));
    socket.on('end', () => socket.end('GOODBYE'));
  });
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await happens(server, 'close');
    },
  };
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

function configMap(name: string, data: Readonly<Record<string, string>>): ApiObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'ingress' }, data };
}

function service(name: string, protocol: 'TCP' | 'UDP', port: number, address = '127.0.0.1'): ApiObject[] {
  const metadata = { name, namespace: 'db' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { ports: [{ name: 'main', port: 5432, protocol }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'main', port, protocol }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    },
  ];
}

function passed(host: string, endpoints: readonly string[], annotations: object = {}): ApiObject[] {
  const parts = { host, name: host.replaceAll('.', '-'), endpoints };
  const ingress = ingressOf(parts);
  const metadata = {
    ...ingress.metadata,
    annotations: { 'nginx.ingress.kubernetes.io/ssl-passthrough': 'true', ...annotations },
  };
  return [{ ...ingress, metadata }, serviceOf(parts), ...slicesOf(parts)];
}

const [plain, proxied, datagrams, later] = (await Promise.all([1, 2, 3, 4].map(() => heldPort()))) as [
  number,
  number,
  number,
  number,
];
let first: Server;
let second: Server;
let udp: UdpSocket;
let firstTls: TlsPod;
let secondTls: TlsPod;
let folder: Folder;
let daemon: Daemon;

const tcpServices = (more: Readonly<Record<string, string>> = {}): ApiObject =>
  configMap('tcp-services', { [plain]: 'db/first:5432', [proxied]: 'db/first:main:PROXY:PROXY', ...more });

beforeAll(async () => {
  [first, second, udp, firstTls, secondTls] = await Promise.all([
    startEcho('first'),
    startEcho('second'),
    startUdpEcho(),
    startTlsPod('first.pod'),
    startTlsPod('second.pod'),
  ]);
  folder = createFolder();
  await folder.put(
    'class.yaml',
    manifest(INGRESS_CLASS, ...siteObjects({ host: 'web.test', endpoints: [] })),
  );
  await folder.put(
    'services.yaml',
    manifest(
      ...service('first', 'TCP', portOf(first)),
      ...service('second', 'TCP', portOf(second)),
      ...service('dns', 'UDP', udp.address().port),
    ),
  );
  await folder.put('tcp.yaml', manifest(tcpServices()));
  await folder.put('udp.yaml', manifest(configMap('udp-services', { [datagrams]: 'db/dns:5432' })));
  await folder.put('passed.yaml', manifest(...passed('passed.test', [firstTls.endpoint])));
  await folder.put(
    'not-passed.yaml',
    manifest(
      ...passed('empty.test', []),
      ...passed('closed.test', [firstTls.endpoint], {
        'nginx.ingress.kubernetes.io/whitelist-source-range': '192.0.2.0/24',
      }),
    ),
  );
  const files = [
    '--tcp-services-configmap',
    'ingress/tcp-services',
    '--udp-services-configmap',
    'ingress/udp-services',
  ];
  daemon = startDaemon({
    args: ['--manifests', folder.path, '--allow-loopback', '--https-port', `${HTTPS_PORT}`, ...files],
  });
  await daemon.ready();
});

afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  await daemon[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  udp.close();
  for (const server of [first, second]) server.close();
  await Promise.all([firstTls[Symbol.asyncDispose](), secondTls[Symbol.asyncDispose]()]);
});

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: daemon.address });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** The next so many lines. */
async function lines(socket: Socket, count: number): Promise<readonly string[]> {
  let text = '';
  while (text.split('\n').length <= count) {
    const [bytes] = (await soon(once(socket, 'data'), () => `${count} lines, after ${text}`)) as [Buffer];
    text += bytes.toString();
  }
  return text.trimEnd().split('\n');
}

describe('TCP and UDP services', () => {
  it('relays TCP connections to the Service of their port', async () => {
    const socket = await dial(plain);
    socket.write('hello\n');
    expect(await lines(socket, 2)).toEqual(['first', 'hello']);
    socket.destroy();
  });

  it('takes the PROXY protocol and passes it on', async () => {
    const socket = await dial(proxied);
    socket.write('PROXY TCP4 192.0.2.7 192.0.2.8 4000 5432\r\nhello\n');
    const [name, header, text] = await lines(socket, 3);
    expect([name, text]).toEqual(['first', 'hello']);
    expect(header).toBe(`PROXY TCP4 192.0.2.7 ${daemon.address} 4000 5432\r`);
    socket.destroy();
  });

  it('sends the datagrams of a client to one endpoint, and its answers back', async () => {
    const client = createSocket('udp4');
    for (const text of ['one', 'two']) {
      const answer = once(client, 'message') as Promise<[Buffer]>;
      client.send(text, datagrams, daemon.address);
      expect((await soon(answer, () => `an answer to ${text}`))[0].toString()).toBe(`echo ${text}`);
    }
    client.close();
    const place = `{protocol="udp",port="${datagrams}"}`;
    await daemon.metricBecomes(`portico_stream_received_datagrams_total${place}`, 2);
    await daemon.metricBecomes(
      `portico_stream_sent_bytes_total${place}`,
      'echo one'.length + 'echo two'.length,
    );
  });

  it('counts connections, and says in the log what became of each', async () => {
    const socket = await dial(plain);
    socket.end('hello\n');
    expect(await lines(socket, 2)).toEqual(['first', 'hello']);
    const line = await daemon.line(/"protocol":"tcp".*"receivedBytes":6,.*"backend":"db\/first:5432"/);
    expect(JSON.parse(line)).toMatchObject({ stream: 'access', port: plain, attempts: 1 });
  });

  it('opens and closes ports and changes Services without touching connections', async () => {
    const before = await dial(plain);
    expect(await lines(before, 1)).toEqual(['first']);
    await folder.put(
      'tcp.yaml',
      manifest(tcpServices({ [plain]: 'db/second:5432', [later]: 'db/second:5432' })),
    );
    await eventually(async () => {
      const socket = await dial(later);
      const [name] = await lines(socket, 1);
      socket.destroy();
      return name === 'second';
    });
    const after = await dial(plain);
    expect(await lines(after, 1)).toEqual(['second']);
    await folder.put('tcp.yaml', manifest(configMap('tcp-services', {})));
    await eventually(() =>
      dial(plain)
        .then(
          (socket) => void socket.destroy(),
          () => true,
        )
        .then(Boolean),
    );
    for (const socket of [before, after]) {
      socket.write('still here\n');
      expect(await lines(socket, 1)).toEqual(['still here']);
      socket.destroy();
    }
  });

  it('says what it cannot serve, and serves the rest', async () => {
    await folder.put(
      'tcp.yaml',
      manifest(
        tcpServices({
          http: 'db/first:5432',
          [HTTP_PORT]: 'db/first:5432',
          [later]: 'db/none:1',
          7: 'nowhere',
        }),
      ),
    );
    await eventually(async () => {
      const { body } = await daemon.status('/routes');
      const codes = [
        'StreamPortInvalid',
        'StreamPortTaken',
        'StreamBackendUnavailable',
        'StreamTargetInvalid',
      ];
      return codes.every((code) => body.includes(code));
    });
    // Threads have the table a little later than it is shown.
    let open: Socket | null = null;
    await eventually(async () => (open = await dial(plain)) !== null);
    const socket = open! as Socket;
    expect(await lines(socket, 1)).toEqual(['first']);
    socket.destroy();
  });

  it('ends what leads back to itself after ten rounds', async () => {
    await folder.put(
      'loops.yaml',
      manifest(
        ...service('loop', 'TCP', later, daemon.address),
        ...service('udp-loop', 'UDP', later, daemon.address),
      ),
    );
    await folder.put('tcp.yaml', manifest(tcpServices({ [later]: 'db/loop:5432' })));
    await folder.put('udp.yaml', manifest(configMap('udp-services', { [later]: 'db/udp-loop:5432' })));
    const ended = (protocol: string): string =>
      `portico_streams_total{protocol="${protocol}",port="${later}",end="loop-detected"}`;
    await eventually(async () => {
      const socket = await dial(later);
      const closed = Promise.withResolvers<boolean>();
      socket.once('close', closed.resolve).resume();
      await soon(closed.promise, () => 'the end of a loop');
      return (await daemon.metric(ended('tcp'))) > 0;
    });
    const client = createSocket('udp4');
    await eventually(async () => {
      client.send('round', later, daemon.address);
      return (await daemon.metric(ended('udp'))) > 0;
    });
    client.close();
    await daemon.metricBecomes(`portico_streams_open{protocol="tcp",port="${later}"}`, 0);
    const socket = await dial(plain);
    expect(await lines(socket, 1)).toEqual(['first']);
    socket.destroy();
  });
});

const client = (name: string): Promise<SecureClient> =>
  secureClient(HTTPS_PORT, name, { host: daemon.address });

/** What comes until it is as long as `wanted`. */
async function text(socket: TLSSocket, wanted: string): Promise<string> {
  let got = '';
  while (got.length < wanted.length) {
    const [bytes] = (await soon(once(socket, 'data'), () => wanted)) as [Buffer];
    got += bytes.toString();
  }
  return got;
}

describe('a host whose TLS is passed through', () => {
  it('shows the certificate of its Pod, and carries what is no HTTP, both halves of it', async () => {
    using asked = await client('passed.test');
    expect(asked.shown).toBe('first.pod');
    asked.socket.write('hello');
    expect(await text(asked.socket, 'HELLO')).toBe('HELLO');
    asked.socket.end();
    expect(await text(asked.socket, 'GOODBYE')).toBe('GOODBYE');
  });

  it('does so for its own name only', async () => {
    using asked = await client('other.test');
    expect(asked.shown).not.toBe('first.pod');
    // The connection of another host cannot reach it behind its back.
    asked.wire.send(get('/').replace('app.test', 'passed.test'));
    expect((await asked.wire.message()).status).toBe(421);
  });

  it('sends a client that comes by http to https', async () => {
    const answer = await daemon.request('passed.test', '/a?b');
    expect([answer.status, answer.field('location')]).toEqual([308, `https://passed.test:${HTTPS_PORT}/a?b`]);
  });

  it('resets connections while there is no Pod', async () => {
    await expect(client('empty.test')).rejects.toThrow();
  });

  it('is not passed through where its paths are restricted, and says so', async () => {
    using asked = await client('closed.test');
    expect(asked.shown).not.toBe('first.pod');
    expect((await daemon.status('/routes')).body).toContain('TlsPassthroughRefused');
  });

  it('keeps the connections that it has when its Pods change', async () => {
    using before = await client('passed.test');
    await folder.put('passed.yaml', manifest(...passed('passed.test', [secondTls.endpoint])));
    await eventually(async () => {
      using after = await client('passed.test');
      return after.shown === 'second.pod';
    });
    before.socket.write('still here');
    expect(await text(before.socket, 'STILL HERE')).toBe('STILL HERE');
    before.socket.end();
    expect(await text(before.socket, 'GOODBYE')).toBe('GOODBYE');
  });
});
