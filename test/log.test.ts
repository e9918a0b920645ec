import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createFolder } from './e2e/folder.ts';
import { LIMIT_MS } from './support/until.ts';

const LOG = new URL('../src/controller/log-sink.ts', import.meta.url).href;

/** What is logged: with which options, and the code that has `log` at hand. */
type Logging = readonly [options: object, code: string];

/**
 * Logs in a process of its own, whose standard output is what is tested: one log after the other, of which each writes to its
 * end before the next one is opened.
 */
function run(logs: readonly Logging[], stdout: 'pipe' | number = 'pipe') {
  const parts = logs.map(
    ([options, code]) => `{
      const log = openLog({ level: 'info', format: 'json', fd: 1, ...${JSON.stringify(options)} });
      ${code}
      await log.end(1_000);
      dropped += log.droppedBytes();
    }`,
  );
  const script = `
    import { writeSync } from 'node:fs';
    import { openLog } from ${JSON.stringify(LOG)};
    let dropped = 0;
    ${parts.join("\nwriteSync(1, '\\0');\n")}
    process.stderr.write(String(dropped));
  `;
  const ended = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', stdout, 'pipe'],
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
    timeout: LIMIT_MS,
  });
  const written = ended.stdout?.split('\0') ?? [];
  return { code: ended.status, written, stdout: written[0] ?? '', dropped: ended.stderr };
}

it('writes everything before it ends, in order, and drops nothing while somebody reads', () => {
  const { code, stdout, dropped } = run([
    [
      {},
      `for (let i = 0; i < 2_000; i++) {
         if (i % 2) log.logger.info({ i }, 'said'); else log.lines(JSON.stringify({ i }) + '\\n');
       }`,
    ],
  ]);
  expect([code, dropped]).toEqual([0, '0']);
  const numbers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { i: number }).i);
  expect(numbers).toEqual(Array.from({ length: 2_000 }, (_, index) => index));
});

it('writes JSON with level and time, or text for people, at its level and above', () => {
  const warned = `log.logger.warn({ kind: 'Ingress', count: 3 }, 'look here'); log.logger.debug('not this');`;
  const hostile = String.raw`log.logger.info({ from: 'a\u001b[2J\nb' }, 'line\nfeed \u009b1A bell\u0007'); log.lines('access\n');`;
  const levels = `log.logger.info('info'); log.logger.error('error'); log.lines('access\\n');`;
  const { written } = run([
    [{}, warned],
    [{ format: 'text' }, warned],
    [{ format: 'auto' }, warned],
    [{ format: 'text' }, hostile],
    [{ level: 'error', format: 'text' }, levels],
    [{ level: 'silent' }, levels],
  ]);
  const [json = '', text = '', auto = '', harmless = '', errors = '', silent = ''] = written;
  expect(JSON.parse(json)).toEqual({
    level: 'warn',
    stream: 'control',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    kind: 'Ingress',
    count: 3,
    msg: 'look here',
  });
  expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} WARN {2}look here kind=Ingress count=3\n$/);
  // Nobody sits before a pipe.
  expect(auto).toMatch(/^\{/);
  // What objects and servers say cannot move a cursor or begin a line.
  expect(harmless.split('\n')).toHaveLength(3);
  expect(harmless).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  expect(errors).toMatch(/^\S+ ERROR error\naccess\n$/);
  // The access log has no level.
  expect(silent).toBe('access\n');
});

it('appends to a file after what is there, instead of writing over it', async () => {
  await using folder = createFolder();
  const path = join(folder.path, 'log');
  const file = openSync(path, 'w');
  try {
    writeSync(file, 'before\n');
    run(
      [[{ format: 'text', level: 'silent' }, `process.stdout.write('direct\\n'); log.lines('line\\n');`]],
      file,
    );
    writeSync(file, 'after\n');
  } finally {
    closeSync(file);
  }
  expect(readFileSync(path, 'utf8').split('\n').sort()).toEqual(['', 'after', 'before', 'direct', 'line']);
});

it('more than the buffer holds at once is dropped and counted, the rest is written whole', () => {
  const { code, stdout, dropped } = run([
    [{}, `for (let i = 0; i < 60; i++) log.lines('x'.repeat(65_535) + '\\n');`],
  ]);
  expect(code).toBe(0);
  const lines = stdout.split('\n').slice(0, -1);
  expect(new Set(lines.map((line) => line.length))).toEqual(new Set([65_535]));
  expect(Number(dropped)).toBe((60 - lines.length) * 65_536);
  expect(lines.length).toBeGreaterThan(8);
  expect(lines.length).toBeLessThan(60);
});

it('on a full disk lines are lost, and nothing else is', () => {
  const full = openSync('/dev/full', 'w');
  try {
    // Each write fails while the next line comes: an error that nobody listened to would end the process.
    const body = `for (let i = 0; i < 20; i++) {
      log.lines('line\\n');
      await new Promise((go) => setTimeout(go, 2));
    }`;
    expect(run([[{}, body]], full).code).toBe(0);
  } finally {
    closeSync(full);
  }
});
