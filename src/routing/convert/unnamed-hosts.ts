import { entries, get } from '../../model/sharded-map.ts';
import { compareText } from '../precedence.ts';
import type { GlobHost, RouteTable } from '../table.ts';

/**
 * Hosts that no route can name, as their globs and regular expressions say them, by the wildcard (`*.suffix`) or the empty
 * hostname that takes some of their requests instead. Any of these may take those of an expression.
 */
export class UnnamedHosts {
  readonly #globs = new Map<string, string[]>();
  readonly #expressions: readonly string[];

  constructor(table: RouteTable, hostnames: readonly string[]) {
    this.#expressions = table.hostRegexes.flatMap((list) => list.entries.map(({ routes }) => routes.host));
    const wildcards = hostnames.filter((hostname) => hostname.startsWith('*.'));
    const below = Map.groupBy(
      wildcards.flatMap((wildcard) => endsOf(wildcard.slice('*.'.length)).map((end) => ({ wildcard, end }))),
      ({ end }) => end,
    );
    const known = new Set(wildcards);
    const buckets = [...entries(table.globs)].toSorted(([a], [b]) => compareText(a, b));
    for (const [suffix, globs] of buckets) {
      const end = endsOf(suffix).find((each) => known.has(`*.${each}`));
      const closest = end === undefined ? '' : `*.${end}`;
      const within = below.get(suffix)?.map(({ wildcard }) => wildcard) ?? [];
      for (const glob of globs) {
        if (end !== suffix) this.#add(closest, glob);
        for (const wildcard of within) if (reaches(glob, suffix, wildcard, table)) this.#add(wildcard, glob);
      }
    }
  }

  at(hostname: string): readonly string[] {
    if (hostname !== '' && !hostname.startsWith('*.')) return [];
    return [...(this.#globs.get(hostname) ?? []), ...this.#expressions];
  }

  #add(hostname: string, { glob }: GlobHost): void {
    const list = this.#globs.get(hostname);
    if (list) list.push(glob);
    else this.#globs.set(hostname, [glob]);
  }
}

/** A name and what is left of it without its first labels, the longest first. */
function endsOf(name: string): readonly string[] {
  const labels = name.split('.');
  return labels.map((_, index) => labels.slice(index).join('.'));
}

/** Whether hosts of a glob have enough labels for a wildcard that ends like it, and more than an Ingress with the wildcard takes. */
function reaches({ patterns }: GlobHost, suffix: string, wildcard: string, table: RouteTable): boolean {
  const name = wildcard.slice('*.'.length);
  const fixed = name.slice(0, -suffix.length).split('.').length - 1;
  const taken = get(table.wildcards, name) === undefined ? 0 : 1;
  return patterns.some(({ head, tail }) => tail !== null || head.length > fixed + taken);
}
