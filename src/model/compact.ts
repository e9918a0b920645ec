/**
 * Empty collections, one for all. Most Ingresses have nothing of most things, and an empty `Map` takes 200 bytes: for ten
 * thousand Ingresses that is megabytes.
 */
const NO_ITEMS: readonly never[] = Object.freeze([]);
const NO_ENTRIES: ReadonlyMap<never, never> = new Map<never, never>();
const NO_MEMBERS: ReadonlySet<never> = new Set<never>();

/** The list to keep, which nobody changes any more. */
export function compactList<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NO_ITEMS : list;
}

/** The map to keep, which nobody changes any more. */
export function compactMap<K, V>(map: ReadonlyMap<K, V>): ReadonlyMap<K, V> {
  return map.size === 0 ? NO_ENTRIES : map;
}

/** The set to keep, which nobody changes any more. */
export function compactSet<T>(set: ReadonlySet<T>): ReadonlySet<T> {
  return set.size === 0 ? NO_MEMBERS : set;
}
