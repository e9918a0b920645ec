import type { ObjectReader } from '../../model/object-reader.ts';
import type { Problem } from '../../model/problem.ts';
import { type UntypedObject, asArray, asObject, asString, quote } from '../../model/untyped.ts';
import { FilterFault, FilterReader } from '../../policies/filter-reader.ts';
import type { PolicyModule } from '../../policies/policy.ts';
import { POLICIES, type PolicyConfigs } from '../../policies/registry.ts';
import { readAuthFilter } from './auth-filter.ts';
import type { RefOwner } from './backend-refs.ts';
import type { Fault } from './kinds.ts';
import { readMirrorFilter } from './mirror-filter.ts';

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

const MAX_FILTERS = 16;
/** Those that a rule may have several times. */
const REPEATABLE: ReadonlySet<unknown> = new Set(['RequestMirror', 'ExtensionRef']);

/** Reads the filters of a rule or of one of its backends as the configs of policies. */
export function readFilters(written: unknown, field: string, context: FilterContext): FiltersRead {
  const filters = asArray(written)
    .slice(0, MAX_FILTERS + 1)
    .map(asObject);
  if (filters.length === 0) return NO_FILTERS;
  let configs: PolicyConfigs = {};
  const seen = new Set<unknown>();
  try {
    for (const [index, filter] of filters.entries()) {
      const type = asString(filter['type']) ?? '';
      const read = new FilterReader(type, `${field}[${index}]`, context.prefix);
      if (index === MAX_FILTERS) read.fail(`is more than ${MAX_FILTERS}`, 'remove some');
      if (seen.has(type) && !REPEATABLE.has(type)) read.fail('is the second of its type', 'remove it');
      seen.add(type);
      configs = mergeConfigs(configs, readFilter(filter, type, read, context));
    }
  } catch (error) {
    if (!(error instanceof FilterFault)) throw error;
    return { configs: {}, fault: { reason: 'UnsupportedValue', message: error.message } };
  }
  if (seen.has('RequestRedirect') && seen.has('URLRewrite')) {
    const message = `A request is either redirected or rewritten (${field}): remove RequestRedirect or URLRewrite.`;
    return { configs: {}, fault: { reason: 'IncompatibleFilters', message } };
  }
  return { configs, fault: null };
}

const NO_FILTERS: FiltersRead = { configs: {}, fault: null };

/** The configs of two lists of filters: what both change in heads is changed by both, the first before the second. */
export function mergeConfigs(first: PolicyConfigs, second: PolicyConfigs): PolicyConfigs {
  const [a, b] = [first['header-modifier'], second['header-modifier']];
  const both = a && b && { request: [...a.request, ...b.request], response: [...a.response, ...b.response] };
  const mirrors = [first, second].flatMap((each) => each['request-mirror']?.mirrors ?? []);
  return {
    ...first,
    ...second,
    ...(both && { 'header-modifier': both }),
    ...(mirrors.length > 0 && { 'request-mirror': { mirrors } }),
  };
}

/** Asks the policies that a filter is for. */
function readFilter(
  filter: UntypedObject,
  type: string,
  read: FilterReader,
  context: FilterContext,
): PolicyConfigs {
  const configs: Record<string, object> = {};
  // Those that name objects.
  if (type === 'RequestMirror') {
    const mirror = readMirrorFilter(asObject(filter['requestMirror']), read, context);
    return mirror === null ? {} : { 'request-mirror': mirror };
  }
  if (type === 'ExternalAuth') {
    if (context.ofBackend) read.fail('is for one backend', 'write ExternalAuth in the filters of the rule');
    return { 'external-auth-filter': readAuthFilter(asObject(filter['externalAuth']), read, context) };
  }
  const policies = POLICIES_BY_FILTER.get(type);
  if (!policies) read.fail(`is of type ${quote(type)}, which Portico does not have`, 'remove it');
  for (const { name, fromFilter } of policies) {
    const config = fromFilter(asObject(filter[fieldOf(type)]), read);
    if (config !== null) configs[name] = config;
  }
  return configs;
}

/** Where a filter says what it asks for: `urlRewrite` for `URLRewrite`. */
function fieldOf(type: string): string {
  if (type === type.toUpperCase()) return type.toLowerCase();
  return type.replace(/^(?:[A-Z]+(?=[A-Z][a-z])|[A-Z])/, (first) => first.toLowerCase());
}

const POLICIES_BY_FILTER = new Map<
  string,
  { name: string; fromFilter: NonNullable<PolicyModule['fromFilter']> }[]
>();
for (const { name, filters = [], fromFilter } of POLICIES as readonly PolicyModule[]) {
  if (!fromFilter) continue;
  for (const type of filters) {
    POLICIES_BY_FILTER.set(type, [...(POLICIES_BY_FILTER.get(type) ?? []), { name, fromFilter }]);
  }
}
