import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HTTP_PORT, HTTPS_PORT } from '../../support/daemon.ts';
import type { Http2Upstream } from '../../support/http2-upstream.ts';
import { type ServedHosts, echoPod, echoPodOfHttp2, isMissing, serveHosts } from './site.ts';

const run = promisify(execFile);
const HOSTS = ['plain.test', 'http2.test'] as const;

let plain: Awaited<ReturnType<typeof echoPod>>;
let http2: Http2Upstream;
let served: ServedHosts;

beforeAll(async () => {
  plain = await echoPod();
  http2 = await echoPodOfHttp2();
  served = await serveHosts([
    { host: 'plain.test', port: plain.port },
    { host: 'http2.test', port: http2.port, appProtocol: 'kubernetes.io/h2c' },
  ]);
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await http2[Symbol.asyncDispose]();
});

const url = (scheme: 'http' | 'https', host: string, path = '/'): string =>
  `${scheme}://${host}:${scheme === 'https' ? HTTPS_PORT : HTTP_PORT}${path}`;

describe.skipIf(isMissing('curl'))('curl', () => {
  const curl = async (...args: string[]): Promise<string> => {
    const { daemon, caFile } = served;
    const places = HOSTS.flatMap((host) =>
      [HTTP_PORT, HTTPS_PORT].flatMap((port) => ['--resolve', `${host}:${port}:${daemon.address}`]),
    );
    const all = ['-sS', '--max-time', '20', '--cacert', caFile, ...places, ...args];
    return (await run('curl', all, { maxBuffer: 64 * 1024 * 1024 })).stdout;
  };
  /** Version, status and size; the body is in the file. */
  const told = (file: string, ...args: string[]): Promise<string> =>
    curl('-o', join(served.folder, file), '-w', '%{http_version} %{http_code} %{size_download}', ...args);

  const ways = {
    'HTTP/1.1': [['--http1.1'], 'http', '1.1'],
    'HTTP/2 with prior knowledge': [['--http2-prior-knowledge'], 'http', '2'],
    // An offer that need not be taken up (RFC 9113 has it no more).
    'an Upgrade to h2c': [['--http2'], 'http', '1.1'],
    'HTTP/1.1 over TLS 1.3': [['--http1.1', '--tlsv1.3'], 'https', '1.1'],
    'HTTP/1.1 over TLS 1.2, without ALPN': [['--http1.1', '--no-alpn', '--tls-max', '1.2'], 'https', '1.1'],
    'HTTP/2 over TLS 1.3': [['--http2', '--tlsv1.3'], 'https', '2'],
    'HTTP/2 over TLS 1.2': [['--http2', '--tls-max', '1.2'], 'https', '2'],
  } as const;

  for (const [what, [options, scheme, version]] of Object.entries(ways)) {
    it(`${what}: a page, HEAD, an upload with and without a length, and one that waits to be told`, async () => {
      const upload = join(served.folder, 'upload');
      writeFileSync(upload, Buffer.alloc(300_000, 'abcdefghijklmnopqrstuvwxyz'));
      const exchange = async (host: string): Promise<void> => {
        const big = url(scheme, host, '/bytes/500000');
        expect(await told(host, ...options, big)).toBe(`${version} 200 500000`);
        expect(await told(host, ...options, '-I', big)).toMatch(new RegExp(`^${version} 200`));
        // HTTP/2 has no chunks.
        const chunks = version === '2' ? [] : ['-H', 'Transfer-Encoding: chunked'];
        for (const how of [
          [],
          ['-H', 'Content-Length:', ...chunks],
          ['-H', 'Expect: 100-continue', '--expect100-timeout', '15'],
        ]) {
          const said = await told(host, ...options, '-T', upload, ...how, url(scheme, host));
          expect(said, how.join(' ')).toBe(`${version} 200 300000`);
          expect(readFileSync(join(served.folder, host)).equals(readFileSync(upload))).toBe(true);
        }
      };
      await Promise.all(HOSTS.map(exchange));
    });
  }

  it('many at a time over one connection', async () => {
    const out = join(served.folder, 'many-#1');
    const said = await curl(
      '-Z',
      '--parallel-max',
      '50',
      '-o',
      out,
      url('https', 'plain.test', '/bytes/[1000-1099]'),
      '-w',
      '%{http_version} %{http_code} %{num_connects}\\n',
    );
    const lines = said.trim().split('\n');
    expect(lines).toHaveLength(100);
    expect(lines.every((line) => line.startsWith('2 200'))).toBe(true);
    for (let size = 1_000; size < 1_100; size++)
      expect(statSync(join(served.folder, `many-${size}`)).size).toBe(size);
  });

  it('trailers of a pod', async () => {
    const heads = join(served.folder, 'heads');
    for (const version of ['--http1.1', '--http2']) {
      await curl(version, '-D', heads, '-d', 'x=1', url('https', 'http2.test'));
      expect(readFileSync(heads, 'latin1')).toMatch(/x-end: yes/i);
    }
  });

  it('an upload that is refused is answered, not broken off', async () => {
    const upload = join(served.folder, 'refused');
    writeFileSync(upload, Buffer.alloc(5_000_000));
    const place = ['--resolve', `none.test:${HTTPS_PORT}:${served.daemon.address}`, '-k'];
    expect(
      await told('refused-body', '--http1.1', ...place, '-T', upload, url('https', 'none.test')),
    ).toMatch(/ 404 /);
  });
});

describe.skipIf(isMissing('openssl', 'version'))('openssl s_client', () => {
  const sClient = async (...args: string[]): Promise<string> => {
    const place = ['-connect', `${served.daemon.address}:${HTTPS_PORT}`, '-servername', 'plain.test'];
    const running = run('openssl', ['s_client', ...place, '-CAfile', served.caFile, ...args]);
    // One that refuses the handshake ends before it reads.
    running.child.stdin?.on('error', () => undefined).end('Q\n');
    const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
    return stdout + stderr;
  };

  it.each([
    ['h2,http/1.1', /ALPN protocol: h2/],
    ['http/1.1,h2', /ALPN protocol: h2/],
    ['http/1.1', /ALPN protocol: http\/1\.1/],
    ['unknown,http/1.1', /ALPN protocol: http\/1\.1/],
    ['unknown', /no application protocol|No ALPN negotiated/],
  ])('ALPN %s', async (offered, answer) => {
    for (const version of ['-tls1_2', '-tls1_3'])
      expect(await sClient(version, '-alpn', offered)).toMatch(answer);
  });

  it.each(['-tls1_2', '-tls1_3'])('%s: a session of one connection is good for others', async (version) => {
    const file = join(served.folder, `session${version}`);
    // Under TLS 1.3 sessions come after the handshake: a request is waited for.
    const place = ['-connect', `${served.daemon.address}:${HTTPS_PORT}`, '-servername', 'plain.test'];
    const running = run('openssl', ['s_client', ...place, '-ign_eof', version, '-sess_out', file]);
    running.child.stdin?.end('GET / HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n');
    expect((await running).stdout).toContain('HTTP/1.1 200 OK');
    for (let i = 0; i < 4; i++)
      expect(await sClient(version, '-sess_in', file)).toMatch(/^Reused, TLSv1\.[23]/m);
  });

  it('the whole chain verifies, by every name of the certificate and by no other', async () => {
    expect(await sClient('-verify_hostname', 'http2.test')).toContain('Verify return code: 0 (ok)');
    expect(await sClient('-verify_hostname', 'other.test')).toContain('hostname mismatch');
  });
});
