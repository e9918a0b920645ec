import type { BoundPolicy, PolicyModule, PolicyThread } from './policy.ts';
import type { PolicySet } from './policy-set.ts';
import { POLICIES } from './registry.ts';
import { anyOf } from './satisfy.ts';

/** The policies of one route at work on one thread, in the order of the registry. */
export interface BoundPolicies {
  readonly onRequest: readonly BoundPolicy[];
  readonly onResponse: readonly BoundPolicy[];
  readonly onComplete: readonly BoundPolicy[];
}

export const NO_POLICIES: BoundPolicies = { onRequest: [], onResponse: [], onComplete: [] };

/** With one more that looks at the response of this exchange, before the others. */
export function alsoAtResponse(policies: BoundPolicies, first: BoundPolicy): BoundPolicies {
  return { ...policies, onResponse: [first, ...policies.onResponse] };
}

/** Gives the policies of a route on this thread. Looking them up again costs one look into a map. */
export type BindPolicies = (policies: PolicySet | null) => BoundPolicies;

/**
 * Binds each policy set once; a set is the same object for as long as its Ingress says the same. `everywhere` are policies
 * that no Ingress asks for, which act on every response after those of the route.
 */
export function policyBinder(
  thread: PolicyThread,
  everywhere: readonly BoundPolicy[] = [],
  modules: readonly PolicyModule[] = POLICIES as readonly PolicyModule[],
): BindPolicies {
  const unconfigured = hooksOf(everywhere);
  const bound = new WeakMap<PolicySet, BoundPolicies>();
  return (policies) => {
    if (policies === null) return unconfigured;
    let found = bound.get(policies);
    if (!found) {
      const configs = policies.configs as Readonly<Record<string, object>>;
      const own = modules.flatMap((module) => {
        const config = configs[module.name];
        if (config === undefined || !module.bind) return [];
        const policy = module.bind(config, thread);
        policy.name = module.name;
        return [{ module, policy }];
      });
      const asked = policies.configs.satisfy ? withAlternatives(own) : own.map(({ policy }) => policy);
      bound.set(policies, (found = hooksOf([...asked, ...everywhere])));
    }
    return found;
  };
}

/** In the place of the first alternative, one that asks them all. What each does with the response, it still does. */
function withAlternatives(
  own: readonly { readonly module: PolicyModule; readonly policy: BoundPolicy }[],
): readonly BoundPolicy[] {
  const alternatives = own.filter(({ module }) => module.isAlternative);
  return own.flatMap(({ module, policy }) => {
    if (!module.isAlternative) return [policy];
    const { onRequest: _, ...rest } = policy;
    const isFirst = policy === alternatives[0]?.policy;
    return isFirst ? [anyOf(alternatives.map((each) => each.policy)), rest] : [rest];
  });
}

function hooksOf(policies: readonly BoundPolicy[]): BoundPolicies {
  return {
    onRequest: policies.filter(({ onRequest }) => onRequest !== undefined),
    onResponse: policies.filter(({ onResponse }) => onResponse !== undefined),
    onComplete: policies.filter(({ onComplete }) => onComplete !== undefined),
  };
}
