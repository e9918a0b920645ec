import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyPair } from '../../src/model/secrets.ts';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, HTTP_PORT, eventually, startDaemon, HTTPS_PORT } from '../support/daemon.ts';
import { get } from '../support/raw-client.ts';
import { type SecureClient, authority, secureClient } from '../support/tls-proxy.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from './site.ts';
import { happens } from '../support/until.ts';

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

const CA = mkdtempSync(join(tmpdir(), 'portico-tls-'));
const CA_FILE = join(CA, 'ca.pem');

const good = authority().issue(['good.test']);
const renewed = authority().issue(['good.test', 'renewed.test']);
const expired = authority().issue(['expired.test'], { expired: true });
const other = authority().issue(['edge.test']);

function secret(name: string, { certificate, key }: KeyPair): ApiObject {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace: 'default' },
    data: { 'tls.crt': encode(certificate), 'tls.key': encode(key) },
  };
}

function site(host: string, pod: Pod, secretName: string | null): ApiObject[] {
  const name = host.replace('.', '-');
  const parts = { host, name, endpoints: [pod.endpoint] };
  const ingress = ingressOf(parts);
  const tls = secretName === null ? {} : { tls: [{ hosts: [host], secretName }] };
  const withTls = { ...ingress, spec: { ...(ingress['spec'] as object), ...tls } };
  return [withTls as ApiObject, serviceOf(parts), ...slicesOf(parts)];
}

let pod: Pod;
let folder: Folder;
let daemon: Daemon;

beforeAll(async () => {
  writeFileSync(CA_FILE, authority().certificate);
  pod = await startPod('pod');
  folder = createFolder();
  await folder.put('class.yaml', manifest(INGRESS_CLASS));
  await folder.put('secret.yaml', manifest(secret('good', good)));
  await folder.put(
    'rest.yaml',
    manifest(
      secret('expired', expired),
      secret('mixed', { certificate: good.certificate, key: other.key }),
      secret('edge', other),
      ...site('good.test', pod, 'good'),
      ...site('expired.test', pod, 'expired'),
      ...site('mixed.test', pod, 'mixed'),
      ...site('plain.test', pod, null),
    ),
  );
  daemon = startDaemon({
    args: [
      ...['--manifests', folder.path, '--https-port', `${HTTPS_PORT}`, '--log-level', 'debug'],
      ...['--default-tls-secret', 'default/edge', '--hsts', 'max-age=300', '--workers', '2'],
    ],
  });
  await daemon.ready();
});

afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
  await daemon[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  await pod.stop();
  rmSync(CA, { recursive: true, force: true });
});

const client = (name: string, options: object = {}): Promise<SecureClient> =>
  secureClient(HTTPS_PORT, name, { host: daemon.address, ...options });

/** curl as a user has it, who knows our authority and where the hosts are. */
async function curl(...args: readonly string[]): Promise<string> {
  const hosts = ['good.test', 'expired.test', 'plain.test'].flatMap((host) => [
    ...['--resolve', `${host}:${HTTPS_PORT}:${daemon.address}`],
    ...['--resolve', `${host}:${HTTP_PORT}:${daemon.address}`],
  ]);
  return (await run('curl', ['-sS', '--max-time', '20', '--cacert', CA_FILE, ...hosts, ...args])).stdout;
}

