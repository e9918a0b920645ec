import { once } from 'node:events';
import { type Server, type TLSSocket, createServer } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, HTTPS_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { get } from '../support/raw-client.ts';
import { type SecureClient, authority, secureClient } from '../support/tls-proxy.ts';
import { soon } from '../support/until.ts';
import { type Folder, createFolder } from './folder.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from './site.ts';
import { happens } from '../support/until.ts';

/** A Pod that ends TLS itself and echoes what it gets in upper case. */
interface TlsPod extends AsyncDisposable {
  readonly endpoint: string;
}

async function startTlsPod(name: string): Promise<TlsPod> {
  const { key, certificate } = authority().issue([name]);
  const open = new Set<Socket>();
  const server: Server = createServer({ key, cert: certificate }, (socket) => {
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

function passed(host: string, endpoints: readonly string[], annotations: object = {}): ApiObject[] {
  const parts = { host, name: host.replaceAll('.', '-'), endpoints };
  const ingress = ingressOf(parts);
  const metadata = {
    ...ingress.metadata,
    annotations: { 'nginx.ingress.kubernetes.io/ssl-passthrough': 'true', ...annotations },
  };
  return [{ ...ingress, metadata }, serviceOf(parts), ...slicesOf(parts)];
}

let first: TlsPod;
let second: TlsPod;
let folder: Folder;
let daemon: Daemon;

beforeAll(async () => {
  [first, second] = await Promise.all([startTlsPod('first.pod'), startTlsPod('second.pod')]);
  folder = createFolder();
  await folder.put('class.yaml', manifest(INGRESS_CLASS));
  await folder.put('passed.yaml', manifest(...passed('passed.test', [first.endpoint])));
  await folder.put(
    'rest.yaml',
    manifest(
      ...passed('empty.test', []),
      ...passed('closed.test', [first.endpoint], {
        'nginx.ingress.kubernetes.io/whitelist-source-range': '192.0.2.0/24',
      }),
    ),
  );
  daemon = startDaemon({
    args: ['--manifests', folder.path, '--allow-loopback', '--https-port', `${HTTPS_PORT}`],
  });
  await daemon.ready();
});

afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  await daemon[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
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
    await folder.put('passed.yaml', manifest(...passed('passed.test', [second.endpoint])));
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
