import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { PasswordChecks } from '../../src/proxy/password-checks.ts';
import type { PasswordQuestion } from '../../src/proxy/threads/password-worker.ts';
import { until } from '../support/until.ts';

const HASH = '$2y$05$CCCCCCCCCCCCCCCCCCCCC.Wu1bsEWQW5nNN6kAoQ74kf4plG/SBq6';
const open: MessagePort[] = [];
afterEach(() => open.splice(0).forEach((port) => port.close()));

/** Password checks whose questions the test answers. */
function checks() {
  const questions: PasswordQuestion[] = [];
  const world = { now: 0, connections: 0, worker: null as MessagePort | null };
  const made = new PasswordChecks({
    connect() {
      const { port1, port2 } = new MessageChannel();
      port2.on('message', (question: PasswordQuestion) => void questions.push(question));
      open.push(port1, port2);
      world.worker = port2;
      world.connections++;
      return port1;
    },
    now: () => world.now,
  });
  return {
    world,
    questions,
    check: (password: string, namespace = 'shop', hash = HASH) =>
      made.check(namespace, hash, Buffer.from(password)),
    answer(matches: boolean) {
      for (const { id } of questions.splice(0)) world.worker?.postMessage({ id, matches });
    },
  };
}

test('what takes microseconds is answered at once, and starts no thread', () => {
  const { check, world } = checks();
  expect(check('secret', 'shop', '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=')).toBe('right');
  expect(check('secret', 'shop', '{PLAIN}other')).toBe('wrong');
  expect(world.connections).toBe(0);
});

test('the rest is asked once, however many wait for it, and remembered for five minutes', async () => {
  const { check, questions, answer, world } = checks();
  const both = [check('pw'), check('pw')];
  await until(() => questions.length === 1);
  expect(Buffer.from(questions[0]?.password ?? []).toString()).toBe('pw');
  answer(true);
  expect(await Promise.all(both)).toEqual(['right', 'right']);
  expect(check('pw')).toBe('right');
  // What one namespace has found out is nothing to another.
  const other = check('pw', 'blog');
  await until(() => questions.length === 1);
  answer(false);
  expect(await other).toBe('wrong');
  expect([check('pw'), check('pw', 'blog')]).toEqual(['right', 'wrong']);
  world.now = 5 * 60_000;
  expect(check('pw')).toBeInstanceOf(Promise);
});

test('a namespace has a share of those that wait; the others are not kept from theirs', async () => {
  const { check, questions, answer } = checks();
  const waiting = Array.from({ length: 8 }, (_, n) => check(`guess ${n}`));
  expect(check('one more')).toBe('busy');
  const other = check('pw', 'blog');
  expect(other).toBeInstanceOf(Promise);
  await until(() => questions.length === 9);
  answer(false);
  expect(new Set(await Promise.all([...waiting, other]))).toEqual(new Set(['wrong']));
  expect(check('one more')).toBeInstanceOf(Promise);
});

test('when the thread that hashes ends, those that wait are told to come again, and it is started anew', async () => {
  const { check, questions, answer, world } = checks();
  const lost = check('pw');
  await until(() => questions.length === 1);
  questions.length = 0;
  world.worker?.close();
  expect(await lost).toBe('busy');
  const again = check('pw');
  await until(() => questions.length === 1);
  answer(true);
  expect([await again, world.connections]).toEqual(['right', 2]);
});

test('a flood of wrong passwords makes room for itself, and not at the cost of others', async () => {
  const { check, questions, answer } = checks();
  const known = check('pw', 'blog');
  await until(() => questions.length === 1);
  answer(true);
  await known;
  for (let round = 0; round < 150; round++) {
    const some = Array.from({ length: 8 }, (_, n) => check(`guess ${round} ${n}`));
    await until(() => questions.length === 8);
    answer(false);
    await Promise.all(some);
  }
  expect([check('guess 149 7'), check('pw', 'blog')]).toEqual(['wrong', 'right']);
  expect(check('guess 0 0')).toBeInstanceOf(Promise);
});
