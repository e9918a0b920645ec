import { type ShardedMap, edit } from './sharded-map.ts';

/** By key, the members that name it: the Ingresses that claim a host, that name a Service, and so on. */
export type ReverseIndex = ShardedMap<ReadonlySet<string>>;

export interface IndexUpdate {
  readonly member: string;
  /** The keys that the index has the member under. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Applies all updates; copies each changed set once. */
export function updateIndex(index: ReverseIndex, updates: readonly IndexUpdate[]): ReverseIndex {
  // Most changes of a cluster touch none of a dozen indexes.
  if (updates.length === 0) return index;
  const copies = new Map<string, Set<string>>();
  const writable = (key: string): Set<string> => {
    let copy = copies.get(key);
    if (!copy) copies.set(key, (copy = new Set(changes.get(key))));
    return copy;
  };
  const changes = edit(index);
  for (const { member, before, after } of updates) {
    // Most changes leave the keys as they are.
    if (isSameList(before, after)) continue;
    if (before.length === 0) {
      for (const key of after) writable(key).add(member);
      continue;
    }
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

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, i) => key === b[i]);
}
