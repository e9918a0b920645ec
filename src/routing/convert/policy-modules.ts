import type { PolicyModule } from '../../policies/policy.ts';
import { POLICIES } from '../../policies/registry.ts';

/** The policies by their names. */
export const MODULES: ReadonlyMap<string, PolicyModule> = new Map(
  (POLICIES as readonly PolicyModule[]).map((policy) => [policy.name, policy]),
);
