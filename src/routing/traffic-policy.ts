import type { UntypedObject } from '../model/untyped.ts';

/** How a Service wants its requests spread over its endpoints. */
export interface Traffic {
  /** `publishNotReadyAddresses`: readiness does not count. */
  readonly notReadyToo: boolean;
  /** `trafficDistribution`: the nearest place that is preferred; null leaves it to the hints of the slices. */
  readonly prefers: 'zone' | 'node' | null;
  /** `sessionAffinity: ClientIP`: one client, one endpoint. */
  readonly sticky: boolean;
}

/** What a Service spec says of it; unknown values are as good as none. */
export function readTraffic(spec: UntypedObject): Traffic {
  const sticky = spec['sessionAffinity'] === 'ClientIP';
  return { notReadyToo: spec['publishNotReadyAddresses'] === true, prefers: preference(spec), sticky };
}

function preference(spec: UntypedObject): Traffic['prefers'] {
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
