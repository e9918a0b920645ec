import { expect, test } from 'vitest';
import { MAX_HOPS } from '../../../src/http/loop.ts';
import { HOPS_BYTES, StreamHops, isLoop } from '../../../src/proxy/stream/stream-hops.ts';
import { type StreamHolder, StreamPlaces } from '../../../src/proxy/stream/stream-places.ts';
import { forgetHops, streamsMemory } from '../../../src/proxy/stream/streams-memory.ts';

/** A thread with so many places at a time of our own, and the streams that it has, the longest silent in front. */
function thread(total: number) {
  const clock = { now: 0 };
  const streams: (StreamHolder & { silentSince: number })[] = [];
  const places = new StreamPlaces(
    total,
    (count) => streams.slice(0, count),
    () => clock.now,
  );
  const begin = (namespace: string, isAnswered: boolean): (typeof streams)[number] | null => {
    const evict = (): void => {
      streams.splice(streams.indexOf(stream), 1);
      places.release(stream);
    };
    const stream = { namespace, isAnswered, begunAt: clock.now, silentSince: clock.now, evict };
    if (!places.take(stream)) return null;
    streams.push(stream);
    return stream;
  };
  const countOf = (namespace: string): number =>
    streams.filter((each) => each.namespace === namespace).length;
  return { clock, streams, begin, countOf };
}

test('a loop that nothing tells from other streams ends when its namespace has all places', () => {
  const { clock, begin, countOf } = thread(40);
  for (let round = 1; round <= 40; round++) expect(begin('loop', false)).not.toBeNull();
  expect(begin('loop', false)).toBeNull();
  // Others get theirs, up to an equal part.
  for (let n = 0; n < 50; n++) begin('other', true);
  expect([countOf('loop'), countOf('other')]).toEqual([20, 20]);
  expect(begin('loop', false)).toBeNull();
  // Nobody answers what has been silent for so long.
  clock.now += 10_000;
  expect(begin('loop', false)).not.toBeNull();
  expect([countOf('loop'), countOf('other')]).toEqual([20, 20]);
});

test('a stream with an answer gives way to a new one of its namespace, the longest silent first', () => {
  const { streams, begin, countOf } = thread(20);
  const first = begin('db', true);
  for (let n = 1; n < 30; n++) begin('db', true);
  expect(countOf('db')).toBe(20);
  expect(streams).not.toContain(first);
  const oldest = streams[0];
  streams.push(...streams.splice(0, 1));
  const second = streams[0];
  expect(begin('db', true)).not.toBeNull();
  expect(streams).toContain(oldest);
  expect(streams).not.toContain(second);
});

test('what others leave silent does not have a namespace lose a busy stream for a silent one', () => {
  const { clock, streams, begin } = thread(80);
  for (let n = 0; n < 40; n++) begin('silent', true);
  clock.now += 1_000;
  const own = Array.from({ length: 40 }, () => begin('db', true));
  clock.now += 1_000;
  const [silent, ...busy] = own.toReversed();
  for (const each of busy) if (each) each.silentSince = clock.now;
  // Each of three looks at others.
  for (let n = 0; n < 3; n++) expect(begin('db', true)).not.toBeNull();
  expect(streams).not.toContain(silent);
});

test('a client that goes on sending what nobody answers keeps no place from others', () => {
  const { clock, streams, begin } = thread(4);
  for (let n = 0; n < 4; n++) begin('db', false);
  clock.now += 10_000;
  for (const each of streams) each.silentSince = clock.now;
  expect(begin('db', false)).not.toBeNull();
});

test('what comes from a socket of ours has its hops behind it, for every thread, until that one is closed', () => {
  const memory = new SharedArrayBuffer(HOPS_BYTES);
  const [one, other] = [new StreamHops(memory), new StreamHops(memory)];
  const forget = one.note('10.0.0.7', 40_000, 3);
  expect(other.behind('::ffff:10.0.0.7', 40_000)).toBe(3);
  expect(other.behind('10.0.0.8', 40_000)).toBe(0);
  expect(other.behind('10.0.0.7', 40_001)).toBe(0);
  const forgetNext = one.note('2001:db8::1', 40_000, MAX_HOPS);
  forget();
  expect(isLoop(other.behind('2001:db8::1', 40_000))).toBe(true);
  forgetNext();
  expect(other.behind('2001:db8::1', 40_000)).toBe(0);
});

test('what a thread noted ends with it', () => {
  const memory = streamsMemory(1_000, 2);
  for (const hops of [memory.tcpHops, memory.udpHops])
    new StreamHops(hops).note('10.0.0.7', 40_000, MAX_HOPS);
  forgetHops(memory);
  for (const hops of [memory.tcpHops, memory.udpHops])
    expect(new StreamHops(hops).behind('10.0.0.7', 40_000)).toBe(0);
});

test('streams leave a quarter of the file descriptors to requests', () => {
  const { places } = streamsMemory(64_000, 4);
  expect(4 * (2 * places + places)).toBe(48_000);
  expect(streamsMemory(Infinity, 4).places).toBe(Infinity);
});
