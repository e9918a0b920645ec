import type { PathNode, Route } from './table.ts';

/** What ends at one path: see `PathNode`. */
export interface PathSlot {
  readonly whole: Route | null;
  readonly prefix: Route | null;
}

/** The radix tree of these paths. It depends on the paths alone, not on the order they come in. */
export function pathTree(slots: ReadonlyMap<string, PathSlot>): PathNode {
  const paths = [...slots.keys()].sort();
  return grow(0, 0, paths, slots);
}

/** The node for `paths`, sorted, all of which are equal up to `end`; its label starts at `start`. */
function grow(
  start: number,
  end: number,
  paths: readonly string[],
  slots: ReadonlyMap<string, PathSlot>,
): PathNode {
  const first = paths[0] ?? '';
  const here = first.length === end ? slots.get(first) : undefined;
  const children = new Map<number, PathNode>();
  let from = here ? 1 : 0;
  while (from < paths.length) {
    const path = paths[from] ?? '';
    let to = from + 1;
    while (to < paths.length && paths[to]?.charCodeAt(end) === path.charCodeAt(end)) to++;
    // In sorted order the first and the last of a group share what all of them share.
    const shared = sharedLength(path, paths[to - 1] ?? path);
    children.set(path.charCodeAt(end), grow(end, shared, paths.slice(from, to), slots));
    from = to;
  }
  return {
    label: first.slice(start, end),
    whole: here?.whole ?? null,
    prefix: here?.prefix ?? null,
    children: children.size > 0 ? children : null,
  };
}

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

const SLASH = 0x2f;

/** The route of the longest rule that takes the path. Allocates nothing. */
export function findPath(root: PathNode, path: string): Route | null {
  let best: Route | null = null;
  let node: PathNode | undefined = root;
  let at = 0;
  while (node && path.startsWith(node.label, at)) {
    at += node.label.length;
    if (at === path.length) return node.whole ?? node.prefix ?? best;
    const next = path.charCodeAt(at);
    if (node.prefix && next === SLASH) best = node.prefix;
    node = node.children?.get(next);
  }
  return best;
}
