import { randomFillSync } from 'node:crypto';
import { SharedLimits, sharedLimitsMemory } from '../../src/policies/limits/shared-limits.ts';
import type { PolicyThread } from '../../src/policies/policy.ts';
import { passwordMatches } from '../../src/passwords/password-hash.ts';
import { createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { STRICT } from '../../src/proxy/http1/leniency.ts';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { Subrequests, type SubrequestsSettings } from '../../src/proxy/subrequests/subrequests.ts';

/** What policies have of a thread: the time, some Secrets, limits that nobody shares, and servers on the loopback to ask. */
export function policyThread(
  now: () => number,
  secret: PolicyThread['secret'] = () => undefined,
  clusterLimits: PolicyThread['clusterLimits'] = null,
  chooseEndpoint: SubrequestsSettings['chooseEndpoint'] = () => null,
): PolicyThread {
  const names = createExternalNames({ ask: () => {}, now });
  const subrequests = new Subrequests({
    names,
    chooseEndpoint,
    rules: { allowLoopback: true },
    now: Date.now,
    upstreams: DEFAULT_LIMITS,
    leniency: STRICT,
    onFault(fault) {
      throw fault;
    },
  });
  let limits: SharedLimits | null = null;
  return {
    now,
    monotonicMs: () => performance.now(),
    // Their memory is 64 MiB of addresses, which few tests need: with hundreds of them a process cannot start another one.
    get limits() {
      return (limits ??= new SharedLimits(sharedLimitsMemory(randomFillSync)));
    },
    clusterLimits,
    secret,
    checkPassword: async (_, hash, password) => (passwordMatches(hash, password) ? 'right' : 'wrong'),
    send: (request) => subrequests.send(request),
  };
}
