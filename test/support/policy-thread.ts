import type { SecretData } from '../../src/model/secret-data.ts';
import type { PolicyThread } from '../../src/policies/policy.ts';
import { createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { Subrequests } from '../../src/proxy/subrequests.ts';

/** What policies have of a thread: the time, some Secrets, and servers on the loopback to ask. */
export function policyThread(
  now: () => number,
  secrets: ReadonlyMap<string, SecretData> = new Map(),
): PolicyThread {
  const names = createExternalNames({ ask: () => {}, now });
  const subrequests = new Subrequests({ names, rules: { allowLoopback: true }, now: Date.now });
  return {
    now,
    secret: (key) => secrets.get(key),
    send: (request) => subrequests.send(request),
  };
}
