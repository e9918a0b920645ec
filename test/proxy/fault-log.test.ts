import { expect, test } from 'vitest';
import { FaultLog } from '../../src/proxy/fault-log.ts';

test('each fault is counted, and each distinct one is told once a minute', () => {
  let now = 0;
  const told: string[] = [];
  const log = new FaultLog(
    (stack) => told.push(stack),
    () => now,
  );
  const [one, other] = [new Error('one'), new TypeError('other')];
  for (const fault of [one, one, other, one]) log.report(fault);
  expect(told.map((stack) => stack.split('\n', 1)[0])).toEqual(['Error: one', 'TypeError: other']);
  expect(told[0]).toContain('fault-log.test.ts');
  now = 60_000;
  log.report(one);
  expect([log.count, told.length]).toEqual([5, 3]);
});

test('whatever is thrown is told, and faults without end fill no memory', () => {
  const told: string[] = [];
  const log = new FaultLog(
    (stack) => told.push(stack),
    () => 0,
  );
  const textless = { toString: () => null };
  for (const thrown of [undefined, 'text', 7n, textless, Object.create(null)]) log.report(thrown);
  expect(told).toEqual(['undefined', 'text', '7', 'null', 'something that has no text was thrown']);
  for (let i = 0; i < 1_000; i++) log.report(`fault ${i}`);
  log.report('fault 999');
  expect(told).toHaveLength(1_005);
});
