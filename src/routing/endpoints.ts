import { isIP } from 'node:net';
import { portsOfSlice } from './port-index.ts';
import { isLoopbackAddress, refusedAddress } from '../model/refused-addresses.ts';
import { asObject, asArray, quote, asString } from '../model/untyped.ts';
import { type Candidate, splitByTopology } from './topology.ts';
import { type EndpointIds, endpointId } from '../model/lost-readiness.ts';
import { type EndpointSlice, objectKey } from '../model/objects.ts';
import { compareText } from './precedence.ts';
import { type Problem, problem, referenceTo } from '../model/problem.ts';
import { type CompileSettings, NOWHERE } from './settings.ts';
import type { Endpoint } from './table.ts';
import type { TrafficPolicy } from './traffic-policy.ts';

/** The endpoints of one Service port, in an order that depends on nothing but the endpoints. */
export interface PortEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** Those that are farther away than the Service wants; empty when it does not care. */
  readonly spare: readonly Endpoint[];
  /** None is ready or still serves: these were ready before. */
  readonly lastResort: boolean;
  readonly problems: readonly Problem[];
}

type State = 'ready' | 'terminating' | 'lost-readiness' | 'unusable';

/**
 * All EndpointSlices of a Service as one list. EndpointSlice ports carry the name of the Service port and the
 * port of those Pods, so a named target port is resolved slice by slice. When no endpoint is ready, those that
 * terminate and still serve are used rather than none, and without these the ones of `lostReadiness`. Of those that
 * are left, `traffic` may prefer the near ones.
 */
export function portEndpoints(
  slices: readonly EndpointSlice[],
  portName: string,
  traffic: TrafficPolicy,
  settings: CompileSettings,
  lostReadiness: EndpointIds,
): PortEndpoints {
  const ready = new Map<string, Candidate>();
  const terminating = new Map<string, Candidate>();
  const lost = new Map<string, Candidate>();
  const problems: Problem[] = [];
  for (const slice of slices) {
    for (const found of sliceEndpoints(slice, portName, traffic, settings, lostReadiness, problems)) {
      const { endpoint, state } = found;
      const id = `${endpoint.address} ${endpoint.port}`;
      if (state === 'ready') ready.set(id, better(ready.get(id), found));
      else if (state === 'terminating')
        terminating.set(
          id,
          better(terminating.get(id), { ...found, endpoint: { ...endpoint, terminating: true } }),
        );
      else if (state === 'lost-readiness') lost.set(id, better(lost.get(id), found));
    }
  }
  const used = ready.size > 0 ? ready : terminating.size > 0 ? terminating : lost;
  const { local, remote } = splitByTopology([...used.values()], traffic, settings.location ?? NOWHERE);
  const lastResort = used === lost && lost.size > 0;
  return { endpoints: inOrder(local), spare: inOrder(remote), lastResort, problems };
}

