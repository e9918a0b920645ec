/**
 * An immutable map by string key whose copies share what did not change.
 *
 * A cluster has ten thousand hosts and one of them changes. Copying one `Map` would cost time in proportion to
 * the cluster; here a copy costs the shards that were touched and the two short arrays that lead to each, and two
 * versions are compared by skipping every group and shard they share. It is plain data: it can be printed and posted
 * to a thread.
 */
export interface ShardedMap<V> {
  readonly size: number;
  readonly groups: readonly Group<V>[];
}

type Group<V> = readonly ReadonlyMap<string, V>[];

/** There are 32 groups of 32 shards: the upper and the lower five bits of a shard's number. */
const BITS = 5;
const WIDTH = 1 << BITS;
const LOWER = WIDTH - 1;
const EMPTY_SHARD: ReadonlyMap<string, never> = new Map<string, never>();
const EMPTY_GROUP: Group<never> = Array.from({ length: WIDTH }, () => EMPTY_SHARD);
const EMPTY: ShardedMap<never> = { size: 0, groups: Array.from({ length: WIDTH }, () => EMPTY_GROUP) };

export function emptyMap<V>(): ShardedMap<V> {
  return EMPTY;
}

/** FNV-1a over the UTF-16 code units, folded to the number of a shard. */
function shardNumber(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & (WIDTH * WIDTH - 1);
}

function shardAt<V>(map: ShardedMap<V>, number: number): ReadonlyMap<string, V> {
  return map.groups[number >> BITS]?.[number & LOWER] ?? EMPTY_SHARD;
}

export function get<V>(map: ShardedMap<V>, key: string): V | undefined {
  return shardAt(map, shardNumber(key)).get(key);
}

export function* entries<V>(map: ShardedMap<V>): Generator<[string, V]> {
  for (const group of map.groups) {
    if (group === EMPTY_GROUP) continue;
    for (const shard of group) if (shard.size > 0) yield* shard;
  }
}

export function* values<V>(map: ShardedMap<V>): Generator<V> {
  for (const group of map.groups) {
    if (group === EMPTY_GROUP) continue;
    for (const shard of group) if (shard.size > 0) yield* shard.values();
  }
}

/** Several changes to one map: the first touch of a shard copies it, the others write into that copy. */
export class MapEdit<V> {
  readonly #map: ShardedMap<V>;
  #size: number;
  /** By number; null until something changes, which in most edits nothing does. */
  #copies: Map<number, Map<string, V>> | null = null;

  constructor(map: ShardedMap<V>) {
    this.#map = map;
    this.#size = map.size;
  }

  get(key: string): V | undefined {
    return this.#shard(shardNumber(key)).get(key);
  }

  set(key: string, value: V): void {
    const number = shardNumber(key);
    const shard = this.#shard(number);
    if (!shard.has(key)) this.#size++;
    else if (Object.is(shard.get(key), value)) return;
    this.#writable(number).set(key, value);
  }

  delete(key: string): void {
    const number = shardNumber(key);
    if (!this.#shard(number).has(key)) return;
    this.#size--;
    this.#writable(number).delete(key);
  }

  /** The map with the changes; the map that was edited itself when nothing changed. Ends the edit. */
  done(): ShardedMap<V> {
    if (this.#copies === null) return this.#map;
    const groups = [...this.#map.groups];
    const copied = new Map<number, ReadonlyMap<string, V>[]>();
    for (const [number, shard] of this.#copies) {
      const at = number >> BITS;
      let group = copied.get(at);
      if (!group) copied.set(at, (group = [...(groups[at] ?? EMPTY_GROUP)]));
      group[number & LOWER] = shard.size > 0 ? shard : EMPTY_SHARD;
      groups[at] = group;
    }
    return { size: this.#size, groups };
  }

  #shard(number: number): ReadonlyMap<string, V> {
    return this.#copies?.get(number) ?? shardAt(this.#map, number);
  }

  #writable(number: number): Map<string, V> {
    this.#copies ??= new Map();
    let copy = this.#copies.get(number);
    if (!copy) this.#copies.set(number, (copy = new Map(shardAt(this.#map, number))));
    return copy;
  }
}

export function edit<V>(map: ShardedMap<V>): MapEdit<V> {
  return new MapEdit(map);
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
  for (const number of differentShards(from, to)) {
    const before = shardAt(from, number);
    const after = shardAt(to, number);
    for (const [key, value] of after) if (!Object.is(before.get(key), value)) yield [key, value];
    for (const key of before.keys()) if (!after.has(key)) yield [key, undefined];
  }
}

/** A loop of its own: in the generator above it takes twice as long. */
function differentShards<V>(from: ShardedMap<V>, to: ShardedMap<V>): readonly number[] {
  const found: number[] = [];
  if (from === to) return found;
  for (let at = 0; at < WIDTH; at++) {
    const before = from.groups[at];
    const after = to.groups[at];
    if (before === after) continue;
    for (let i = 0; i < WIDTH; i++) if (before?.[i] !== after?.[i]) found.push((at << BITS) | i);
  }
  return found;
}
