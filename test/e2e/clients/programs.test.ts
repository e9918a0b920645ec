import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HTTP_PORT, HTTPS_PORT } from '../../support/daemon.ts';
import type { Http2Upstream } from '../../support/http2-upstream.ts';
import { LETTER, type ServedHosts, echoPod, echoPodOfHttp2, isMissing, serveHosts } from './site.ts';

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
  writeFileSync(join(served.folder, 'upload'), Buffer.alloc(300_000, 'abcdefghijklmnopqrstuvwxyz'));
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await plain[Symbol.asyncDispose]();
  await http2[Symbol.asyncDispose]();
});

const url = (scheme: 'http' | 'https', host: string, path = '/'): string =>
  `${scheme}://${host}:${scheme === 'https' ? HTTPS_PORT : HTTP_PORT}${path}`;

describe.skipIf(isMissing('curl'))('curl', () => {
  /** One process for all transfers: each has its own options, and those of one host share a connection. */
  const curl = async (...transfers: readonly (readonly string[])[]): Promise<string> => {
    const { daemon, caFile } = served;
    const places = HOSTS.flatMap((host) =>
      [HTTP_PORT, HTTPS_PORT].flatMap((port) => ['--resolve', `${host}:${port}:${daemon.address}`]),
    );
    const common = ['-sS', '--max-time', '20', '--cacert', caFile, ...places];
    const all = transfers.flatMap((each, index) => [...(index > 0 ? ['--next'] : []), ...common, ...each]);
    return (await run('curl', all, { maxBuffer: 64 * 1024 * 1024 })).stdout;
  };
  /** The options for a transfer that leaves the body in a file and says version, status and size in a line. */
  const told = (file: string, ...options: string[]): string[] => [
    ...['-o', join(served.folder, file), '-w', '%{http_version} %{http_code} %{size_download}\\n'],
    ...options,
  ];

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
    // curl 7.88 begins a connection anew that it takes again: that is a second preface.
    const reuses = what !== 'HTTP/2 with prior knowledge';
    it(`${what}: a page, HEAD, an upload with and without a length, and one that waits to be told`, async () => {
      const file = join(served.folder, 'upload');
      // HTTP/2 has no chunks.
      const chunks = version === '2' ? [] : ['-H', 'Transfer-Encoding: chunked'];
      const exchange = async (host: string): Promise<void> => {
        const page = url(scheme, host, '/bytes/500000');
        const upload = ['-T', file, url(scheme, host)];
        const transfers = [
          { how: [page], said: '200 500000' },
          { how: ['-I', page], said: '200 0' },
          { how: upload, said: '200 300000' },
          { how: ['-H', 'Content-Length:', ...chunks, ...upload], said: '200 300000' },
          {
            how: ['-H', 'Expect: 100-continue', '--expect100-timeout', '15', ...upload],
            said: '200 300000',
          },
        ];
        // The first request of a connection is a page of one host, and an upload to the other.
        if (host === 'http2.test') transfers.reverse();
        const all = transfers.map(({ how }, index) => told(`${host}-${index}`, ...options, ...how));
        const said = await (reuses ? curl(...all) : Promise.all(all.map((each) => curl(each))));
        expect([said].flat().join('').trimEnd().split('\n')).toEqual(
          transfers.map((transfer) => `${version} ${transfer.said}`),
        );
        for (const [index, { how }] of transfers.entries()) {
          if (!how.includes('-T')) continue;
          expect(readFileSync(join(served.folder, `${host}-${index}`)).equals(readFileSync(file))).toBe(true);
        }
      };
      await Promise.all(HOSTS.map(exchange));
    });
  }

  it('many at a time over one connection', async () => {
    const out = join(served.folder, 'many-#1');
    const said = await curl([
      '-Z',
      '--parallel-max',
      '50',
      '-o',
      out,
      url('https', 'plain.test', '/bytes/[1000-1099]'),
      '-w',
      '%{http_version} %{http_code} %{num_connects}\\n',
    ]);
    const lines = said.trim().split('\n');
    expect(lines).toHaveLength(100);
    expect(lines.every((line) => line.startsWith('2 200'))).toBe(true);
    for (let size = 1_000; size < 1_100; size++)
      expect(statSync(join(served.folder, `many-${size}`)).size).toBe(size);
  });

  it('trailers of a pod', async () => {
    const heads = join(served.folder, 'heads');
    for (const version of ['--http1.1', '--http2']) {
      await curl([version, '-D', heads, '-d', 'x=1', url('https', 'http2.test')]);
      expect(readFileSync(heads, 'latin1')).toMatch(/x-end: yes/i);
    }
  });

  it('an upload that is refused is answered, not broken off', async () => {
    const upload = join(served.folder, 'refused');
    writeFileSync(upload, '');
    truncateSync(upload, 5_000_000);
    const place = ['--resolve', `none.test:${HTTPS_PORT}:${served.daemon.address}`, '-k'];
    const refused = told('refused-body', '--http1.1', ...place, '-T', upload, url('https', 'none.test'));
    expect(await curl(refused)).toMatch(/ 404 /);
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
    for (let i = 0; i < 2; i++)
      expect(await sClient(version, '-sess_in', file)).toMatch(/^Reused, TLSv1\.[23]/m);
  });

  it('the whole chain verifies, by every name of the certificate and by no other', async () => {
    expect(await sClient('-verify_hostname', 'http2.test')).toContain('Verify return code: 0 (ok)');
    expect(await sClient('-verify_hostname', 'other.test')).toContain('hostname mismatch');
  });
});

