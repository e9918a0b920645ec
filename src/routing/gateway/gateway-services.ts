import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { type UntypedObject, asArray, asObject, asString, isAbsent, quote } from '../../model/untyped.ts';
import { parseCidr } from '../../http/trusted-proxies.ts';
import type { Fault } from './kinds.ts';
import { type ServicePorts, readServicePorts } from './service-ports.ts';
import type { GatewayAddress } from './serving-facts.ts';

/** The Service by which clients reach a Gateway: how it should be, and what there is. */
export interface GatewayService {
  readonly key: ObjectKey;
  /** Of the Gateway, which owns it. */
  readonly uid: string;
  /** Of `spec.infrastructure`. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly parameters: ServiceParameters;
  /** The address that the Gateway asks for; empty for any. */
  readonly requestedAddress: string;
  /** The ports of the nodes that the status of the Gateway says it has. */
  readonly keptPorts: ServicePorts;
  /** `foreign`: there is one of this name, and the Gateway does not own it. */
  readonly presence: 'missing' | 'foreign' | 'ours';
  /** Where clients reach it; null stands for the addresses of the nodes. */
  readonly addresses: readonly GatewayAddress[] | null;
  /** Why the Gateway has no address, or not the one that it asks for. */
  readonly fault: Fault | null;
}

const TYPES = ['LoadBalancer', 'NodePort', 'ClusterIP'] as const;
const TRAFFIC_POLICIES = ['Local', 'Cluster'] as const;

/** What the ConfigMap of `spec.infrastructure.parametersRef` says of the Service. */
export interface ServiceParameters {
  readonly type: (typeof TYPES)[number];
  readonly annotations: Readonly<Record<string, string>>;
  readonly externalTrafficPolicy: (typeof TRAFFIC_POLICIES)[number];
  /** Empty for the default of the cluster. */
  readonly loadBalancerClass: string;
  readonly loadBalancerSourceRanges: readonly string[];
}

const DEFAULT_PARAMETERS: ServiceParameters = {
  type: 'LoadBalancer',
  annotations: {},
  // It keeps the addresses of clients, and takes no second hop.
  externalTrafficPolicy: 'Local',
  loadBalancerClass: '',
  loadBalancerSourceRanges: [],
};

/** As the API allows. */
const MAX_LABELS = 8;
const MAX_ANNOTATIONS = 16;
const MAX_ADDRESSES = 16;
const MAX_SOURCE_RANGES = 256;

/** Reads what a Gateway says of its Service, and the Service; a fault where the Gateway cannot be accepted so. */
export function readGatewayService(
  gateway: ObjectKey,
  object: unknown,
  addresses: readonly (string | null)[],
  objects: ObjectReader,
): GatewayService | Fault {
  const { metadata, spec } = asObject(object);
  const className = asString(asObject(spec)['gatewayClassName']) ?? '';
  const infrastructure = asObject(asObject(spec)['infrastructure']);
  const parameters = readParameters(infrastructure['parametersRef'], namespaceOf(gateway), objects);
  if ('reason' in parameters) return parameters;
  const key = serviceKeyOf(gateway, className);
  const service = objects.serviceSpec(key);
  const uid = asString(asObject(metadata)['uid']) ?? '';
  const presence = service === undefined ? 'missing' : isOwnedBy(service, uid) ? 'ours' : 'foreign';
  const requested = addresses.filter((address) => address !== '');
  const [requestedAddress = ''] = requested.length === 1 ? requested : [];
  const found = presence === 'ours' ? addressesOf(service, parameters.type) : [];
  return {
    key,
    uid,
    labels: textsOf(infrastructure['labels'], MAX_LABELS),
    annotations: textsOf(infrastructure['annotations'], MAX_ANNOTATIONS),
    parameters,
    requestedAddress: requestedAddress ?? '',
    keptPorts: readServicePorts(object),
    presence,
    addresses: found,
    fault: addressFault(key, presence, requested, found, parameters),
  };
}

/** `gateway-class` where that can be the name of a Service (RFC 1035); else a name that follows from it. */
function serviceKeyOf(gateway: ObjectKey, className: string): ObjectKey {
  const namespace = namespaceOf(gateway);
  const plain = `${gateway.slice(namespace.length + 1)}-${className}`;
  const digest = createHash('sha256').update(plain).digest('hex').slice(0, 16);
  return `${namespace}/${/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(plain) ? plain : `gateway-${digest}`}`;
}

/** Whether the Gateway with this uid is the controller of an object. */
function isOwnedBy(object: unknown, uid: string): boolean {
  const owners = asArray(asObject(asObject(object)['metadata'])['ownerReferences']).map(asObject);
  return uid !== '' && owners.some((owner) => owner['controller'] === true && owner['uid'] === uid);
}

function addressesOf(service: unknown, type: ServiceParameters['type']): GatewayService['addresses'] {
  const { spec, status } = asObject(service);
  switch (type) {
    case 'LoadBalancer':
      return asArray(asObject(asObject(status)['loadBalancer'])['ingress'])
        .slice(0, MAX_ADDRESSES)
        .flatMap((entry): readonly GatewayAddress[] => {
          const { ip, hostname } = asObject(entry);
          if (typeof ip === 'string' && isIP(ip) > 0) return [{ type: 'IPAddress', value: ip }];
          return typeof hostname === 'string' && hostname !== ''
            ? [{ type: 'Hostname', value: hostname }]
            : [];
        });
    case 'NodePort':
      return null;
    case 'ClusterIP':
      return asArray(asObject(spec)['clusterIPs']).flatMap((ip): readonly GatewayAddress[] =>
        typeof ip === 'string' && isIP(ip) > 0 ? [{ type: 'IPAddress', value: ip }] : [],
      );
    default:
      return type satisfies never;
  }
}

