import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createFolder } from './e2e/folder.ts';

const LOG = new URL('../src/controller/log-sink.ts', import.meta.url).href;

/** Runs a module that has `log` at hand in a process of its own: its standard output is what is tested. */
function run(options: object, body: string, stdout: 'pipe' | number = 'pipe') {
  const script = `
    import { openLog } from ${JSON.stringify(LOG)};
    const log = openLog({ level: 'info', format: 'json', fd: 1, ...${JSON.stringify(options)} });
    ${body}
    await log.end(1_000);
    process.stderr.write(String(log.droppedBytes()));
  `;
  const ended = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', stdout, 'pipe'],
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  });
  return { code: ended.status, stdout: ended.stdout, dropped: ended.stderr };
}

it('writes everything before it ends, in order, and drops nothing while somebody reads', () => {
  const { code, stdout, dropped } = run(
    {},
    `for (let i = 0; i < 2_000; i++) {
       if (i % 2) log.logger.info({ i }, 'said'); else log.lines(JSON.stringify({ i }) + '\\n');
     }`,
  );
  expect([code, dropped]).toEqual([0, '0']);
  const numbers = stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { i: number }).i);
  expect(numbers).toEqual(Array.from({ length: 2_000 }, (_, index) => index));
});

it('json: level, time and message; text: for people, fields behind', () => {
  const body = `log.logger.warn({ kind: 'Ingress', count: 3 }, 'look here'); log.logger.debug('not this');`;
  expect(JSON.parse(run({}, body).stdout)).toEqual({
    level: 'warn',
    stream: 'control',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    kind: 'Ingress',
    count: 3,
    msg: 'look here',
  });
  expect(run({ format: 'text' }, body).stdout).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}look here kind=Ingress count=3\n$/,
  );
  // Nobody sits before a pipe.
  expect(run({ format: 'auto' }, body).stdout).toMatch(/^\{/);
});

it('text: what objects and servers say cannot move a cursor or begin a line', () => {
  const { stdout } = run(
    { format: 'text' },
    String.raw`log.logger.info({ from: 'a\u001b[2J\nb' }, 'line\nfeed \u009b1A bell\u0007'); log.lines('access\n');`,
  );
  expect(stdout.split('\n')).toHaveLength(3);
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

it('a level below is not written, and silent is silent but for the access log', () => {
  const body = `log.logger.info('info'); log.logger.error('error'); log.lines('access\\n');`;
  expect(run({ level: 'error', format: 'text' }, body).stdout).toMatch(/^\S+ ERROR error\naccess\n$/);
  expect(run({ level: 'silent' }, body).stdout).toBe('access\n');
});

it('appends to a file after what is there, instead of writing over it', async () => {
  await using folder = createFolder();
  const path = join(folder.path, 'log');
  const file = openSync(path, 'w');
  try {
    writeSync(file, 'before\n');
    run(
      { format: 'text', level: 'silent' },
      `process.stdout.write('direct\\n'); log.lines('line\\n');`,
      file,
    );
    writeSync(file, 'after\n');
  } finally {
    closeSync(file);
  }
  expect(readFileSync(path, 'utf8').split('\n').sort()).toEqual(['', 'after', 'before', 'direct', 'line']);
});

it('more than the buffer holds at once is dropped and counted, the rest is written whole', () => {
  const { code, stdout, dropped } = run(
    {},
    `for (let i = 0; i < 60; i++) log.lines('x'.repeat(65_535) + '\\n');`,
  );
  expect(code).toBe(0);
  const lines = stdout.split('\n').slice(0, -1);
  expect(new Set(lines.map((line) => line.length))).toEqual(new Set([65_535]));
  expect(Number(dropped)).toBe((60 - lines.length) * 65_536);
  expect(lines.length).toBeGreaterThan(8);
  expect(lines.length).toBeLessThan(60);
});
