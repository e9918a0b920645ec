import type { EndpointSlice } from './objects.ts';
import { asObject, asArray, asString } from './untyped.ts';

/** Endpoints of one Service, each as `endpointId` names it. */
export type EndpointIds = ReadonlySet<string>;

export const NO_ENDPOINTS: EndpointIds = new Set();

/** An address of an entry of an EndpointSlice, and the Pod that has it: another Pod may have the address later. */
export function endpointId(entry: unknown, address: unknown): string {
  return `${asString(address) ?? ''} ${asString(asObject(asObject(entry)['targetRef'])['name']) ?? ''}`;
}

/**
 * The endpoints of a Service that were ready at some time and now are neither ready nor terminating. `before` are its
 * slices so far and `lost` the result for them. Empty, as nearly always, when all endpoints are ready.
 */
export function lostReadiness(
  before: readonly EndpointSlice[],
  lost: EndpointIds,
  now: readonly EndpointSlice[],
): EndpointIds {
  // As when all is compiled for the first time.
  if (before.length === 0 && lost.size === 0) return NO_ENDPOINTS;
  const unready = endpointsOf(now, 'unready');
  if (unready.size === 0) return NO_ENDPOINTS;
  const wereReady = endpointsOf(before, 'ready');
  const found = [...unready].filter((id) => lost.has(id) || wereReady.has(id));
  return found.length > 0 ? new Set(found) : NO_ENDPOINTS;
}

type Readiness = 'ready' | 'unready' | 'terminating';

function endpointsOf(slices: readonly EndpointSlice[], wanted: Readiness): Set<string> {
  const found = new Set<string>();
  for (const slice of slices) {
    for (const entry of asArray(asObject(slice)['endpoints'])) {
      if (readinessOf(entry) !== wanted) continue;
      for (const address of asArray(asObject(entry)['addresses'])) found.add(endpointId(entry, address));
    }
  }
  return found;
}

/** `ready` unset means ready, `terminating` unset means no. */
function readinessOf(entry: unknown): Readiness {
  const { ready, terminating } = asObject(asObject(entry)['conditions']);
  if (terminating === true) return 'terminating';
  return ready === false ? 'unready' : 'ready';
}
