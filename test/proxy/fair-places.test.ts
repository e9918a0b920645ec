import { describe, expect, test } from 'vitest';
import { FairPlaces } from '../../src/proxy/fair-places.ts';
import { PendingConnections } from '../../src/proxy/listener/pending-connections.ts';
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

describe('whose handshake gives way', () => {
  interface Waiting {
    readonly address: string;
    readonly number: number;
    evict(): void;
    destroy(): void;
  }

  /** Connections that wait, the oldest first, and those that gave way. */
  function handshakes(limit: number) {
    const pending = new PendingConnections(limit);
    const waiting: Waiting[] = [];
    const evicted: Waiting[] = [];
    let number = 0;
    const leave = (connection: Waiting): void => void waiting.splice(waiting.indexOf(connection), 1);
    const open = (address: string): Waiting => {
      const evict = (): void => {
        leave(connection);
        evicted.push(connection);
      };
      const connection: Waiting = { address, number: number++, evict, destroy: evict };
      pending.add(connection, address);
      waiting.push(connection);
      return connection;
    };
    const close = (connection: Waiting): void => {
      pending.delete(connection);
      leave(connection);
    };
    return { pending, waiting, evicted, open, close };
  }

  test('none of another client, however many connections one opens', () => {
    const { waiting, evicted, open } = handshakes(64);
    const others = ['192.0.2.1', '192.0.2.2', '2001:db8:0:2::1'].map(open);
    for (let n = 0; n < 5_000; n++) open('203.0.113.9');
    // All of a network of IPv6 is one client.
    for (let n = 1; n < 5_000; n++) open(`2001:db8:0:1::${n.toString(16)}`);
    expect(waiting.slice(0, 3)).toEqual(others);
    expect(evicted.some((each) => others.includes(each))).toBe(false);
    expect(waiting).toHaveLength(64);
  });

  test('silent ones of many addresses, and none of many clients behind one address', () => {
    const { evicted, open, close } = handshakes(1_024);
    for (let n = 0; n < 1_024; n++) open(`198.51.100.${n % 256}`);
    // Each is done while 120 more come, and silent ones take the places of those that are gone.
    const behindNat: Waiting[] = [];
    for (let n = 0; n < 10_000; n++) {
      behindNat.push(open('192.0.2.1'));
      if (behindNat.length === 120) close(behindNat.shift() as Waiting);
      if (n % 5 === 0) open(`198.51.100.${n % 256}`);
    }
    expect(evicted.length).toBeGreaterThan(1_000);
    expect(evicted.some(({ address }) => address === '192.0.2.1')).toBe(false);
  });

  test('the oldest of a thousand addresses that have one each', () => {
    const { evicted, open } = handshakes(16);
    for (let n = 0; n < 1_000; n++) open(`10.0.${Math.floor(n / 256)}.${n % 256}`);
    expect(evicted.map(({ number }) => number)).toEqual(Array.from({ length: 984 }, (_, n) => n));
  });

  test('one that a PROXY header gave to another client counts for that one', () => {
    const { pending, evicted, open } = handshakes(8);
    const lasting = open('10.0.0.1');
    pending.move(lasting, '192.0.2.1');
    for (let n = 0; n < 100; n++) pending.move(open('10.0.0.1'), '203.0.113.9');
    expect(evicted).toHaveLength(93);
    expect(evicted).not.toContain(lasting);
    // One that gave way already has nothing to move.
    for (const each of evicted) pending.move(each, '192.0.2.1');
    open('192.0.2.2');
    expect(evicted.at(-1)?.address).toBe('10.0.0.1');
    expect(evicted).not.toContain(lasting);
  });

  test('against a count of everything, for any order of coming and going', () => {
    const random = seededRandom(11);
    const { waiting, evicted, open, close } = handshakes(24);
    const countOf = (address: string): number => waiting.filter((each) => each.address === address).length;
    for (let step = 0; step < 3_000; step++) {
      const leaving = random() < 0.4 ? waiting[Math.floor(random() * waiting.length)] : undefined;
      if (leaving) {
        close(leaving);
        continue;
      }
      const isFull = waiting.length === 24;
      const most = Math.max(0, ...waiting.map(({ address }) => countOf(address)));
      const heaviest = waiting.filter(({ address }) => countOf(address) === most);
      const oldestOf = (address: string): Waiting | undefined =>
        waiting.find((each) => each.address === address);
      const candidates = most > 3 ? heaviest.map(({ address }) => oldestOf(address)) : waiting.slice(0, 1);
      const before = evicted.length;
      open(`192.0.2.${Math.floor(random() * (step < 1_500 ? 6 : 20))}`);
      expect(evicted.length - before).toBe(isFull ? 1 : 0);
      if (isFull) expect(candidates).toContain(evicted.at(-1));
      expect(waiting.length).toBeLessThanOrEqual(24);
    }
  });
});
