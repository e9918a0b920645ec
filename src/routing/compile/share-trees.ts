import { isDeepStrictEqual } from 'node:util';
import type { ScopeRoutes } from '../host-routes.ts';
import type { PathClaim } from '../ingress/claims.ts';
import { type PathSlot, pathTree } from '../path-tree.ts';
import type { Scope } from '../scope.ts';
import { type ShardedMap, get } from '../../model/sharded-map.ts';
import type { HostPatterns, PathTree } from '../table.ts';

/** Gives all scopes that the same lists of paths claim the same routes: the hosts and globs of an Ingress, say. */
export class SharedRoutes {
  readonly #numbers = new Map<readonly PathClaim[], number>();
  readonly #trees = new Map<string, PathTree>();
  readonly #patterns = new Map<string, HostPatterns>();

  tree(claimed: readonly (readonly PathClaim[])[], slots: ReadonlyMap<string, PathSlot>): PathTree {
    const key = this.#keyOf(claimed);
    const tree = this.#trees.get(key) ?? pathTree(slots);
    this.#trees.set(key, tree);
    return tree;
  }

  /** The regular expressions that were given first for the same lists. */
  patterns(claimed: readonly (readonly PathClaim[])[], found: HostPatterns): HostPatterns {
    const key = this.#keyOf(claimed);
    const patterns = this.#patterns.get(key) ?? found;
    this.#patterns.set(key, patterns);
    return patterns;
  }

  #keyOf(claimed: readonly (readonly PathClaim[])[]): string {
    const numberOf = (list: readonly PathClaim[]): number => {
      const number = this.#numbers.get(list) ?? this.#numbers.size;
      this.#numbers.set(list, number);
      return number;
    };
    return claimed.map(numberOf).join();
  }
}

/**
 * Puts the tree that scopes had before in place of an equal new one. Scopes that share a tree keep sharing it: where
 * one of them had another one or none, all of them get the new one, and it is sent to threads with all of them.
 */
export function shareTrees(before: ShardedMap<ScopeRoutes>, fresh: Map<Scope, ScopeRoutes>): void {
  const had = new Map<PathTree, Set<PathTree | undefined>>();
  for (const [scope, { routes }] of fresh) {
    if (!routes) continue;
    const trees = had.get(routes.paths) ?? new Set();
    had.set(routes.paths, trees.add(get(before, scope)?.routes?.paths));
  }
  const kept = new Map<PathTree, PathTree>();
  for (const [tree, [old, ...others]] of had) {
    if (old && others.length === 0 && isDeepStrictEqual(old, tree)) kept.set(tree, old);
  }
  for (const [scope, after] of fresh) {
    const paths = after.routes && kept.get(after.routes.paths);
    if (after.routes && paths) fresh.set(scope, { ...after, routes: { ...after.routes, paths } });
  }
}
