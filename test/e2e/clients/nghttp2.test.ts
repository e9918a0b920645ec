import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HTTP_PORT, HTTPS_PORT } from '../../support/daemon.ts';
import type { Http2Upstream } from '../../support/http2-upstream.ts';
import { type ServedHosts, echoPod, echoPodOfHttp2, isMissing, serveHosts } from './site.ts';

const run = promisify(execFile);

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

/** The two ports, as the origin of a URL. */
const ports = {
  TLS: () => `https://${served.daemon.address}:${HTTPS_PORT}`,
  h2c: () => `http://${served.daemon.address}:${HTTP_PORT}`,
};
const body = (length: number): string => {
  const file = join(served.folder, `body-${length}`);
  writeFileSync(file, Buffer.alloc(length, 'abcdefghijklmnopqrstuvwxyz'));
  return file;
};

describe.skipIf(isMissing('nghttp'))('nghttp', () => {
  const nghttp = async (host: string, url: string, ...args: string[]): Promise<string> => {
    const all = ['--no-verify-peer', '-t', '20', '-H', `:authority: ${host}`, ...args, url];
    return (await run('nghttp', all, { maxBuffer: 64 * 1024 * 1024 })).stdout;
  };
  /** What it says of each frame, without the bodies. */
  const frames = (host: string, url: string, ...args: string[]): Promise<string> =>
    nghttp(host, url, '-v', '-n', ...args);
  const count = (text: string, what: RegExp): number => [...text.matchAll(what)].length;

  for (const [name, origin] of Object.entries(ports)) {
    describe(name, () => {
      it.each(['plain.test', 'http2.test'])('asks for a page of %s', async (host) => {
        const said = await frames(host, `${origin()}/bytes/70000`);
        if (name === 'TLS') expect(said).toContain('The negotiated protocol: h2');
        expect(said).toContain(':status: 200');
        expect(said).not.toMatch(/recv (?:RST_STREAM|GOAWAY)/);
        expect((await nghttp(host, `${origin()}/bytes/70000`)) === 'x'.repeat(70_000)).toBe(true);
      });

      it.each(['plain.test', 'http2.test'])('sends a body and trailers to %s', async (host) => {
        const sent = ['-d', body(200_000), '--no-content-length', '--trailer', 'x-sum: 42'];
        const said = await frames(host, `${origin()}/`, ...sent);
        expect(said).toContain(':status: 200');
        expect(said).toContain('x-method: POST');
        // Each pod gives them back in its own way.
        expect(said).toMatch(
          host === 'plain.test' ? /\) x-trailers: \{"x-sum":"42"\}/ : /recv [^\n]*x-sum: 42/,
        );
        const echoed = await nghttp(host, `${origin()}/`, ...sent);
        expect(echoed === readFileSync(body(200_000), 'latin1')).toBe(true);
      });

      it('asks for a hundred at a time, with small windows, padding, large heads and a table of two sizes', async () => {
        const knobs = '-w 10 -W 12 -b 200 -c 0 -c 8192 --continuation -m 100'.split(' ');
        const said = await frames('plain.test', `${origin()}/bytes/3000`, ...knobs);
        expect(count(said, /recv [^\n]* :status: 200/g)).toBe(100);
        expect(said).not.toMatch(/recv (?:RST_STREAM|GOAWAY)/);
        const bodies = await nghttp('plain.test', `${origin()}/bytes/3000`, ...knobs);
        expect(bodies === 'x'.repeat(300_000)).toBe(true);
      });

      it('waits with its body until it is told to go on', async () => {
        const said = await nghttp('plain.test', `${origin()}/`, '-v', '-d', body(10), '--expect-continue');
        expect(said).toContain(':status: 100');
        expect(said).toContain(':status: 200');
        expect(said).toContain('abcdefghij');
      });

      it('is answered before its body is over, and told that no more of it is wanted', async () => {
        const said = await frames('none.test', `${origin()}/`, '-d', body(5_000_000));
        expect(said).toContain(':status: 404');
        expect(said).toMatch(/recv RST_STREAM[^\n]*\n *\(error_code=NO_ERROR/);
      });

      it('asks for HEAD', async () => {
        const said = await frames('plain.test', `${origin()}/bytes/500`, '-H', ':method: HEAD');
        expect(said).toContain(':status: 200');
        expect(said).toContain('content-length: 500');
        expect(said).not.toMatch(/recv DATA frame <length=[1-9]/);
      });
    });
  }
});

describe.skipIf(isMissing('h2load'))('h2load', () => {
  const h2load = async (origin: string, host: string, path: string, ...args: string[]): Promise<string> =>
    (await run('h2load', ['-H', `:authority: ${host}`, ...args, `${origin}${path}`])).stdout;

  for (const [name, origin] of Object.entries(ports)) {
    it.each(['plain.test', 'http2.test'])(`${name}: a hundred streams at a time to %s`, async (host) => {
      const said = await h2load(origin(), host, '/bytes/100', '-n', '1000', '-c', '2', '-m', '100');
      expect(said).toContain(
        '1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout',
      );
      expect(said).toContain('1000 2xx');
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
    const said = await h2load(ports.TLS(), 'plain.test', '/', '--h1', '-n', '200', '-c', '2');
    expect(said).toContain('200 succeeded, 0 failed, 0 errored');
  });
});
