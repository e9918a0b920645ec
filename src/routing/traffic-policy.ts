import type { UntypedObject } from '../model/untyped.ts';

/** How a Service wants its requests spread over its endpoints. */
export interface TrafficPolicy {
  /** `publishNotReadyAddresses`: readiness does not count. */
  readonly publishNotReadyAddresses: boolean;
  /** `trafficDistribution`: the nearest place that is preferred; null leaves it to the hints of the slices. */
  readonly prefers: 'zone' | 'node' | null;
  /** `sessionAffinity: ClientIP`: one client, one endpoint. */
  readonly sessionAffinity: boolean;
}

/** What a Service spec says of it; unknown values are as good as none. */
export function readTrafficPolicy(spec: UntypedObject): TrafficPolicy {
  const sessionAffinity = spec['sessionAffinity'] === 'ClientIP';
  return {
    publishNotReadyAddresses: spec['publishNotReadyAddresses'] === true,
    prefers: preference(spec),
    sessionAffinity,
  };
}

function preference(spec: UntypedObject): TrafficPolicy['prefers'] {
  switch (spec['trafficDistribution']) {
    // The older name of the same.
    case 'PreferClose':
    case 'PreferSameZone':
      return 'zone';
    case 'PreferSameNode':
      return 'node';
    default:
      return null;
  }
}
