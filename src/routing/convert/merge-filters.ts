import { type UntypedObject, asArray, asObject } from '../../model/untyped.ts';

/** Of Gateway API: fields that one filter may set, and that it may remove. */
const MAX_FIELDS = 16;

/**
 * One filter of each type: a rule may have no more. What comes later wins. Null where a filter would have more fields than it
 * may.
 */
export function mergeFilters(filters: readonly UntypedObject[]): readonly UntypedObject[] | null {
  const merged = new Map<unknown, UntypedObject>();
  for (const filter of filters) {
    const before = merged.get(filter['type']);
    merged.set(filter['type'], before === undefined ? filter : mergeTwo(before, filter));
  }
  const all = [...merged.values()];
  return all.every(hasRoom) ? all : null;
}

function hasRoom(filter: UntypedObject): boolean {
  const { set, remove } = asObject(filter[fieldOf(filter)]);
  return asArray(set).length <= MAX_FIELDS && asArray(remove).length <= MAX_FIELDS;
}

/** The field of a filter that says what it does. */
function fieldOf(filter: UntypedObject): string {
  return Object.keys(filter).find((name) => name !== 'type') ?? '';
}

function mergeTwo(before: UntypedObject, after: UntypedObject): UntypedObject {
  const field = fieldOf(after);
  const [a, b] = [asObject(before[field]), asObject(after[field])];
  const later = asArray(b['set']).map(asObject);
  const isLater = (each: UntypedObject): boolean => later.some((other) => sameName(each, other));
  const set = [
    ...asArray(a['set'])
      .map(asObject)
      .filter((each) => !isLater(each)),
    ...later,
  ];
  const remove = [...new Set([...asArray(a['remove']), ...asArray(b['remove'])])];
  return {
    ...after,
    [field]: { ...a, ...b, ...(set.length > 0 && { set }), ...(remove.length > 0 && { remove }) },
  };
}

function sameName(a: UntypedObject, b: UntypedObject): boolean {
  return String(a['name']).toLowerCase() === String(b['name']).toLowerCase();
}
