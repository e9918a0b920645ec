import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';

const run = promisify(execFile);

/** Runs where the program is installed; says so where it is not. */
function withProgram(program: string, title: string, test: () => Promise<void>): void {
  const missing = spawnSync(program, ['--version']).error !== undefined;
  it.skipIf(missing)(missing ? `${title} (${program} is not installed)` : title, test);
}

withProgram('curl', 'curl with prior knowledge: GET, and an upload of a megabyte', async () => {
  await using plain = await recordingUpstream('hello');
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    stream.pipe(stream);
  });
  const sites = [{ ports: [plain.port] }, { host: 'h2.test', ports: [pod.port], protocol: 'h2c' as const }];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  const curl = async (...args: string[]): Promise<string> => {
    const all = [
      '-sS',
      '--max-time',
      '10',
      '--http2-prior-knowledge',
      ...args,
      `http://127.0.0.1:${proxy.port}/`,
    ];
    return (await run('curl', all, { maxBuffer: 8_000_000 })).stdout;
  };
  expect(await curl('-H', 'Host: app.test', '-w', ' %{http_version} %{http_code}')).toBe('hello 2 200');
  const body = 'x'.repeat(100_000);
  const echoed = await curl('-H', 'Host: h2.test', '--data-binary', body);
  expect(echoed).toBe(body);
});

withProgram('nghttp', 'nghttp: a request and its response, frame by frame', async () => {
  await using pod = await recordingUpstream('hello');
  await using proxy = await startProxy(nativeEngine, [{ host: '127.0.0.1.test', ports: [pod.port] }], {
    h2c: true,
  });
  const { stdout } = await run('nghttp', [
    '-v',
    '-H',
    ':authority: 127.0.0.1.test',
    `http://127.0.0.1:${proxy.port}/a`,
  ]);
  expect(stdout).toContain(':status: 200');
  expect(stdout).toContain('hello');
  expect(pod.requests[0]?.startLine).toBe('GET /a HTTP/1.1');
});

withProgram('h2load', 'h2load: a hundred streams at a time, every one answered', async () => {
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    stream.end('hello');
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  const args = ['-n', '2000', '-c', '2', '-m', '100', '-H', ':authority: app.test'];
  const { stdout } = await run('h2load', [...args, `http://127.0.0.1:${proxy.port}/`]);
  expect(stdout).toContain('2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored');
  expect(stdout).toContain('2000 2xx');
});
