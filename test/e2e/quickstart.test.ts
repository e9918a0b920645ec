import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { type AddressInfo, type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { happens, until } from '../support/until.ts';

/** From here on nobody has a port without asking for it: port 0 and connections that go out have those from 32768 on. */
let nextPort = 20_000 + (process.pid % 500) * 20;
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** Ports that are in use; the next one is not. */
const [TAKEN, TAKEN_TOO] = await Promise.all(
  [holdNext(), holdNext()].map(async (held) => portOf((await held).unref())),
);
const ROOT = join(import.meta.dirname, '../..');

/** The example's manifests in a folder of their own, on ports that nobody else uses. */
async function copyOfExample(): Promise<{
  readonly parent: string;
  readonly shop: string;
  readonly ports: number[];
}> {
  const parent = await mkdtemp(join(tmpdir(), 'portico-quickstart-'));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  const folder = join(parent, 'quickstart');
  await cp(join(ROOT, 'examples/quickstart'), folder, { recursive: true });
  const held = await Promise.all([28181, 28182, 28183, 28184].map(() => holdNext()));
  const ports = held.map(portOf);
  await Promise.all(held.map(release));
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'utf8');
    const moved = text.replaceAll(/2818([1-4])/g, (_, digit: string) => String(ports[Number(digit) - 1]));
    await writeFile(join(folder, name), moved);
  }
  return { parent, shop: join(folder, 'shop.yaml'), ports };
}

/** Listens on a port that has a free one after it. */
async function holdNext(): Promise<Server> {
  for (;;) {
    const server = await hold((nextPort += 2));
    if (server !== null) return server;
  }
}

/** Listens on a port; null when somebody does already. */
async function hold(port: number): Promise<Server | null> {
  const server = createServer().listen(port, '127.0.0.1');
  return once(server, 'listening').then(
    () => server,
    () => null,
  );
}
async function release(server: Server | null): Promise<void> {
  if (server) await promisify(server.close.bind(server))();
}

interface Started {
  readonly process: ChildProcess;
  output(): string;
  /** Resolves when the output, from `offset` on, matches. */
  says(pattern: RegExp, offset?: number): Promise<void>;
}

function start(cwd: string): Started {
  // One thread: what one answer shows holds for the next.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PORTICO_TEST_'));
  const env = {
    ...Object.fromEntries(inherited),
    PORTICO_WORKERS: '1',
    PORTICO_HTTP_PORT: `${TAKEN}`,
    PORTICO_STATUS_PORT: `${TAKEN_TOO}`,
  };
  const child = spawn(process.execPath, [join(ROOT, 'examples/start.ts'), 'quickstart'], { cwd, env });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let output = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const look of waiting) look();
    });
  }
  return {
    process: child,
    output: () => output,
    says: (pattern, offset = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(output.slice(offset))) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        void ended.then(() => reject(new Error(`ended without saying ${String(pattern)}:\n${output}`)));
        look();
      }),
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** GET, as the curl line has it. */
function get(url: string, host?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = host ? { host } : {};
    const sent = request(url, { headers, agent: false }, async (response) => {
      let body = '';
      for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
      resolve({ status: response.statusCode ?? 0, body });
    });
    sent.on('error', reject).end();
  });
}

const hasCurl = (() => {
  try {
    return execFileSync('curl', ['--version']).length > 0;
  } catch {
    return false;
  }
})();

/** Runs a printed line as it stands, in a shell; where there is no curl, does what it would. */
async function paste(line: string): Promise<string> {
  if (!hasCurl) {
    const [, host, url = ''] = /^curl(?: -N)?(?: -H 'Host: (.*)')? (\S+)/.exec(line) ?? [];
    return (await get(url, host)).body;
  }
  const shell = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'ignore'] });
  let body = '';
  for await (const chunk of shell.stdout.setEncoding('utf8')) body += String(chunk);
  return body;
}

