import { array, assert, nat, property, string } from 'fast-check';
import { expect, test } from 'vitest';
import { LineCutter, LineTooLong } from '../../src/watch/line-cutter.ts';

test('lines come out whole wherever the bytes are cut', () => {
  const line = string({ unit: 'grapheme' }).map((text) => text.replaceAll('\n', ' '));
  assert(
    property(array(line), array(nat({ max: 400 })), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
      const cutter = new LineCutter(1_000_000);
      const places = [
        0,
        ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
        bytes.length,
      ];
      const out = places
        .slice(1)
        .flatMap((end, index) => [...cutter.push(bytes.subarray(places[index], end))]);
      expect(out).toEqual(lines.filter((line) => line !== ''));
      expect(cutter.unfinished).toBe(false);
    }),
  );
});

test('a stream that ends in the middle of a line says so', () => {
  const cutter = new LineCutter(100);
  expect([...cutter.push(Buffer.from('one\ntw'))]).toEqual(['one']);
  expect(cutter.unfinished).toBe(true);
});

test.each([
  ['in one chunk', [Buffer.alloc(101, 'x')]],
  ['in many', Array.from({ length: 11 }, () => Buffer.alloc(10, 'x'))],
  ['with its end', [Buffer.alloc(60, 'x'), Buffer.from(`${'x'.repeat(60)}\n`)]],
])('a line beyond the limit throws, %s', (_how, chunks) => {
  const cutter = new LineCutter(100);
  expect(() => chunks.map((chunk) => [...cutter.push(chunk)])).toThrow(LineTooLong);
});
