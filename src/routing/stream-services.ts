import { isLabel, isPortName, isSubdomain } from '../model/names.ts';
import type { ObjectReader } from '../model/object-reader.ts';
import type { ConfigMap, ObjectKey } from '../model/objects.ts';
import { type ObjectReference, type Problem, problem, referenceTo } from '../model/problem.ts';
import { type ShardedMap, get, mapOf, values } from '../model/sharded-map.ts';
import { asObject, isPortNumber, quote } from '../model/untyped.ts';
import type { CompileSettings } from './settings.ts';
import type { Backend, BackendKey, StreamRoute, Unavailable } from './table.ts';

/** How many ports a ConfigMap may list. */
const MAX_PORTS = 1_000;

export interface StreamServices {
  /** By `tcp/9000`. */
  readonly routes: ReadonlyMap<string, StreamRoute>;
  readonly problems: readonly Problem[];
}

const NONE: StreamServices = { routes: new Map(), problems: [] };

/**
 * The ports that the ConfigMaps of TCP and UDP services list, as ingress-nginx reads them: a port, and as its value
 * `namespace/service:port`, for TCP with `:PROXY` after it where a load balancer sends the PROXY protocol, and another
 * one where the endpoints get it.
 */
export function readStreamServices(settings: CompileSettings, objects: ObjectReader): StreamServices {
  const { tcpServicesConfigMap: tcp, udpServicesConfigMap: udp } = settings;
  if (!tcp && !udp) return NONE;
  const routes = new Map<string, StreamRoute>();
  const problems: Problem[] = [];
  if (tcp) readPorts('tcp', tcp, settings.ownPorts ?? [], objects, routes, problems);
  if (udp) readPorts('udp', udp, [], objects, routes, problems);
  return { routes, problems };
}

function readPorts(
  protocol: StreamRoute['protocol'],
  key: ObjectKey,
  ownPorts: readonly number[],
  objects: ObjectReader,
  routes: Map<string, StreamRoute>,
  problems: Problem[],
): void {
  const configMap = objects.configMap(key);
  if (configMap === undefined) {
    const [namespace = '', name = ''] = key.split('/');
    const absence = objects.absence(`ConfigMap ${key}`, `with the ${protocol.toUpperCase()} services`);
    const message = `${absence}. No ${protocol.toUpperCase()} port is served.`;
    problems.push(
      problem('warning', 'StreamServicesMissing', { kind: 'ConfigMap', namespace, name }, '', message),
    );
    return;
  }
  const object = referenceTo('ConfigMap', key, configMap);
  const entries = Object.entries(dataOf(configMap));
  if (entries.length > MAX_PORTS) {
    const message = `It may list ${MAX_PORTS} ports; this one and all after it are not served: remove some.`;
    problems.push(
      problem('error', 'TooManyStreamPorts', object, fieldOf(entries[MAX_PORTS]?.[0] ?? ''), message),
    );
  }
  for (const [port, value] of entries.slice(0, MAX_PORTS)) {
    const route = readPort(protocol, port, value, key, ownPorts, object, problems);
    if (route) routes.set(`${protocol}/${route.port}`, route);
  }
}

function readPort(
  protocol: StreamRoute['protocol'],
  written: string,
  value: unknown,
  configMap: ObjectKey,
  ownPorts: readonly number[],
  object: ObjectReference,
  problems: Problem[],
): StreamRoute | null {
  const report = (code: string, message: string): null => {
    problems.push(problem('error', code, object, fieldOf(written), message));
    return null;
  };
  const port = /^\d{1,5}$/.test(written) ? Number(written) : 0;
  if (!isPortNumber(port)) {
    return report(
      'StreamPortInvalid',
      'The key is not a port from 1 to 65535, so it is not served: correct it.',
    );
  }
  if (ownPorts.includes(port)) {
    return report(
      'StreamPortTaken',
      `Portico itself listens on port ${port}, so it is not served: use another port.`,
    );
  }
  const found = readTarget(value, protocol);
  if (found === null) {
    const more = protocol === 'tcp' ? ', with :PROXY after it where that is spoken' : '';
    const message = `${quote(value)} is not a target, so port ${port} is not served: write namespace/service:port${more}.`;
    return report('StreamTargetInvalid', message);
  }
  return { protocol, port, configMap, ...found };
}

