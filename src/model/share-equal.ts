/**
 * `after`, with every part of it that equals the same part of `before` replaced by that part, down to `before` itself
 * if all of it is equal. So what has not changed is found by comparing references: the spec of an object whose
 * status was written, or a rule of a route whose other rules were changed. Takes frozen JSON and gives frozen JSON.
 */
export function shareEqual<T>(before: T, after: T): T {
  if (before === after) return before;
  if (Array.isArray(before) && Array.isArray(after)) return shareItems(before, after) as T;
  if (isFields(before) && isFields(after)) return shareFields(before, after) as T;
  return after;
}

function shareItems(before: readonly unknown[], after: readonly unknown[]): readonly unknown[] {
  const shared = after.map((item, i) => shareEqual(before[i], item));
  return areSame(before, shared) ? before : Object.freeze(shared);
}

function shareFields(before: Fields, after: Fields): Fields {
  const names = Object.keys(after);
  const shared = names.map((name) =>
    shareEqual(Object.hasOwn(before, name) ? before[name] : undefined, after[name]),
  );
  const isEqual =
    names.length === Object.keys(before).length &&
    names.every((name, i) => Object.hasOwn(before, name) && Object.is(before[name], shared[i]));
  return isEqual ? before : Object.freeze(Object.fromEntries(names.map((name, i) => [name, shared[i]])));
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => Object.is(item, b[i]));
}
