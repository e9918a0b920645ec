import type { SubrequestBackend } from '../../http/subrequest.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { Backend } from '../../routing/table.ts';
import { type UpstreamTransport, upstreamTransport } from '../upstream/upstream-transport.ts';

const known = new WeakMap<object, PolicySet | null>();

/** How an endpoint of a backend is spoken to that a policy asks: as the policy says, or else the Service. */
export function askedTransport({ transport }: SubrequestBackend, backend: Backend): UpstreamTransport {
  if (transport === undefined) return upstreamTransport({ policies: null }, backend);
  let policies = known.get(transport);
  if (policies === undefined) {
    // Policies give what they have as an AskedTransport, which are configs of policies.
    policies = policySet(transport as PolicyConfigs, []);
    known.set(transport, policies);
  }
  return upstreamTransport({ policies }, backend);
}