function readTarget(
  value: unknown,
  protocol: StreamRoute['protocol'],
): Pick<StreamRoute, 'backend' | 'acceptsProxyProtocol' | 'sendsProxyProtocol'> | null {
  if (typeof value !== 'string') return null;
  const [service = '', port = '', accepts = '', sends = '', ...rest] = value.trim().split(':');
  const [namespace = '', name = '', ...more] = service.split('/');
  if (!isLabel(namespace) || !isSubdomain(name) || more.length > 0 || rest.length > 0) return null;
  if (!isPortName(port) && !isPortNumber(/^\d{1,5}$/.test(port) ? Number(port) : 0)) return null;
  if (![accepts, sends].every((word) => word === '' || (word === 'PROXY' && protocol === 'tcp'))) return null;
  const backend: BackendKey = `${service}:${port}${protocol === 'udp' ? '/udp' : ''}`;
  return { backend, acceptsProxyProtocol: accepts === 'PROXY', sendsProxyProtocol: sends === 'PROXY' };
}

/** The same map where nothing in it is another one. */
export function streamTable(
  before: ShardedMap<StreamRoute>,
  routes: StreamServices['routes'],
): ShardedMap<StreamRoute> {
  const isSame = (route: StreamRoute, key: string): boolean => {
    const old = get(before, key);
    return old !== undefined && JSON.stringify(old) === JSON.stringify(route);
  };
  const same = before.size === routes.size && [...routes].every(([key, route]) => isSame(route, key));
  return same ? before : mapOf(routes);
}

/** What is wrong with the Services that the ConfigMaps name. */
export function streamReferenceProblems(
  streams: ShardedMap<StreamRoute>,
  backends: ShardedMap<Backend>,
  { ownAddresses = [] }: CompileSettings,
): readonly Problem[] {
  if (streams.size === 0) return [];
  return [...values(streams)].flatMap(({ protocol, port, backend, configMap, gateway }) => {
    if (gateway) return [];
    const found = get(backends, backend);
    const [namespace = '', name = ''] = configMap.split('/');
    if (protocol === 'udp' && found?.externalName) {
      const service = backend.split(':', 1)[0] ?? '';
      const said = `Service ${service} is an ExternalName, and Portico sends datagrams to Pods only; name another Service; datagrams to port ${port} are dropped.`;
      const place = { kind: 'ConfigMap', namespace, name };
      return [problem('error', 'StreamBackendUnavailable', place, fieldOf(String(port)), said)];
    }
    const target = backend.replace(/\/udp$/, '');
    const own = found?.endpoints.find((each) => each.port === port && ownAddresses.includes(each.address));
    if (own) {
      const message = `The endpoint ${own.address}:${port} of ${target} is this port of Portico itself: name the Service of the Pods that it is for.`;
      const place = { kind: 'ConfigMap', namespace, name };
      return [problem('warning', 'EndpointIsPortico', place, fieldOf(String(port)), message)];
    }
    const reason = found?.unavailable;
    if (!reason) return [];
    const message = `${describeReason(reason, target, protocol)}; connections to port ${port} are refused.`;
    const severity = reason === 'no-endpoints' ? 'warning' : 'error';
    const object = { kind: 'ConfigMap', namespace, name };
    return [problem(severity, 'StreamBackendUnavailable', object, fieldOf(String(port)), message)];
  });
}

function describeReason(reason: Unavailable, target: string, protocol: StreamRoute['protocol']): string {
  const [service = '', port = ''] = target.split(':');
  switch (reason) {
    case 'service-not-found':
      return `There is no Service ${service}: create it, or name another one`;
    case 'port-not-found':
      return `Service ${service} has no ${protocol.toUpperCase()} port ${quote(port)}: name one that it has`;
    case 'no-endpoints':
      return `Service ${service} has no endpoint for port ${quote(port)}: check its selector and whether its Pods are ready`;
    case 'external-name-refused':
      return `The externalName of Service ${service} may not be used: use another DNS name, or an ordinary Service`;
    case 'resource-backend':
    case 'invalid-backend':
    case 'invalid-reference':
    case 'too-many-endpoints':
    case 'internal-error':
      return `Service ${service} cannot be used (${reason})`;
    default:
      return reason satisfies never;
  }
}

function dataOf(configMap: ConfigMap): Readonly<Record<string, unknown>> {
  return asObject(asObject(configMap)['data']);
}

function fieldOf(port: string): string {
  return `data[${port}]`;
}
