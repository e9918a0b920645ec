import { expect, test } from 'vitest';
import { FairPlaces } from '../../src/proxy/fair-places.ts';
import { seededRandom } from '../support/random.ts';

interface Holder {
  readonly namespace: string;
  readonly number: number;
}

/** Places, and who has them. */
function places(total: number, perNamespace: number) {
  const holders: Holder[] = [];
  let number = 0;
  const release = (holder: Holder): void => {
    holders.splice(holders.indexOf(holder), 1);
    made.release(holder.namespace, holder);
  };
  const made = new FairPlaces<Holder>(total, perNamespace, ([oldest]) => oldest && release(oldest));
  const take = (namespace: string): boolean => {
    const holder = { namespace, number: number++ };
    const isTaken = made.take(namespace, holder);
    if (isTaken) holders.push(holder);
    return isTaken;
  };
  const countOf = (namespace: string): number =>
    holders.filter((each) => each.namespace === namespace).length;
  return { holders, take, release, countOf };
}

test('those who come late get as much as those who took all there is', () => {
  const { take, countOf, holders } = places(60, 40);
  for (let n = 0; n < 50; n++) take('a');
  for (let n = 0; n < 50; n++) take('b');
  expect([countOf('a'), countOf('b')]).toEqual([30, 30]);
  // The oldest went.
  expect(holders[0]?.number).toBe(10);
  for (let n = 0; n < 50; n++) take('c');
  expect(['a', 'b', 'c'].map(countOf)).toEqual([20, 20, 20]);
  for (const namespace of ['d', 'e', 'f']) expect(take(namespace)).toBe(true);
});

test('against a count of everything, for any order of taking and giving back', () => {
  const random = seededRandom(7);
  const { take, release, countOf, holders } = places(20, 8);
  for (let step = 0; step < 5_000; step++) {
    if (random() < 0.6) {
      const namespace = `tenant ${Math.floor(random() * 12)}`;
      const own = countOf(namespace);
      const most = Math.max(0, ...holders.map((each) => countOf(each.namespace)));
      const isFull = holders.length === 20;
      expect(take(namespace)).toBe(own < 8 && (!isFull || most >= own + 2));
    } else {
      const holder = holders[Math.floor(random() * holders.length)];
      if (holder) release(holder);
    }
    expect(holders.length).toBeLessThanOrEqual(20);
  }
});
