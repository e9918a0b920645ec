import { type ShardedMap, edit } from './sharded-map.ts';

/** Who belongs to each key: which Ingresses claim a host, which name a Service, and so on. */
export type Memberships = ShardedMap<ReadonlySet<string>>;

export interface Move {
  readonly member: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Applies many moves, copying each set that changes once. */
export function move(memberships: Memberships, moves: Iterable<Move>): Memberships {
  const copies = new Map<string, Set<string>>();
  const writable = (key: string): Set<string> => {
    let copy = copies.get(key);
    if (!copy) copies.set(key, (copy = new Set(changes.get(key))));
    return copy;
  };
  const changes = edit(memberships);
  for (const { member, before, after } of moves) {
    const keys = new Set(after);
    for (const key of keys) if (!changes.get(key)?.has(member)) writable(key).add(member);
    for (const key of before) if (!keys.has(key)) writable(key).delete(member);
  }
  for (const [key, members] of copies) {
    if (members.size > 0) changes.set(key, members);
    else changes.delete(key);
  }
  return changes.done();
}
