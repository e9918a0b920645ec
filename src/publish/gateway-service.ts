import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { GATEWAY_GROUP } from '../kubernetes/resources.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { type UntypedObject, asArray, asObject, asString, isAbsent, isObject } from '../model/untyped.ts';
import type { GatewayRead } from '../routing/gateway/gateways.ts';
import type { GatewayService } from '../routing/gateway/gateway-services.ts';
import { CLASS_LABEL, INFRASTRUCTURE, NAME_LABEL } from '../routing/gateway/service-labels.ts';
import type { ServicePorts } from '../routing/gateway/service-ports.ts';

/** A Portico that requests can be sent to. */
export interface PorticoEndpoint {
  readonly address: string;
  /** Empty where it is not known. */
  readonly node: string;
}

/** A Gateway that has a Service. */
export type ServedGateway = GatewayRead & { readonly service: GatewayService };

const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const SLICE_OWNER = 'portico.dev';
/** As the API allows. */
const MAX_ENDPOINTS = 1_000;
const MAX_LABEL = 63;

/** The Service as it should be. What is there keeps its node ports. */
export function wantedService(gateway: ServedGateway, ports: ServicePorts, present: unknown): UntypedObject {
  const { service } = gateway;
  const { type, loadBalancerClass, loadBalancerSourceRanges, ...parameters } = service.parameters;
  const nodePorts = new Map(
    asArray(asObject(asObject(present)['spec'])['ports'])
      .map(asObject)
      .map((port) => [`${String(port['protocol'])} ${String(port['port'])}`, port['nodePort']]),
  );
  const isBalanced = type === 'LoadBalancer';
  return {
    metadata: metadataOf(gateway, { ...parameters.annotations, ...service.annotations }),
    spec: {
      type,
      ports: sorted(ports).map(([client, targetPort]) => {
        const nodePort = type === 'ClusterIP' ? undefined : nodePorts.get(client);
        const [protocol, port] = client.split(' ');
        const name = portName(client);
        return {
          name,
          protocol,
          port: Number(port),
          targetPort,
          ...(isAbsent(nodePort) ? {} : { nodePort }),
        };
      }),
      externalTrafficPolicy: type === 'ClusterIP' ? null : parameters.externalTrafficPolicy,
      loadBalancerIP: (isBalanced && service.requestedAddress) || null,
      // It cannot be changed, and clouds give one to what has none.
      ...(present === undefined && { loadBalancerClass: (isBalanced && loadBalancerClass) || null }),
      loadBalancerSourceRanges:
        isBalanced && loadBalancerSourceRanges.length > 0 ? loadBalancerSourceRanges : null,
    },
  };
}

/** The endpoints of the Service, if there are any: the Service selects no Pods, since those of Portico are in another namespace. */
export function wantedSlice(
  gateway: ServedGateway,
  ports: ServicePorts,
  endpoints: readonly PorticoEndpoint[],
): UntypedObject | null {
  const [first] = endpoints;
  if (first === undefined) return null;
  const family = isIP(first.address);
  return {
    metadata: metadataOf(gateway, gateway.service.annotations, {
      'kubernetes.io/service-name': nameOf(gateway.service.key),
      [MANAGED_BY]: SLICE_OWNER,
    }),
    addressType: family === 6 ? 'IPv6' : 'IPv4',
    ports: sorted(ports).map(([client, port]) => {
      return { name: portName(client), protocol: client.split(' ')[0], port };
    }),
    endpoints: endpoints
      .filter(({ address }) => isIP(address) === family)
      .toSorted((a, b) => (a.address < b.address ? -1 : 1))
      .slice(0, MAX_ENDPOINTS)
      .map(({ address, node }) => {
        return { addresses: [address], conditions: { ready: true }, ...(node !== '' && { nodeName: node }) };
      }),
  };
}

/** The key of the slice for addresses of a family. */
export function sliceKey({ service }: ServedGateway, endpoints: readonly PorticoEndpoint[]): ObjectKey {
  return `${service.key}-portico-ipv${isIP(endpoints[0]?.address ?? '') === 6 ? 6 : 4}`;
}

