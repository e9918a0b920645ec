import type { PathNode, PathTree, Route } from './table.ts';

/** What ends at one path: see `PathNode`. */
export interface PathSlot {
  readonly whole: Route | null;
  readonly prefix: Route | null;
}

/** Where the paths `from` to `to` (exclusive) of the sorted list hang below a node, and where their label starts. */
interface Branch {
  readonly siblings: Map<number, number>;
  readonly labelStart: number;
  readonly from: number;
  readonly to: number;
}

/** The radix tree of these paths, in their order. It depends on the paths alone, not on the order they come in. */
export function pathTree(slots: ReadonlyMap<string, PathSlot>): PathTree {
  const paths = [...slots.keys()].sort();
  const nodes: PathNode[] = [];
  // A stack of our own: paths that are nested deeply must not exhaust that of the runtime.
  const open: Branch[] = [];
  const add = (labelStart: number, labelEnd: number, from: number, to: number): void => {
    const first = paths[from] ?? '';
    const here = first.length === labelEnd ? slots.get(first) : undefined;
    const children = new Map<number, number>();
    const branches = branchesAt(labelEnd, here ? from + 1 : from, to, children, paths);
    for (const branch of branches.reverse()) open.push(branch);
    nodes.push({
      label: first.slice(labelStart, labelEnd),
      whole: here?.whole ?? null,
      prefix: here?.prefix ?? null,
      children: branches.length > 0 ? children : null,
    });
  };
  add(0, 0, 0, paths.length);
  for (let branch = open.pop(); branch; branch = open.pop()) {
    const { siblings, labelStart, from, to } = branch;
    const first = paths[from] ?? '';
    siblings.set(first.charCodeAt(labelStart), nodes.length);
    // In sorted order the first and the last of a branch share what all of them share.
    add(labelStart, sharedLength(first, paths[to - 1] ?? first, labelStart), from, to);
  }
  return nodes;
}

/** Groups the paths by the character at `at`, up to which all of them are equal. */
function branchesAt(
  at: number,
  from: number,
  to: number,
  siblings: Map<number, number>,
  paths: readonly string[],
): Branch[] {
  const branches: Branch[] = [];
  while (from < to) {
    const character = paths[from]?.charCodeAt(at);
    let end = from + 1;
    while (end < to && paths[end]?.charCodeAt(at) === character) end++;
    branches.push({ siblings, labelStart: at, from, to: end });
    from = end;
  }
  return branches;
}

/** How many characters two texts share from the start, when they share `known` for certain. */
function sharedLength(a: string, b: string, known: number): number {
  let length = known;
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

const SLASH = 0x2f;

/** The route of the longest rule that takes the path. Allocates nothing. */
export function findPath(tree: PathTree, path: string): Route | null {
  let best: Route | null = null;
  let node = tree[0];
  let at = 0;
  while (node && path.startsWith(node.label, at)) {
    at += node.label.length;
    if (at === path.length) return node.whole ?? node.prefix ?? best;
    const next = path.charCodeAt(at);
    if (node.prefix && next === SLASH) best = node.prefix;
    const child = node.children?.get(next);
    node = child === undefined ? undefined : tree[child];
  }
  return best;
}
