import { type ExternalNames, createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { type Resolve, createNameResolver } from '../../src/proxy/balance/name-resolver.ts';

/** ExternalNames as a thread has them, resolved in this thread; none resolves unless said. */
export function externalNames(
  resolve: Resolve = () => Promise.reject(new Error('no name servers here')),
  allowLoopback = true,
): ExternalNames {
  const resolver = createNameResolver({ resolve, allowLoopback, now: Date.now, onFault: () => undefined });
  const names = createExternalNames({
    ask: (name) => void resolver.resolve(name).then(names.answered),
    now: Date.now,
  });
  return names;
}