/** What openssl says of a handshake. */
async function sClient(...args: readonly string[]): Promise<string> {
  const place = ['-connect', `${daemon.address}:${HTTPS_PORT}`, '-CAfile', CA_FILE];
  const running = run('openssl', ['s_client', ...place, ...args]);
  // One that refuses the handshake ends before it reads.
  running.child.stdin?.on('error', () => undefined).end('Q\n');
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

describe('the process with a TLS port', () => {
  it('serves hosts by their Secrets, and says in the log where', async () => {
    using served = await client('good.test', { ca: authority().certificate, rejectUnauthorized: true });
    served.wire.send(get('/').replace('app.test', 'good.test'));
    const response = await served.wire.message();
    expect([response.status, response.body, response.field('strict-transport-security')]).toEqual([
      200,
      'pod',
      'max-age=300',
    ]);
    expect(await daemon.line(/ready: /)).toContain(`on ports ${HTTP_PORT} and ${HTTPS_PORT} (https)`);
  });

  it('shows the default certificate where a Secret is no good, and the expired one where it is that', async () => {
    for (const [name, shown] of [
      ['mixed.test', 'edge.test'],
      ['unknown.test', 'edge.test'],
      ['expired.test', 'expired.test'],
    ] as const) {
      using asked = await client(name);
      expect(asked.shown).toBe(shown);
    }
    const { body } = await daemon.status('/routes');
    const codes = (JSON.parse(body) as { problems: { code: string }[] }).problems.map(({ code }) => code);
    expect(codes.sort()).toEqual(['CertificateNotValid', 'SecretMalformed']);
  });

  it('redirects hosts with TLS and no others', async () => {
    const redirected = await daemon.request('good.test', '/a?b=%20', { method: 'POST', body: 'kept' });
    expect([redirected.status, redirected.field('location')]).toEqual([
      308,
      `https://good.test:${HTTPS_PORT}/a?b=%20`,
    ]);
    expect((await daemon.request('mixed.test')).status).toBe(308);
    expect((await daemon.request('plain.test')).status).toBe(200);
    // The Ingress is the site: nothing of it is there for challenges.
    expect((await daemon.request('good.test', '/.well-known/acme-challenge/x')).status).toBe(308);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'resumes a session of %s on whichever thread the client meets',
    async (version) => {
      const options = { minVersion: version, maxVersion: version };
      const first = await client('good.test', options);
      const session = await sessionOf(first.socket);
      first[Symbol.dispose]();
      for (let i = 0; i < 24; i++) {
        using again = await client('good.test', { ...options, session });
        expect(again.socket.isSessionReused()).toBe(true);
      }
    },
  );

  it('tells the days to expiry', async () => {
    const sample = (host: string, name: string): string =>
      `portico_certificate_expiry_days{host="${host}",namespace="default",secret="${name}"}`;
    const days = await daemon.metric(sample('good.test', 'good'));
    expect(days).toBeGreaterThan(29);
    expect(days).toBeLessThan(30);
    expect(await daemon.metric(sample('expired.test', 'expired'))).toBeLessThan(-1);
    expect(await daemon.metric(sample('', 'edge'))).toBeGreaterThan(29);
  });

  it('shows a renewed certificate to new connections and leaves open ones alone', async () => {
    using before = await client('good.test');
    before.wire.send(get('/').replace('app.test', 'good.test'));
    await before.wire.message();
    await folder.put('secret.yaml', manifest(secret('good', renewed)));
    await eventually(async () => {
      using after = await client('good.test');
      return after.socket.getPeerCertificate().subjectaltname?.includes('renewed.test') ?? false;
    });
    before.wire.send(get('/').replace('app.test', 'good.test'));
    expect((await before.wire.message()).status).toBe(200);
  });

  it('says no byte of a key anywhere', async () => {
    const said = [
      daemon.output(),
      (await daemon.status('/routes')).body,
      (await daemon.status('/metrics')).body,
    ].join('\n');
    expect(said).not.toMatch(/PRIVATE KEY|LS0tLS1CRUdJTi/);
    for (const { key } of [good, renewed, expired, other]) {
      const lines = key.split('\n').slice(1, -2);
      expect(lines.length).toBeGreaterThan(2);
      for (const line of lines) expect(said.includes(line)).toBe(false);
    }
  });

  it.skipIf(!hasOpenssl)(
    'openssl s_client verifies name, chain and time, and resumes (needs openssl)',
    async () => {
      const verify = (name: string): Promise<string> =>
        sClient('-servername', name, '-verify_hostname', name);
      expect(await verify('good.test')).toContain('Verify return code: 0 (ok)');
      expect(await verify('expired.test')).toContain('certificate has expired');
      expect(await verify('wrong.test')).toContain('hostname mismatch');
      expect(await sClient('-noservername')).toContain('CN = edge.test');
      expect(await sClient('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0')).toMatch(/alert protocol version/);
      const resumed = await sClient('-servername', 'good.test', '-tls1_2', '-reconnect');
      expect(resumed.match(/^Reused, TLSv1.2/gm)).toHaveLength(5);
    },
  );

  it.skipIf(!hasOpenssl)('serves an elliptic-curve certificate (needs openssl)', async () => {
    const [keyFile, certificateFile] = [join(CA, 'ec.key'), join(CA, 'ec.crt')];
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '9'],
      ...['-subj', '/CN=ec.test', '-addext', 'subjectAltName=DNS:ec.test'],
      ...['-keyout', keyFile, '-out', certificateFile],
    ]);
    const [key, certificate] = [keyFile, certificateFile].map((file) => readFileSync(file, 'utf8'));
    const pair = { key: key ?? '', certificate: certificate ?? '' };
    await folder.put('ec.yaml', manifest(secret('ec', pair), ...site('ec.test', pod, 'ec')));
    await eventually(async () => {
      using asked = await client('ec.test');
      return asked.shown === 'ec.test';
    });
    using old = await client('ec.test', { maxVersion: 'TLSv1.2' });
    expect(old.socket.getCipher().name).toContain('ECDHE-ECDSA');
  });

  it.skipIf(!hasCurl)('curl follows from http to https with its method and body (needs curl)', async () => {
    expect(await curl(`https://good.test:${HTTPS_PORT}/`)).toBe('pod');
    expect(await curl('--tlsv1.3', `https://good.test:${HTTPS_PORT}/`)).toBe('pod');
    expect(await curl('--tls-max', '1.2', `https://good.test:${HTTPS_PORT}/`)).toBe('pod');
    const version = (...args: readonly string[]): Promise<string> =>
      curl(...args, '-o', join(CA, 'body'), '-w', '%{http_version}', `https://good.test:${HTTPS_PORT}/`);
    expect([await version('--http2'), await version('--http1.1')]).toEqual(['2', '1.1']);
    const followed = await curl(
      ...['-L', '-d', 'x=1', '-o', join(CA, 'body'), '-w', '%{http_code} %{method} %{url_effective}'],
      `http://good.test:${HTTP_PORT}/p//q?r=%2F`,
    );
    expect(followed).toBe(`200 POST https://good.test:${HTTPS_PORT}/p//q?r=%2F`);
    await expect(curl(`https://expired.test:${HTTPS_PORT}/`)).rejects.toThrow(/expired/);
    await expect(curl('--tls-max', '1.1', `https://good.test:${HTTPS_PORT}/`)).rejects.toThrow();
    expect(await curl(`http://good.test:${HTTPS_PORT}/`)).toContain('plain HTTP was sent to the HTTPS port');
  });
});

/** Under TLS 1.3 a session comes after the handshake. */
async function sessionOf(socket: TLSSocket): Promise<Buffer> {
  const known = socket.getProtocol() === 'TLSv1.2' ? socket.getSession() : undefined;
  if (known) return known;
  const [session] = (await happens(socket, 'session')) as [Buffer];
  return session;
}

it('counts handshakes by their version, and those that failed by the reason', async () => {
  const samples = [
    'portico_tls_handshakes_total{version="TLSv1.2",resumed="false"}',
    'portico_tls_handshake_failures_total{reason="protocol-version"}',
  ];
  const read = (): Promise<number[]> => Promise.all(samples.map((sample) => daemon.metric(sample)));
  const before = await read();
  using _ = await client('good.test', { maxVersion: 'TLSv1.2' });
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
  await expect(client('good.test', old)).rejects.toThrow();
  await eventually(
    async () => (await read()).every((count, index) => count > (before[index] ?? 0)),
    daemon.exited,
  );
});
