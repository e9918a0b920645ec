import { isIP } from 'node:net';
import { compactList } from '../model/compact.ts';
import { refusedAddress, refusedName } from '../model/refused-addresses.ts';
import { CLUSTER_IP } from './cluster-ip.ts';
import { type ServicePort, portsOfService, suffixOf } from './port-index.ts';
import { portEndpoints } from './endpoints.ts';
import { type UntypedObject, asObject, isPortNumber, asArray, quote, asString } from '../model/untyped.ts';
import { isPortName, isSubdomain } from '../model/names.ts';
import { type ObjectKey, type Service, namespaceOf } from '../model/objects.ts';
import { MAX_PROBLEMS, type Problem, firstOfEachCode, problem, referenceTo } from '../model/problem.ts';
import type { CompileSettings } from './settings.ts';
import type { Dependency, ObjectReader } from '../model/object-reader.ts';
import type { Backend, BackendKey, Unavailable } from './table.ts';
import { readTrafficPolicy } from './traffic-policy.ts';

/** A backend and what is wrong with the Service and slices behind it. */
export interface CompiledBackend {
  readonly backend: Backend;
  readonly problems: readonly Problem[];
  /** What it was compiled from. */
  readonly dependencies: readonly Dependency[];
}

/** The Service of a backend; null for the backends that are only a reason. */
export function serviceOf(key: BackendKey): ObjectKey | null {
  const colon = key.lastIndexOf(':');
  return colon < 0 ? null : key.slice(0, colon);
}

/** One port of one Service as the snapshot has it now. */
export function compileBackend(
  key: BackendKey,
  objects: ObjectReader,
  settings: CompileSettings,
): CompiledBackend {
  const { backend, problems } = resolveBackend(key, objects, settings);
  const kept = compactList(firstOfEachCode(problems, MAX_PROBLEMS + 1));
  return { backend, problems: kept, dependencies: objects.dependencies() };
}

/** One whose endpoints are not used: see `TENANT_LIMITS`. */
export function withTooManyEndpoints(key: BackendKey, objects: ObjectReader): CompiledBackend {
  objects.endpointSlices(serviceOf(key) ?? '');
  return { ...unavailable(key, 'too-many-endpoints'), dependencies: objects.dependencies() };
}

/** Null for a headless Service, and for an address that no request is sent to. */
function readClusterIp(spec: UntypedObject, settings: CompileSettings): string | null {
  const address = asString(spec['clusterIP']) ?? '';
  return isIP(address) !== 0 && refusedAddress(address, settings.allowLoopback) === null ? address : null;
}

type Resolved = Omit<CompiledBackend, 'dependencies'>;

function resolveBackend(key: BackendKey, objects: ObjectReader, settings: CompileSettings): Resolved {
  const serviceKey = serviceOf(key);
  if (serviceKey === null) return unavailable(key, reasonOf(key));
  const service = objects.service(serviceKey);
  if (!service) return unavailable(key, 'service-not-found');

  const [port = '', by] = key.slice(serviceKey.length + 1).split('@', 2);
  const spec = asObject(asObject(service)['spec']);
  const ports = portsOfService(service);
  // Without a port the first one is meant.
  const found = port === '' ? ports.values().next().value : ports.get(port);
  if (spec['type'] === 'ExternalName') return externalName(key, serviceKey, service, port, objects, settings);
  if (!found) return unavailable(key, 'port-not-found');

  const problems: Problem[] = [];
  const protocol = readProtocol(found, serviceKey, service, problems);
  const clusterIp = by === CLUSTER_IP ? readClusterIp(spec, settings) : null;
  if (clusterIp !== null) {
    const endpoints = [{ address: clusterIp, port: Number(found.port['port']) }];
    return { backend: { key, protocol, endpoints, externalName: null, unavailable: null }, problems };
  }
  const portName = (asString(found.port['name']) ?? '') + (suffixOf(found.port['protocol']) ?? '');
  const slices = objects.endpointSlices(serviceKey);
  const traffic = readTrafficPolicy(spec);
  const lost = objects.lostReadiness(serviceKey);
  const resolved = portEndpoints(slices, portName, traffic, settings, lost);
  problems.push(...resolved.problems);
  const { endpoints, spare, lastResort } = resolved;
  if (lastResort) {
    const count = endpoints.length + spare.length;
    const those = count === 1 ? 'the one that was ready before' : `the ${count} that were ready before`;
    const message = `No Pod of this Service is ready. As a last resort, requests for port ${port} go to ${those}; check these Pods and their nodes.`;
    const object = referenceTo('Service', serviceKey, service);
    problems.push(problem('warning', 'EndpointsNotReady', object, 'spec.ports', message));
  }
  if (endpoints.length === 0) {
    const about =
      slices.length === 0
        ? 'it has no EndpointSlice'
        : `none of its EndpointSlices has a usable endpoint for ${portName ? `the port name ${quote(portName)}` : 'a port without a name'}`;
    const message = `Requests for port ${port} of this Service get 503: ${about}; check its selector and whether its Pods are ready.`;
    problems.push(
      problem('warning', 'NoEndpoints', referenceTo('Service', serviceKey, service), 'spec.ports', message),
    );
  }
  const reason: Unavailable | null = endpoints.length === 0 ? 'no-endpoints' : null;
  const backend: Backend = {
    key,
    protocol,
    endpoints,
    ...(spare.length > 0 && { failoverEndpoints: spare }),
    ...(lastResort && { lastResort }),
    ...(traffic.sessionAffinity && { affinity: 'client-ip' }),
    serviceUid: asString(asObject(asObject(service)['metadata'])['uid']) ?? '',
    externalName: null,
    unavailable: reason,
  };
  return { backend, problems };
}

