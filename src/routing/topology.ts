import type { Location } from './settings.ts';
import type { Endpoint } from './table.ts';
import type { TrafficPolicy } from './traffic-policy.ts';

/** An endpoint with the places its slice means it for (`hints.forZones`, `hints.forNodes`). */
export interface Candidate {
  readonly endpoint: Endpoint;
  readonly forZones: readonly string[];
  readonly forNodes: readonly string[];
}

export interface TopologySplit {
  /** Where requests go. */
  readonly local: readonly Candidate[];
  /** Where they go when none of those can be reached. */
  readonly remote: readonly Candidate[];
}

/** How many times its fair share an endpoint nearby may get before requests are spread over all. */
const MOST_SHARES = 2;

/**
 * The endpoints nearby, when the Service or the hints of its slices prefer them: those of our node, else those of
 * our zone, else all. Hints count when every endpoint has them, as for kube-proxy; without them an endpoint is where
 * its Pod is. A Service with session affinity keeps all its endpoints, because Porticos in several zones must agree.
 */
export function splitByTopology(
  candidates: readonly Candidate[],
  traffic: TrafficPolicy,
  location: Location,
): TopologySplit {
  const everywhere = { local: candidates, remote: [] };
  if (traffic.sessionAffinity) return everywhere;
  const { node, zone } = location;
  const byNode = node === null ? null : split(candidates, placesByNode(candidates, traffic), node, traffic);
  if (byNode) return byNode;
  const byZone = zone === null ? null : split(candidates, placesByZone(candidates, traffic), zone, traffic);
  return byZone ?? everywhere;
}

type PlacesOf = (candidate: Candidate) => readonly string[];

function placesByNode(candidates: readonly Candidate[], { prefers }: TrafficPolicy): PlacesOf | null {
  if (candidates.every(({ forNodes }) => forNodes.length > 0)) return ({ forNodes }) => forNodes;
  return prefers === 'node' ? ({ endpoint: { node } }) => (node === undefined ? [] : [node]) : null;
}

function placesByZone(candidates: readonly Candidate[], { prefers }: TrafficPolicy): PlacesOf | null {
  if (candidates.every(({ forZones }) => forZones.length > 0)) return ({ forZones }) => forZones;
  return prefers === null ? null : ({ endpoint: { zone } }) => (zone === undefined ? [] : [zone]);
}

/**
 * Null when there is nothing near, or too little. Requests are taken to come evenly from all places that have
 * endpoints: of N endpoints in P places, each of n near ones then gets N / (P × n) of its fair share. Hints without
 * a trafficDistribution were made from the size of the zones, and are followed as they are.
 */
function split(
  candidates: readonly Candidate[],
  placesOf: PlacesOf | null,
  here: string,
  { prefers }: TrafficPolicy,
): TopologySplit | null {
  if (placesOf === null) return null;
  const local: Candidate[] = [];
  const remote: Candidate[] = [];
  const places = new Set<string>();
  for (const candidate of candidates) {
    const its = placesOf(candidate);
    for (const place of its) places.add(place);
    (its.includes(here) ? local : remote).push(candidate);
  }
  if (local.length === 0) return null;
  if (prefers !== null && candidates.length > MOST_SHARES * places.size * local.length) return null;
  return { local, remote };
}
