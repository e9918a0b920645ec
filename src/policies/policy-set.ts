import { createHash } from 'node:crypto';
import type { PolicyConfigs, PolicyName } from './registry.ts';

/** What the policies of a route ask for: plain, frozen data. A route without any has null instead. */
export interface PolicySet {
  /** A digest of all the rest: sets with the same id ask for the same. */
  readonly id: string;
  /** The policies that could not be read and decide who gets in or what is verified: the route answers 503. */
  readonly closed: readonly (PolicyName | 'unsupported-access')[];
  /** By the name of the policy; those that are not asked for are absent. */
  readonly configs: PolicyConfigs;
}

const ID_LENGTH = 22;

/** Null when nothing is asked for. */
export function policySet(configs: PolicyConfigs, closed: PolicySet['closed']): PolicySet | null {
  if (closed.length === 0 && Object.keys(configs).length === 0) return null;
  const digest = createHash('sha256')
    .update(JSON.stringify([configs, closed]))
    .digest('base64url');
  return Object.freeze({ id: digest.slice(0, ID_LENGTH), closed, configs: Object.freeze(configs) });
}

/** Whether two routes ask for the same. */
export function samePolicies(a: PolicySet | null, b: PolicySet | null): boolean {
  return a?.id === b?.id;
}
