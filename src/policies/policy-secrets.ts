import type { ObjectKey } from '../model/objects.ts';
import type { PolicyModule } from './policy.ts';
import type { PolicySet } from './policy-set.ts';
import { POLICIES } from './registry.ts';

/** The Secrets whose data the policies of a route use, each once. */
export function policySecrets(policies: PolicySet | null): readonly ObjectKey[] {
  if (policies === null) return [];
  const configs = policies.configs as Readonly<Record<string, object>>;
  const keys = POLICIES.flatMap(({ name, secrets }: PolicyModule) => {
    const config = configs[name];
    return config !== undefined && secrets ? secrets(config) : [];
  });
  return [...new Set(keys)];
}
