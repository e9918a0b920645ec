import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyPair } from '../../src/model/secrets.ts';
import type { ApiObject } from '../support/api-server.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Daemon, eventually, startDaemon, HTTPS_PORT } from '../support/daemon.ts';
import { get } from '../support/raw-client.ts';
import { authority, secureClient } from '../support/tls-proxy.ts';
import type { WireMessage } from '../support/wire.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from './site.ts';

const run = promisify(execFile);

function has(program: string, argument: string): boolean {
  try {
    return execFileSync(program, [argument]).length > 0;
  } catch {
    return false;
  }
}
const hasOpenssl = has('openssl', 'version');
const hasCurl = has('curl', '--version');

const FILES = mkdtempSync(join(tmpdir(), 'portico-clients-'));
const file = (name: string, text: string): string => {
  const path = join(FILES, name);
  writeFileSync(path, text);
  return path;
};

const clients = createAuthority();
const next = createAuthority();
const ada = clients.issue(['ada']);
const server = authority().issue(['mutual.test', 'plain.test']);
const CA_FILE = file('ca.pem', authority().certificate);
const SHOWN = ['--cert', file('ada.pem', ada.certificate), '--key', file('ada.key', ada.key)];

function secret(name: string, { certificate, key }: KeyPair, ca?: string): ApiObject {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace: 'default' },
    data: {
      ...{ 'tls.crt': encode(certificate), 'tls.key': encode(key) },
      ...(ca !== undefined && { 'ca.crt': encode(ca) }),
    },
  };
}

/** As one would have who needs no certificate of a server in it. */
function authorities(ca: string, crl?: string): ApiObject {
  const object = secret('clients', { certificate: '', key: '' }, ca);
  if (crl === undefined) return object;
  const data = { ...(object['data'] as object), 'ca.crl': Buffer.from(crl).toString('base64') };
  return { ...object, data } as ApiObject;
}

function site(host: string, pod: Pod, annotations: Record<string, string>): ApiObject[] {
  const parts = { host, name: host.replace('.', '-'), endpoints: [pod.endpoint] };
  const ingress = ingressOf(parts);
  const spec = { ...(ingress['spec'] as object), tls: [{ hosts: [host], secretName: 'server' }] };
  const metadata = { ...ingress.metadata, annotations };
  return [{ ...ingress, metadata, spec } as ApiObject, serviceOf(parts), ...slicesOf(parts)];
}

describe('the process where a host asks for certificates', () => {
  let pod: Pod;
  let folder: Folder;
  let daemon: Daemon;

  beforeAll(async () => {
    pod = await startPod('pod');
    folder = createFolder();
    await folder.put('clients.yaml', manifest(authorities(clients.certificate)));
    await folder.put(
      'rest.yaml',
      manifest(
        INGRESS_CLASS,
        secret('server', server),
        ...site('mutual.test', pod, { 'portico.dev/client-ca-secret': 'clients' }),
        ...site('plain.test', pod, {}),
      ),
    );
    daemon = startDaemon({ args: ['--manifests', folder.path, '--https-port', `${HTTPS_PORT}`] });
    await daemon.ready();
  });

  afterAll(async () => {
    expect(await daemon.stop()).toBe(0);
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
    rmSync(FILES, { recursive: true, force: true });
  });

  async function ask(shown: KeyPair | null, host = 'mutual.test', name = host): Promise<WireMessage> {
    const options = shown ? { cert: shown.certificate, key: shown.key } : {};
    using client = await secureClient(HTTPS_PORT, name, { host: daemon.address, ...options });
    client.wire.send(get('/').replace('app.test', host));
    return await client.wire.message();
  }

  it('serves those who show one, and says to the others what is missing', async () => {
    expect((await ask(ada)).body).toBe('pod');
    expect((await ask(null)).status).toBe(400);
    expect((await ask(server)).status).toBe(400);
    expect((await ask(null, 'plain.test')).status).toBe(200);
    expect((await ask(ada, 'plain.test', 'mutual.test')).status).toBe(421);
    expect((await ask(ada, 'mutual.test', 'plain.test')).status).toBe(421);
    expect((await daemon.request('mutual.test')).status).toBe(308);
    expect(await daemon.line(/"certificate-missing"/)).toContain('"status":400');
  });

  it.skipIf(!hasCurl)('to curl, over HTTP/1.1 and HTTP/2 (needs curl)', async () => {
    const curl = async (...args: readonly string[]): Promise<string> => {
      const place = ['--resolve', `mutual.test:${HTTPS_PORT}:${daemon.address}`, '--cacert', CA_FILE];
      const told = ['-o', '/dev/null', '-w', '%{http_version} %{http_code}'];
      const url = `https://mutual.test:${HTTPS_PORT}/`;
      return (await run('curl', ['-sS', '--max-time', '20', ...place, ...told, ...args, url])).stdout;
    };
    expect(await curl('--http1.1', ...SHOWN)).toBe('1.1 200');
    expect(await curl('--http2', ...SHOWN)).toBe('2 200');
    expect(await curl('--http2')).toBe('2 400');
    expect(await curl('--http1.1', '--tls-max', '1.2', ...SHOWN)).toBe('1.1 200');
  });

  it.skipIf(!hasOpenssl)('names to openssl whose certificates it takes (needs openssl)', async () => {
    const sClient = async (...args: readonly string[]): Promise<string> => {
      const running = run('openssl', [
        ...['s_client', '-connect', `${daemon.address}:${HTTPS_PORT}`, '-CAfile', CA_FILE],
        ...args,
      ]);
      running.child.stdin?.end('Q\n');
      return (await running).stdout;
    };
    const asked = await sClient('-servername', 'mutual.test');
    expect(asked).toMatch(/Acceptable client certificate CA names\s+CN = Test authority/);
    expect(await sClient('-servername', 'plain.test')).toContain('No client certificate CA names sent');
    expect(await sClient('-noservername')).toContain('No client certificate CA names sent');
  });

  it('turns those away that the list of its Secret revokes, also on connections that are open', async () => {
    const becomes = (status: number): Promise<unknown> =>
      eventually(async () => (await ask(ada)).status === status, daemon.exited);
    const options = { host: daemon.address, cert: ada.certificate, key: ada.key };
    using open = await secureClient(HTTPS_PORT, 'mutual.test', options);
    const request = get('/').replace('app.test', 'mutual.test');
    open.wire.send(request);
    expect((await open.wire.message()).status).toBe(200);
    await folder.put(
      'clients.yaml',
      manifest(authorities(clients.certificate, clients.revoke(ada.certificate))),
    );
    await becomes(400);
    open.wire.send(request);
    expect((await open.wire.message()).status).toBe(421);
    expect((await ask(clients.issue(['bob']))).status).toBe(200);
    await folder.put('clients.yaml', manifest(authorities(clients.certificate)));
    await becomes(200);
  });

  it('follows its Secret: another authority, none, and back', async () => {
    const becomes = (status: number): Promise<unknown> =>
      eventually(async () => (await ask(ada)).status === status, daemon.exited);
    await folder.put('clients.yaml', manifest(authorities(next.certificate)));
    await becomes(400);
    expect((await ask(next.issue(['eve']))).status).toBe(200);
    await folder.remove('clients.yaml');
    await becomes(503);
    expect((await daemon.request('mutual.test')).status).toBe(308);
    const { body } = await daemon.status('/routes');
    expect((JSON.parse(body) as { problems: { code: string }[] }).problems.map(({ code }) => code)).toEqual([
      'ClientCaMissing',
    ]);
    await folder.put('clients.yaml', manifest(authorities(clients.certificate)));
    await becomes(200);
  });
});
