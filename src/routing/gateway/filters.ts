import type { ObjectReader } from '../../model/object-reader.ts';
import type { Problem } from '../../model/problem.ts';
import { asArray, asObject, quote } from '../../model/untyped.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { RefOwner } from './backend-refs.ts';
import type { Fault } from './kinds.ts';

/** Where filters stand, and what reading them leaves behind. */
export interface FilterContext {
  readonly owner: RefOwner;
  /** The prefix of the one path that the rule has, for `ReplacePrefixMatch`; null where there is none. */
  readonly prefix: string | null;
  readonly objects: ObjectReader;
  readonly problems: Problem[];
  /** What filters name and cannot have: said on the route, and otherwise without consequence. */
  readonly unresolved: Fault[];
  /** Whether they are filters of one backend. */
  readonly ofBackend: boolean;
}

export interface FiltersRead {
  readonly configs: PolicyConfigs;
  /** Why requests get 500 instead; null when every filter can be kept to. */
  readonly fault: Fault | null;
}

/** Reads the filters of a rule or of one of its backends as the configs of policies. */
export function readFilters(written: unknown, _field: string, _context: FilterContext): FiltersRead {
  const [first] = asArray(written).map(asObject);
  if (!first) return { configs: {}, fault: null };
  const message = `Portico has no filter of type ${quote(first['type'])}, so requests of this rule get 500: remove it.`;
  return { configs: {}, fault: { reason: 'UnsupportedValue', message } };
}