/** Asks again until the answer is as wished; fails with the last one. */
async function answers(ask: () => Promise<Answer>, wished: (answer: Answer) => boolean): Promise<void> {
  let last: Answer | null = null;
  const isWished = async (): Promise<boolean> => wished((last = await ask()));
  await until(isWished, wished.toString(), 10).catch((error: Error) => {
    throw new Error(`${error.message}; the last answer was ${JSON.stringify(last)}`);
  });
}

test('npm start: every printed line works, an edit counts at once, a mistake is placed and harmless', async () => {
  const { parent, shop, ports } = await copyOfExample();
  const started = start(parent);
  await started.says(/Ctrl-C stops everything/);

  const screen = started.output().split('\n');
  expect(screen.length).toBeLessThanOrEqual(24);
  const logged = /^\d\d:\d\d:\d\d/;
  for (const line of screen) if (!logged.test(line)) expect(line.length).toBeLessThanOrEqual(80);
  const url =
    new RegExp(`http://localhost:\\d+ \\(${TAKEN} is in use\\)`).exec(started.output())?.[0].split(' ')[0] ??
    '';
  expect(url).not.toBe('');

  const lines = screen.map((line) => line.trim()).filter((line) => line.startsWith('curl'));
  const bodies = new Map<string, string>();
  for (const line of lines) bodies.set(line.replace(/http:\/\/localhost:\d+/, ''), await paste(line));
  const saw = [...bodies].map(([line, body]) => [line, body.split('\n')[0]]);
  expect(saw).toEqual([
    ["curl -H 'Host: pr-7.preview.localhost' /", expect.stringMatching(/^This is preview-1\./)],
    ["curl -H 'Host: shop.localhost' /", expect.stringMatching(/^This is shop-[12]\./)],
    ["curl -H 'Host: shop.localhost' /cart", expect.stringMatching(/^This is cart-1\./)],
    [
      "curl -N -H 'Host: shop.localhost' /events",
      expect.stringMatching(/^data: event 1 of 3 from shop-[12]$/),
    ],
    ["curl -H 'Host: nobody.localhost' /", expect.stringMatching(/^404 Not Found: no route/)],
    ['curl /metrics', expect.stringMatching(/^# HELP /)],
  ]);
  expect(bodies.get("curl -H 'Host: shop.localhost' /")).toContain('x-forwarded-for: 127.0.0.1');
  expect(bodies.get("curl -N -H 'Host: shop.localhost' /events")).toContain('event 3 of 3');

  const manifest = await readFile(shop, 'utf8');
  const moved = manifest.replace('shop.localhost', 'store.localhost');
  await writeFile(shop, moved);
  await answers(
    () => get(url, 'store.localhost'),
    ({ status }) => status === 200,
  );
  await answers(
    () => get(url, 'shop.localhost'),
    ({ status }) => status === 404,
  );

  const offset = started.output().length;
  await writeFile(shop, moved.replace('    - host: store', '\t- host: store'));
  const line = moved.split('\n').findIndex((text) => text.includes('- host: store')) + 1;
  await started.says(new RegExp(`quickstart/shop\\.yaml:${line}:`), offset);
  expect((await get(url, 'store.localhost')).status).toBe(200);

  await writeFile(shop, manifest);
  await started.says(/resolved: /, offset);
  await answers(
    () => get(url, 'shop.localhost'),
    ({ status }) => status === 200,
  );

  // Under npm a Ctrl-C comes from the terminal and from npm.
  started.process.kill('SIGINT');
  started.process.kill('SIGTERM');
  expect(await happens(started.process, 'exit')).toEqual([0, null]);
  for (const port of ports) await expect(get(`http://127.0.0.1:${port}/`)).rejects.toThrow('ECONNREFUSED');
  await expect(get(url)).rejects.toThrow();
});

test('npm start: an upstream whose port is in use is named with what to do', async () => {
  const { parent, ports } = await copyOfExample();
  const taken = await hold(ports[1] ?? 0);
  onTestFinished(() => release(taken));
  const started = start(parent);
  expect(await happens(started.process, 'close')).toEqual([1, null]);
  expect(started.output()).toBe(
    `npm start: the example upstream shop-2 needs 127.0.0.1:${ports[1]}, which is in use: ` +
      'stop what uses it, or change the port in quickstart\n',
  );
});