function* sliceEndpoints(
  slice: EndpointSlice,
  portName: string,
  traffic: TrafficPolicy,
  settings: CompileSettings,
  lostReadiness: EndpointIds,
  problems: Problem[],
): Generator<Candidate & { state: State }> {
  const report = (code: string, field: string, message: string): void => {
    problems.push(
      problem('warning', code, referenceTo('EndpointSlice', objectKey(slice), slice), field, message),
    );
  };
  const { addressType, endpoints } = asObject(slice);
  if (addressType !== 'IPv4' && addressType !== 'IPv6') {
    const message = `Only IPv4 and IPv6 addresses can be reached, not ${quote(addressType)}; this slice is ignored.`;
    report('AddressTypeNotSupported', 'addressType', message);
    return;
  }
  const family = addressType === 'IPv4' ? 4 : 6;
  const numbers = portsOfSlice(slice).get(portName) ?? [];
  if (numbers.length === 0) return;
  for (const [index, entry] of asArray(endpoints).entries()) {
    const state = stateOf(asObject(entry)['conditions'], traffic);
    if (state === 'unusable' && lostReadiness.size === 0) continue;
    const about = describe(entry);
    const hints = readHints(entry);
    for (const [at, address] of asArray(asObject(entry)['addresses']).entries()) {
      const reached =
        state === 'unusable' && lostReadiness.has(endpointId(entry, address)) ? 'lost-readiness' : state;
      if (reached === 'unusable') continue;
      const refused = refusal(address, family, addressType, settings);
      if (refused !== null || typeof address !== 'string') {
        const field = `endpoints[${index}].addresses[${at}]`;
        report(
          'AddressRefused',
          field,
          `The address ${quote(address)} ${refused}; no request is sent there.`,
        );
        continue;
      }
      for (const port of numbers) {
        if (port === settings.adminPort && isLoopbackAddress(address)) {
          const field = `endpoints[${index}].addresses[${at}]`;
          const message = `${address}:${port} is the admin API of Portico itself; no request is sent there.`;
          report('AddressRefused', field, message);
          continue;
        }
        if (settings.ownPorts?.includes(port) && settings.ownAddresses?.includes(address)) {
          const field = `endpoints[${index}].addresses[${at}]`;
          const message = `${address}:${port} is Portico itself: name the address of a Pod.`;
          report('EndpointIsPortico', field, message);
        }
        yield { endpoint: { address, port, ...about }, ...hints, state: reached };
      }
    }
  }
}

function refusal(
  address: unknown,
  family: 4 | 6,
  addressType: string,
  settings: CompileSettings,
): string | null {
  if (typeof address !== 'string' || isIP(address) !== family) return `is not an ${addressType} address`;
  return refusedAddress(address, settings.allowLoopback);
}

/**
 * `ready` unset means ready; `serving` and `terminating` unset mean no. One that terminates is called ready all the
 * same when the Service publishes addresses that are not: it is on its way out, whatever it is called.
 */
function stateOf(conditions: unknown, { publishNotReadyAddresses }: TrafficPolicy): State {
  const { ready, serving, terminating } = asObject(conditions);
  const usable = ready !== false || publishNotReadyAddresses;
  if (terminating === true) return usable || serving === true ? 'terminating' : 'unusable';
  return usable ? 'ready' : 'unusable';
}

function readHints(entry: unknown): Pick<Candidate, 'forZones' | 'forNodes'> {
  const { forZones, forNodes } = asObject(asObject(entry)['hints']);
  return { forZones: names(forZones), forNodes: names(forNodes) };
}

function names(places: unknown): readonly string[] {
  return asArray(places).flatMap((place) => asString(asObject(place)['name']) ?? []);
}

function describe(entry: unknown): Pick<Endpoint, 'zone' | 'node' | 'pod'> {
  const { zone, nodeName, targetRef } = asObject(entry);
  const target = asObject(targetRef);
  const pod = target['kind'] === 'Pod' ? asString(target['name']) : undefined;
  return {
    ...(typeof zone === 'string' && { zone }),
    ...(typeof nodeName === 'string' && { node: nodeName }),
    ...(pod !== undefined && { pod }),
  };
}

/** Of two entries for one address, the same one whatever the order of the slices. */
function better(a: Candidate | undefined, b: Candidate): Candidate {
  return a && describeCandidate(a) <= describeCandidate(b) ? a : b;
}

function describeCandidate({ endpoint, forZones, forNodes }: Candidate): string {
  const { pod = '', node = '', zone = '' } = endpoint;
  return [pod, node, zone, ...forZones, '', ...forNodes].join('\0');
}

function inOrder(candidates: readonly Candidate[]): readonly Endpoint[] {
  return candidates.map(({ endpoint }) => endpoint).sort(byAddress);
}

function byAddress(a: Endpoint, b: Endpoint): number {
  return compareText(a.address, b.address) || a.port - b.port;
}
