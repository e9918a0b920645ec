/**
 * An immutable map by string key whose copies share what did not change.
 *
 * A cluster has ten thousand hosts and one of them changes. Copying one `Map` would cost time in proportion to
 * the cluster; here a copy costs one array of shard pointers and the shards that were touched, and two versions
 * are compared by skipping every shard they share. It is plain data: it can be printed and posted to a thread.
 */
export interface ShardedMap<V> {
  readonly size: number;
  readonly shards: readonly ReadonlyMap<string, V>[];
}

const SHARD_COUNT = 1024;
const EMPTY_SHARD: ReadonlyMap<string, never> = new Map<string, never>();
const EMPTY: ShardedMap<never> = { size: 0, shards: Array.from({ length: SHARD_COUNT }, () => EMPTY_SHARD) };

export function emptyMap<V>(): ShardedMap<V> {
  return EMPTY;
}

/** FNV-1a over the UTF-16 code units, folded to a shard number. */
function shardOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & (SHARD_COUNT - 1);
}

export function get<V>(map: ShardedMap<V>, key: string): V | undefined {
  return map.shards[shardOf(key)]?.get(key);
}

export function* entries<V>(map: ShardedMap<V>): Generator<[string, V]> {
  for (const shard of map.shards) if (shard.size > 0) yield* shard;
}

export function* values<V>(map: ShardedMap<V>): Generator<V> {
  for (const shard of map.shards) if (shard.size > 0) yield* shard.values();
}

/** Several changes to one map: the first touch of a shard copies it, the others write into that copy. */
export interface MapEdit<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
  /** The map with the changes; the map that was edited itself when nothing changed. Ends the edit. */
  done(): ShardedMap<V>;
}

export function edit<V>(map: ShardedMap<V>): MapEdit<V> {
  const copies = new Map<number, Map<string, V>>();
  let size = map.size;
  const shardFor = (key: string): ReadonlyMap<string, V> => {
    const index = shardOf(key);
    return copies.get(index) ?? map.shards[index] ?? EMPTY_SHARD;
  };
  const writable = (key: string): Map<string, V> => {
    const index = shardOf(key);
    let copy = copies.get(index);
    if (!copy) copies.set(index, (copy = new Map(map.shards[index])));
    return copy;
  };
  return {
    get: (key) => shardFor(key).get(key),
    set(key, value) {
      const shard = shardFor(key);
      if (!shard.has(key)) size++;
      else if (Object.is(shard.get(key), value)) return;
      writable(key).set(key, value);
    },
    delete(key) {
      if (!shardFor(key).has(key)) return;
      size--;
      writable(key).delete(key);
    },
    done() {
      if (copies.size === 0) return map;
      const shards = [...map.shards];
      for (const [index, copy] of copies) shards[index] = copy.size > 0 ? copy : EMPTY_SHARD;
      return { size, shards };
    },
  };
}

export function mapOf<V>(pairs: Iterable<readonly [string, V]>): ShardedMap<V> {
  const changes = edit(emptyMap<V>());
  for (const [key, value] of pairs) changes.set(key, value);
  return changes.done();
}

/** What must be done to `from` to get `to`: each key whose value is another one, with its new value or undefined. */
export function* difference<V>(
  from: ShardedMap<V>,
  to: ShardedMap<V>,
): Generator<readonly [key: string, value: V | undefined]> {
  for (const index of differentShards(from, to)) {
    const before = from.shards[index] ?? EMPTY_SHARD;
    const after = to.shards[index] ?? EMPTY_SHARD;
    for (const [key, value] of after) if (!Object.is(before.get(key), value)) yield [key, value];
    for (const key of before.keys()) if (!after.has(key)) yield [key, undefined];
  }
}

/** A loop of its own: in the generator above it takes twice as long. */
function differentShards<V>(from: ShardedMap<V>, to: ShardedMap<V>): readonly number[] {
  const found: number[] = [];
  if (from === to) return found;
  for (let index = 0; index < SHARD_COUNT; index++) {
    if (from.shards[index] !== to.shards[index]) found.push(index);
  }
  return found;
}