function addressFault(
  key: ObjectKey,
  presence: GatewayService['presence'],
  requested: readonly (string | null)[],
  found: GatewayService['addresses'],
  { type }: ServiceParameters,
): Fault | null {
  if (presence === 'foreign') {
    const message = `There is a Service ${key} that this Gateway does not own, so it is left alone: delete it, or give the Gateway another name.`;
    return { reason: 'AddressNotAssigned', message };
  }
  const [address] = requested;
  if (requested.length > 1 || address === null || (requested.length > 0 && type !== 'LoadBalancer')) {
    const message = `A Service of type ${type} can be given ${type === 'LoadBalancer' ? 'one IP address' : 'no address'}: correct spec.addresses.`;
    return { reason: 'AddressNotUsable', message };
  }
  if (found !== null && found.length === 0) {
    const message = `Service ${key} has no address yet: see its Events, and whether the cluster has load balancers.`;
    return { reason: address === undefined ? 'AddressNotAssigned' : 'AddressNotUsable', message };
  }
  if (address === undefined || found === null || found.some(({ value }) => value === address)) return null;
  const message = `The load balancer of Service ${key} did not give it the address ${address}: correct spec.addresses.`;
  return { reason: 'AddressNotUsable', message };
}

const KEYS: ReadonlySet<string> = new Set(Object.keys(DEFAULT_PARAMETERS));

function readParameters(
  reference: unknown,
  namespace: string,
  objects: ObjectReader,
): ServiceParameters | Fault {
  if (isAbsent(reference)) return DEFAULT_PARAMETERS;
  const { group, kind, name } = asObject(reference);
  if ((group ?? '') !== '' || kind !== 'ConfigMap' || typeof name !== 'string') {
    return invalid(`Parameters are in a ConfigMap of the core group, not in ${quote(kind)}`);
  }
  const key = `${namespace}/${name}`;
  const configMap = objects.configMap(key);
  if (!configMap) return invalid(objects.absence(`ConfigMap ${key}`, 'with the parameters of the Service'));
  const data = asObject(asObject(configMap)['data']);
  const text = (field: string): string => (asString(data[field]) ?? '').trim();
  const unknown = Object.keys(data).find((field) => !KEYS.has(field));
  if (unknown !== undefined) {
    return invalid(`ConfigMap ${key} has the key ${quote(unknown)}, and may have ${[...KEYS].join(', ')}`);
  }
  const type = TYPES.find((each) => each === (text('type') || DEFAULT_PARAMETERS.type));
  const policy = TRAFFIC_POLICIES.find((each) => each === (text('externalTrafficPolicy') || 'Local'));
  if (!type) return invalid(`The type in ConfigMap ${key} must be one of ${TYPES.join(', ')}`);
  if (!policy) return invalid(`The externalTrafficPolicy in ConfigMap ${key} must be Local or Cluster`);
  const ranges = text('loadBalancerSourceRanges')
    .split(/[\s,]+/)
    .filter(Boolean);
  const bad = ranges.find((range) => parseCidr(range).kind === 'bad');
  if (bad !== undefined)
    return invalid(`ConfigMap ${key} has ${quote(bad)} among its loadBalancerSourceRanges`);
  if (ranges.length > MAX_SOURCE_RANGES)
    return invalid(`ConfigMap ${key} has more than ${MAX_SOURCE_RANGES} loadBalancerSourceRanges`);
  // Nobody would keep to them.
  if (ranges.length > 0 && type !== 'LoadBalancer')
    return invalid(`ConfigMap ${key} has loadBalancerSourceRanges, which a Service of type ${type} has not`);
  const lines = text('annotations')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  const pairs = lines.map((line) => /^([^\s:]+):\s*(.*)$/.exec(line)?.slice(1) ?? null);
  const wrong = lines[pairs.indexOf(null)];
  if (wrong !== undefined)
    return invalid(
      `ConfigMap ${key} has the line ${quote(wrong)} among its annotations, which is not "name: value"`,
    );
  return {
    type,
    annotations: textsOf(Object.fromEntries(pairs.filter((pair) => pair !== null)), MAX_ANNOTATIONS),
    externalTrafficPolicy: policy,
    loadBalancerClass: text('loadBalancerClass'),
    loadBalancerSourceRanges: ranges,
  };
}

function invalid(why: string): Fault {
  return {
    reason: 'InvalidParameters',
    message: `${why}: correct spec.infrastructure.parametersRef or what it names.`,
  };
}

/** The entries that are text, as labels and annotations are; names of our own are not taken. */
function textsOf(written: unknown, most: number): Readonly<Record<string, string>> {
  const map: UntypedObject = asObject(written);
  const texts = Object.entries(map).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(texts.filter(([name]) => !name.startsWith('portico.dev/')).slice(0, most));
}