/** The two ports, as the origin of a URL. */
const ports = {
  TLS: () => `https://${served.daemon.address}:${HTTPS_PORT}`,
  h2c: () => `http://${served.daemon.address}:${HTTP_PORT}`,
};
/** Octets that what nghttp says of frames does not have, so that bodies can be read among it. */
const LETTERS = Buffer.from(Array.from({ length: 95 }, (_, index) => 0xa1 + index));
const body = (length: number): string => {
  const file = join(served.folder, `body-${length}`);
  if (!existsSync(file)) writeFileSync(file, Buffer.alloc(length, LETTERS));
  return file;
};

describe.skipIf(isMissing('nghttp'))('nghttp', () => {
  const nghttp = async (host: string, url: string, ...args: string[]): Promise<string> => {
    const all = ['--no-verify-peer', '-v', '-t', '20', '-H', `:authority: ${host}`, ...args, url];
    return (await run('nghttp', all, { maxBuffer: 64 * 1024 * 1024, encoding: 'latin1' })).stdout;
  };
  const bodyOf = (said: string): string => said.replaceAll(/[\0-\x7f]+/g, '');
  const count = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

  for (const [name, origin] of Object.entries(ports)) {
    describe(name, () => {
      it.each(['plain.test', 'http2.test'])('asks for a page of %s', async (host) => {
        const said = await nghttp(host, `${origin()}/bytes/70000`);
        if (name === 'TLS') expect(said).toContain('The negotiated protocol: h2');
        expect(said).toContain(':status: 200');
        expect(said).not.toMatch(/recv (?:RST_STREAM|GOAWAY)/);
        expect(bodyOf(said) === LETTER.repeat(70_000)).toBe(true);
      });

      it.each(['plain.test', 'http2.test'])('sends a body and trailers to %s', async (host) => {
        const sent = ['-d', body(200_000), '--no-content-length', '--trailer', 'x-sum: 42'];
        const said = await nghttp(host, `${origin()}/`, ...sent);
        expect(said).toContain(':status: 200');
        expect(said).toContain('x-method: POST');
        // Each pod gives them back in its own way.
        expect(said).toMatch(
          host === 'plain.test' ? /\) x-trailers: \{"x-sum":"42"\}/ : /recv [^\n]*x-sum: 42/,
        );
        expect(bodyOf(said) === readFileSync(body(200_000), 'latin1')).toBe(true);
      });

      it('asks for a hundred at a time, with small windows, padding, large heads and a table of two sizes', async () => {
        const knobs = '-w 10 -W 12 -b 200 -c 0 -c 8192 --continuation -m 100'.split(' ');
        const said = await nghttp('plain.test', `${origin()}/bytes/3000`, ...knobs);
        expect(count(said, /recv [^\n]* :status: 200/g)).toBe(100);
        expect(said).not.toMatch(/recv (?:RST_STREAM|GOAWAY)/);
        expect(bodyOf(said) === LETTER.repeat(300_000)).toBe(true);
      });

      it('is answered before its body is over, and told that no more of it is wanted', async () => {
        const said = await nghttp('none.test', `${origin()}/`, '-d', body(5_000_000));
        expect(said).toContain(':status: 404');
        expect(said).toMatch(/recv RST_STREAM[^\n]*\n *\(error_code=NO_ERROR/);
      });
    });
  }

  // curl does these over TLS.
  it('waits with its body until it is told to go on', async () => {
    const said = await nghttp('plain.test', `${ports.h2c()}/`, '-d', body(10), '--expect-continue');
    expect(said).toContain(':status: 100');
    expect(said).toContain(':status: 200');
    expect(bodyOf(said)).toBe(readFileSync(body(10), 'latin1'));
  });

  it('asks for HEAD', async () => {
    const said = await nghttp('plain.test', `${ports.h2c()}/bytes/500`, '-H', ':method: HEAD');
    expect(said).toContain(':status: 200');
    expect(said).toContain('content-length: 500');
    expect(said).not.toMatch(/recv DATA frame <length=[1-9]/);
  });
});

describe.skipIf(isMissing('h2load'))('h2load', () => {
  const h2load = async (origin: string, host: string, path: string, ...args: string[]): Promise<string> =>
    (await run('h2load', ['-H', `:authority: ${host}`, ...args, `${origin}${path}`])).stdout;

  for (const [name, origin] of Object.entries(ports)) {
    it.each(['plain.test', 'http2.test'])(`${name}: a hundred streams at a time to %s`, async (host) => {
      const said = await h2load(origin(), host, '/bytes/100', '-n', '300', '-c', '2', '-m', '100');
      expect(said).toContain(
        '300 total, 300 started, 300 done, 300 succeeded, 0 failed, 0 errored, 0 timeout',
      );
      expect(said).toContain('300 2xx');
      if (name === 'TLS') expect(said).toContain('Application protocol: h2');
    });

    it(`${name}: bodies both ways through windows of a few kilobytes`, async () => {
      const knobs = ['-n', '100', '-c', '2', '-m', '20', '-w', '12', '-W', '13', '-d', body(30_000)];
      const said = await h2load(origin(), 'http2.test', '/', ...knobs);
      expect(said).toContain('100 succeeded, 0 failed, 0 errored');
      // (headers and data) of 100 bodies.
      expect(said).toMatch(/\(3000000\) data/);
    });
  }

  it('HTTP/1.1 on the TLS port, beside it', async () => {
    const said = await h2load(ports.TLS(), 'plain.test', '/', '--h1', '-n', '50', '-c', '2');
    expect(said).toContain('50 succeeded, 0 failed, 0 errored');
  });
});
