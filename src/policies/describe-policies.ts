import type { PolicyModule } from './policy.ts';
import type { PolicySet } from './policy-set.ts';
import { POLICIES } from './registry.ts';

/**
 * What each policy of a route does, in the order in which they act: `balance: ewma by client-ip`. `hidesValues` leaves out
 * the values of header fields, which may be credentials.
 */
export function describePolicies(
  policies: PolicySet | null,
  { hidesValues = false } = {},
): readonly string[] {
  if (policies === null) return [];
  const configs = policies.configs as Readonly<Record<string, object>>;
  return POLICIES.flatMap((policy: PolicyModule) => {
    const config = configs[policy.name];
    if (config === undefined) return [];
    const describe = (hidesValues && policy.outline) || policy.describe;
    return `${policy.name}: ${describe(config)}`;
  });
}