function unavailable(key: BackendKey, reason: Unavailable): Resolved {
  const backend = { key, protocol: 'http', endpoints: [], externalName: null, unavailable: reason } as const;
  return { backend, problems: [] };
}

function reasonOf(key: BackendKey): Unavailable {
  switch (key) {
    case 'resource-backend':
    case 'invalid-reference':
      return key;
    default:
      return 'invalid-backend';
  }
}

const MOST_LISTED_PORTS = 10;

/** The ports an Ingress could name, for a message. */
export function listPorts(service: Service): string {
  const names: string[] = [];
  for (const entry of asArray(asObject(asObject(service)['spec'])['ports'])) {
    if (names.length === MOST_LISTED_PORTS) break;
    const { name, port, protocol } = asObject(entry);
    if (!isPortNumber(port) || (asString(protocol) ?? 'TCP') !== 'TCP') continue;
    if (typeof name !== 'string' || name === '') names.push(`${port}`);
    else if (isPortName(name)) names.push(`${port} (${name})`);
    // A Service may give a port a name that no Ingress may use.
    else names.push(`${port} (its name is not valid in an Ingress: use the number)`);
  }
  return names.length > 0 ? names.join(', ') : 'none';
}

const PROTOCOLS: ReadonlyMap<unknown, Backend['protocol']> = new Map<unknown, Backend['protocol']>([
  [undefined, 'http'],
  [null, 'http'],
  ['http', 'http'],
  ['kubernetes.io/ws', 'http'],
  ['https', 'https'],
  ['kubernetes.io/wss', 'https'],
  ['kubernetes.io/h2c', 'h2c'],
  ['h2c', 'h2c'],
  ['grpc', 'grpc'],
]);

function readProtocol(
  { index, port }: ServicePort,
  key: ObjectKey,
  service: Service,
  problems: Problem[],
): Backend['protocol'] {
  const written = port['appProtocol'];
  const protocol = PROTOCOLS.get(typeof written === 'string' ? written.toLowerCase() : written);
  if (protocol !== undefined) return protocol;
  const message = `Portico does not speak ${quote(written)}; it speaks HTTP/1.1 to this port. Known are http, https, grpc, kubernetes.io/h2c and kubernetes.io/ws.`;
  const field = `spec.ports[${index}].appProtocol`;
  problems.push(
    problem('warning', 'AppProtocolUnknown', referenceTo('Service', key, service), field, message),
  );
  return 'http';
}

/** The ports of an ExternalName Service are optional; a number in the Ingress then is the port to connect to. */
function externalName(
  key: BackendKey,
  serviceKey: ObjectKey,
  service: Service,
  wanted: string,
  objects: ObjectReader,
  settings: CompileSettings,
): Resolved {
  const spec = asObject(asObject(service)['spec']);
  const found = portsOfService(service).get(wanted);
  const port = found ? targetPort(found) : Number(wanted);
  if (!isPortNumber(port)) return unavailable(key, 'port-not-found');
  if (externalNameFault(serviceKey, service, settings) !== null)
    return unavailable(key, 'external-name-refused');
  const problems: Problem[] = [];
  const protocol = found ? readProtocol(found, serviceKey, service, problems) : 'http';
  const host = canonicalName(spec['externalName']);
  const fault = objects.nameFault(serviceKey);
  if (fault?.host === host) {
    const outcome = fault.keepsAddresses
      ? 'its last known addresses stay in use'
      : 'requests get 503 until that is fixed';
    const message = `The name ${quote(host)} ${fault.reason}; ${outcome}.`;
    const object = referenceTo('Service', serviceKey, service);
    problems.push(problem('warning', 'ExternalNameUnresolved', object, 'spec.externalName', message));
  }
  // An address needs no DNS: it is an endpoint like any other.
  const target =
    isIP(host) === 0
      ? { endpoints: [], externalName: { host, port } }
      : { endpoints: [{ address: host, port }], externalName: null };
  return { backend: { key, protocol, ...target, unavailable: null }, problems };
}

function targetPort({ port }: ServicePort): number {
  return Number(isPortNumber(port['targetPort']) ? port['targetPort'] : port['port']);
}

/** Why an ExternalName is not resolved, or null. */
export function externalNameFault(
  key: ObjectKey,
  service: Service,
  settings: CompileSettings,
): string | null {
  if (settings.externalNames === false) return 'is not followed, because of --external-names=false';
  const name = canonicalName(asObject(asObject(service)['spec'])['externalName']);
  const refused = refusedName(name, namespaceOf(key), settings);
  if (refused !== null) return refused;
  return isIP(name) !== 0 || isSubdomain(name.replaceAll('_', 'x')) ? null : 'is not a DNS name';
}

function canonicalName(name: unknown): string {
  return (asString(name) ?? '').toLowerCase().replace(/\.$/, '');
}
