import { expect, test } from 'vitest';
import { ContentCopy, CopyMemory } from '../../src/proxy/content-copy.ts';
import { seededRandom } from '../support/random.ts';

test('gives what was added, however both go on by turns, and frees its memory', () => {
  const random = seededRandom(11);
  const memory = new CopyMemory();
  const most = Buffer.from(Array.from({ length: 200_000 }, (_, n) => n % 251));
  for (let round = 0; round < 200; round++) {
    const size = Math.floor(random() ** 3 * 200_000);
    const bytes = most.subarray(0, size);
    const copy = new ContentCopy(memory, 'shop', random() < 0.5 ? size : null);
    const taken: Buffer[] = [];
    let at = 0;
    const take = (): void => {
      for (let piece = copy.next(); piece !== null; piece = copy.next()) taken.push(Buffer.from(piece));
    };
    while (at < size) {
      const to = Math.min(size, at + 1 + Math.floor(random() * 50_000));
      copy.add(bytes, at, to);
      at = to;
      if (random() < 0.5) take();
      expect(copy.waiting).toBe(at - taken.reduce((sum, { length }) => sum + length, 0));
      if (random() < 0.2 && copy.rewind()) taken.length = 0;
    }
    copy.end();
    take();
    expect(copy.isWhole && copy.waiting === 0 && Buffer.concat(taken).equals(bytes)).toBe(true);
    copy.drop();
  }
  // All of it is free again: a quarter for one.
  expect(memory.take('shop', 8 * 1024 * 1024)).toBe(true);
  expect(memory.take('shop', 1)).toBe(false);
});

test('is lost where nobody takes it, and tells so once', () => {
  const copy = new ContentCopy(new CopyMemory(), 'shop', null);
  const lost: string[] = [];
  copy.read({ onCopied() {}, onCopyLost: (reason) => void lost.push(reason) });
  const piece = Buffer.alloc(100_000);
  for (let n = 0; n < 20; n++) copy.add(piece, 0, piece.length);
  copy.lose('client-gone');
  expect(lost).toEqual(['behind']);
  expect([copy.next(), copy.isWhole, copy.rewind()]).toEqual([null, false, false]);
});

test('a namespace takes a quarter of the memory, and leaves the rest to others', () => {
  const memory = new CopyMemory(400_000);
  const lost = (namespace: string): boolean => {
    const copy = new ContentCopy(memory, namespace, null);
    let isLost = false;
    copy.read({ onCopied() {}, onCopyLost: () => void (isLost = true) });
    copy.add(Buffer.alloc(60_000), 0, 60_000);
    return isLost;
  };
  expect(['a', 'a', 'b', 'c', 'a'].map(lost)).toEqual([false, true, false, false, true]);
});
