import { isIP } from 'node:net';
import { refusedAddress } from './addresses.ts';
import { fields, isPortNumber, items, quote, text } from './fields.ts';
import { type EndpointSlice, objectKey } from './objects.ts';
import { compareText } from './precedence.ts';
import { type Problem, problem, referenceTo } from './problem.ts';
import type { CompileSettings } from './settings.ts';
import type { Endpoint } from './table.ts';

/** The endpoints of one Service port, in an order that depends on nothing but the endpoints. */
export interface PortEndpoints {
  readonly endpoints: readonly Endpoint[];
  readonly problems: readonly Problem[];
}

type State = 'ready' | 'terminating' | 'unusable';

/**
 * All EndpointSlices of a Service as one list. EndpointSlice ports carry the name of the Service port and the
 * port of those Pods, so a named target port is resolved slice by slice. When no endpoint is ready, those that
 * terminate and still serve are used rather than none.
 */
export function portEndpoints(
  slices: readonly EndpointSlice[],
  portName: string,
  settings: CompileSettings,
): PortEndpoints {
  const ready = new Map<string, Endpoint>();
  const terminating = new Map<string, Endpoint>();
  const problems: Problem[] = [];
  for (const slice of slices) {
    for (const { endpoint, state } of sliceEndpoints(slice, portName, settings, problems)) {
      const id = `${endpoint.address} ${endpoint.port}`;
      if (state === 'ready') ready.set(id, better(ready.get(id), endpoint));
      else if (state === 'terminating')
        terminating.set(id, better(terminating.get(id), { ...endpoint, terminating: true }));
    }
  }
  const used = ready.size > 0 ? ready : terminating;
  return { endpoints: [...used.values()].sort(byAddress), problems };
}

function* sliceEndpoints(
  slice: EndpointSlice,
  portName: string,
  settings: CompileSettings,
  problems: Problem[],
): Generator<{ endpoint: Endpoint; state: State }> {
  const report = (code: string, field: string, message: string): void => {
    problems.push(
      problem('warning', code, referenceTo('EndpointSlice', objectKey(slice), slice), field, message),
    );
  };
  const { addressType, ports, endpoints } = fields(slice);
  if (addressType !== 'IPv4' && addressType !== 'IPv6') {
    const message = `Only IPv4 and IPv6 addresses can be reached, not ${quote(addressType)}; this slice is ignored.`;
    report('AddressTypeNotSupported', 'addressType', message);
    return;
  }
  const family = addressType === 'IPv4' ? 4 : 6;
  const numbers = slicePorts(ports, portName);
  if (numbers.length === 0) return;
  for (const [index, entry] of items(endpoints).entries()) {
    const state = stateOf(fields(entry)['conditions']);
    if (state === 'unusable') continue;
    const about = describe(entry);
    for (const [at, address] of items(fields(entry)['addresses']).entries()) {
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
      for (const port of numbers) yield { endpoint: { address, port, ...about }, state };
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

/** The numbers that a slice has for the Service port of this name; an unnamed Service port has the empty name. */
function slicePorts(ports: unknown, portName: string): readonly number[] {
  const numbers = new Set<number>();
  for (const entry of items(ports)) {
    const { name, port, protocol } = fields(entry);
    if ((text(name) ?? '') !== portName || (text(protocol) ?? 'TCP') !== 'TCP') continue;
    if (isPortNumber(port)) numbers.add(port);
  }
  return [...numbers];
}

/** `ready` unset means ready; `serving` and `terminating` unset mean no. */
function stateOf(conditions: unknown): State {
  const { ready, serving, terminating } = fields(conditions);
  if (ready !== false) return 'ready';
  return serving === true && terminating === true ? 'terminating' : 'unusable';
}

function describe(entry: unknown): Pick<Endpoint, 'zone' | 'node' | 'pod'> {
  const { zone, nodeName, targetRef } = fields(entry);
  const target = fields(targetRef);
  const pod = target['kind'] === 'Pod' ? text(target['name']) : undefined;
  return {
    ...(typeof zone === 'string' && { zone }),
    ...(typeof nodeName === 'string' && { node: nodeName }),
    ...(pod !== undefined && { pod }),
  };
}

/** Of two entries for one address, the same one whatever the order of the slices. */
function better(a: Endpoint | undefined, b: Endpoint): Endpoint {
  return a && describeEndpoint(a) <= describeEndpoint(b) ? a : b;
}

function describeEndpoint({ pod = '', node = '', zone = '' }: Endpoint): string {
  return [pod, node, zone].join('\0');
}

function byAddress(a: Endpoint, b: Endpoint): number {
  return compareText(a.address, b.address) || a.port - b.port;
}
