import { type UntypedObject, asArray, asObject } from '../../model/untyped.ts';

/** One filter of each type: a rule may have no more. What comes later wins. */
export function mergeFilters(filters: readonly UntypedObject[]): readonly UntypedObject[] {
  const merged = new Map<unknown, UntypedObject>();
  for (const filter of filters) {
    const before = merged.get(filter['type']);
    merged.set(filter['type'], before === undefined ? filter : mergeTwo(before, filter));
  }
  return [...merged.values()];
}

function mergeTwo(before: UntypedObject, after: UntypedObject): UntypedObject {
  const field = Object.keys(after).find((name) => name !== 'type') ?? '';
  const [a, b] = [asObject(before[field]), asObject(after[field])];
  if (!('set' in a) || !('set' in b)) return { ...after, [field]: { ...a, ...b } };
  const later = asArray(b['set']).map(asObject);
  const kept = asArray(a['set'])
    .map(asObject)
    .filter((each) => !later.some((other) => sameName(each, other)));
  return { ...after, [field]: { ...a, ...b, set: [...kept, ...later] } };
}

function sameName(a: UntypedObject, b: UntypedObject): boolean {
  return String(a['name']).toLowerCase() === String(b['name']).toLowerCase();
}
