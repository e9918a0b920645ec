import { expect, test } from 'vitest';
import { FairQueue } from '../../src/publish/fair-queue.ts';

function takeAll(queue: FairQueue): string[] {
  const taken: string[] = [];
  for (let next = queue.take(); next !== null; next = queue.take()) taken.push(next.key);
  return taken;
}

test('groups take turns, and each key is there once', () => {
  const queue = new FairQueue();
  for (const key of ['a1', 'a2', 'a3', 'a1', 'b1', 'a4', 'c1', 'b2']) queue.add(key.slice(0, 1), key);
  expect(takeAll(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  expect(queue.isReady).toBe(false);
});

test('a group that is paused waits, and no other', () => {
  const queue = new FairQueue();
  for (const key of ['a1', 'b1', 'a2']) queue.add(key.slice(0, 1), key);
  queue.pause('a');
  expect(takeAll(queue)).toEqual(['b1']);
  expect([queue.isReady, queue.isPaused]).toEqual([false, true]);
  queue.resume('a');
  expect(takeAll(queue)).toEqual(['a1', 'a2']);
});
