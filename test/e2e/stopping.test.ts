import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type Daemon, eventually, startDaemon } from '../support/daemon.ts';
import { type RawClient } from '../support/raw-client.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, manifest, siteObjects } from './site.ts';

// Each has a process of its own, and most of its time goes into starting it.
/** Of a signal that comes while it ends already, it may be that one. */
const END_AT_ONCE = [130, 'SIGINT'];

/** Sends another signal, again and again: right after the first one it counts for the same. */
async function hurry(daemon: Daemon): Promise<number | NodeJS.Signals> {
  let code: number | NodeJS.Signals | null = null;
  void daemon.exited.then((ended) => (code = ended));
  await eventually(async () => {
    daemon.signal('SIGINT');
    return code !== null;
  });
  return await daemon.exited;
}

/** What makes threads of Portico hang when they are to drain. */
function threadsThatStay({ path }: Folder): Record<string, string> {
  const fifo = join(path, 'nobody-writes');
  // To open it does not return, and nothing ends a call of the system.
  const blocks = `import { isMainThread, parentPort } from 'node:worker_threads';
    import { readFileSync } from 'node:fs';
    if (!isMainThread) parentPort.on('message', ({ kind }) => kind === 'drain' && readFileSync('${fifo}'));`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(blocks)}` };
}

// Signals come to the process, whichever engine its threads have: the other one is ended in rollout.test.ts.
describe.concurrent('a signal to stop', () => {
  let folder: Folder;
  beforeAll(() => {
    folder = createFolder();
    execFileSync('mkfifo', [join(folder.path, 'nobody-writes')]);
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  const start = (pod: Pod, ...args: string[]): Promise<Daemon> => startIn({}, pod, ...args);

  async function startIn(env: Record<string, string>, pod: Pod, ...args: string[]): Promise<Daemon> {
    const site = { host: 'shop.test', endpoints: [pod.endpoint] };
    await folder.put(`${pod.name}.yaml`, manifest(INGRESS_CLASS, ...siteObjects(site)));
    const source = `${folder.path}/${pod.name}.yaml`;
    const daemon = startDaemon({
      args: ['--manifests', source, ...args],
      env,
    });
    await daemon.ready();
    return daemon;
  }
  const askSlowly = (client: RawClient): void => client.send('GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n');

  it('SIGTERM: not ready, nothing new is accepted, what is under way is finished, 0', async ({ expect }) => {
    await using pod = await startPod('finishing');
    await using daemon = await start(pod, '--workers', '2');
    using slow = await daemon.connect();
    using idle = await daemon.connect();
    idle.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    expect((await idle.message()).status).toBe(200);
    expect((await daemon.request('203.0.113.9', '/healthz')).status).toBe(200);
    askSlowly(slow);
    await pod.holds(1);
    expect(await daemon.metric('portico_requests_in_flight')).toBe(1);

    daemon.signal('SIGTERM');
    expect(await daemon.line(/draining/)).toContain('SIGTERM: draining for at most 30000 ms');
    const { status, body } = await daemon.status('/readyz');
    expect(status).toBe(503);
    expect(body).toContain('[-]not-draining stopping\n');
    expect((await daemon.status('/healthz')).status).toBe(200);
    await idle.ended;
    await eventually(async () =>
      daemon.connect().then(
        (client) => {
          client[Symbol.dispose]();
          return false;
        },
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
      ),
    );

    pod.release();
    const finished = await slow.message();
    expect([finished.status, finished.body]).toEqual([200, 'finishing']);
    expect(finished.field('connection')?.toLowerCase()).toBe('close');
    expect(await daemon.exited).toBe(0);
    expect(daemon.output()).toContain('drained: every request was finished');
    // The last requests are in the log.
    expect(daemon.output()).toMatch(/"target":"\/slow".*"status":200/);
  });

  it('SIGINT: what is not finished in time is cut and counted, and the exit code is still 0', async ({
    expect,
  }) => {
    await using pod = await startPod('cutting');
    await using daemon = await start(pod, '--drain-timeout', '100ms');
    using first = await daemon.connect();
    using second = await daemon.connect();
    askSlowly(first);
    askSlowly(second);
    await pod.holds(2);
    expect(await daemon.stop('SIGINT')).toBe(0);
    await Promise.all([first.ended, second.ended]);
    expect([first.text, second.text]).toEqual(['', '']);
    expect(daemon.output()).toContain('SIGINT: draining for at most 100 ms');
    expect(daemon.output()).toContain('drained: 2 requests did not finish in time and were aborted');
  });

  it('a thread that does not end when it is told to does not keep the process', async ({ expect }) => {
    await using pod = await startPod('stuck');
    await using daemon = await startIn(threadsThatStay(folder), pod, '--drain-timeout', '1ms');
    // By no signal: the first process of a container gets none of its own.
    expect(await daemon.stop()).toBe(137);
    expect(daemon.output()).toContain('drained: 1 request did not finish in time');
    expect(daemon.output()).toContain('a thread did not end, so the process ends without it');
  });

  it('a later signal, of whichever kind, ends it at once, whatever its threads do; the same one twice in a row is one', async ({
    expect,
  }) => {
    await using pod = await startPod('hurrying');
    await using hurried = await startIn(threadsThatStay(folder), pod, '--drain-timeout', '1h');
    using slow = await hurried.connect();
    askSlowly(slow);
    await pod.holds(1);
    hurried.signal('SIGTERM');
    hurried.signal('SIGTERM');
    await hurried.line(/draining/);
    expect((await hurried.status('/readyz')).status).toBe(503);
    expect(END_AT_ONCE).toContain(await hurry(hurried));
  });
});