/** Whether Portico made a slice. */
export function isOwnSlice(slice: unknown): boolean {
  return asObject(asObject(asObject(slice)['metadata'])['labels'])[MANAGED_BY] === SLICE_OWNER;
}

/** The manifest that creates an object, owned by its Gateway: it goes when the Gateway does. */
export function ownedBy(
  { key, service: { uid } }: ServedGateway,
  object: ObjectKey,
  kind: 'Service' | 'EndpointSlice',
  wanted: UntypedObject,
): UntypedObject {
  const owner = {
    apiVersion: `${GATEWAY_GROUP}/v1`,
    kind: 'Gateway',
    name: nameOf(key),
    uid,
    controller: true,
  };
  const metadata = { name: nameOf(object), namespace: namespaceOf(object), ownerReferences: [owner] };
  return {
    apiVersion: kind === 'Service' ? 'v1' : 'discovery.k8s.io/v1',
    kind,
    ...withoutNulls(wanted),
    metadata: { ...metadata, ...asObject(wanted['metadata']) },
  };
}

/** Whether an object has everything that is wanted of it; null is wanted to be absent. What others added is left. */
export function hasAll(present: unknown, wanted: unknown): boolean {
  if (wanted === null) return isAbsent(present);
  if (Array.isArray(wanted)) {
    const list = asArray(present);
    return list.length === wanted.length && wanted.every((each, index) => hasAll(list[index], each));
  }
  if (!isObject(wanted)) return present === wanted;
  const fields = asObject(present);
  return Object.entries(wanted).every(([field, value]) => hasAll(fields[field], value));
}

/** The merge patch that makes it so: labels and annotations that the Gateway no longer asks for are removed. */
export function patchOf(present: unknown, wanted: UntypedObject): UntypedObject {
  const { labels, annotations } = asObject(wanted['metadata']);
  const text = asString(asObject(asObject(asObject(present)['metadata'])['annotations'])[INFRASTRUCTURE]);
  const [oldLabels, oldAnnotations] = asArray(parsed(text ?? ''));
  return {
    ...wanted,
    metadata: {
      labels: { ...nullsFor(oldLabels), ...asObject(labels) },
      annotations: { ...nullsFor(oldAnnotations), ...asObject(annotations) },
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function nullsFor(names: unknown): UntypedObject {
  return Object.fromEntries(asArray(names).map((name) => [String(name), null]));
}

function withoutNulls(wanted: UntypedObject): UntypedObject {
  const spec = Object.entries(asObject(wanted['spec'])).filter(([, value]) => value !== null);
  return spec.length > 0 ? { ...wanted, spec: Object.fromEntries(spec) } : wanted;
}

/** What a Gateway asks for, which no label of ours yields to. */
function metadataOf(
  { key, className, service }: ServedGateway,
  annotations: Readonly<Record<string, string>>,
  more: Readonly<Record<string, string>> = {},
): UntypedObject {
  return {
    labels: {
      ...service.labels,
      'app.kubernetes.io/managed-by': 'portico',
      [NAME_LABEL]: labelValue(nameOf(key)),
      [CLASS_LABEL]: labelValue(className),
      ...more,
    },
    annotations: {
      ...annotations,
      [INFRASTRUCTURE]: JSON.stringify([Object.keys(service.labels), Object.keys(annotations)]),
    },
  };
}

/** Names may be longer than values of labels. */
function labelValue(name: string): string {
  if (name.length <= MAX_LABEL) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  return `${name.slice(0, MAX_LABEL - digest.length - 1)}-${digest}`;
}

function sorted(ports: ServicePorts): readonly (readonly [string, number])[] {
  return [...ports].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** `tcp-80` */
function portName(client: string): string {
  return client.toLowerCase().replace(' ', '-');
}

function nameOf(key: ObjectKey): string {
  return key.slice(namespaceOf(key).length + 1);
}
