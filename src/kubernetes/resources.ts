import { type Kind, type Kinds, type ReferredKind, isNamespaced } from '../model/objects.ts';
import type { ServedResources } from './discovery.ts';

/** How a kind is read from an API server. */
export interface Resource {
  readonly kind: Kind;
  /** Empty for the core group. */
  readonly group: string;
  /** The version that it is read at. */
  readonly version: string;
  /** The plural in paths and in RBAC rules. */
  readonly resource: string;
  readonly namespaced: boolean;
  /** Whether a CustomResourceDefinition defines it, which may be missing, or come and go. */
  readonly custom: boolean;
  /** The server sends only these. */
  readonly selector: Readonly<Record<string, string>>;
  /** Without it nothing can be routed; the others may be forbidden, at a price. */
  readonly required: boolean;
  /** What happens to users while this kind may not be read. */
  readonly consequence: string;
  /** The manifest that grants the right. */
  readonly grantedBy: string;
}

/** What every API server serves. */
export const RESOURCES: readonly Resource[] = [
  {
    kind: 'Ingress',
    group: 'networking.k8s.io',
    resource: 'ingresses',
    version: 'v1',
    namespaced: true,
    custom: false,
    selector: {},
    required: true,
    consequence: 'nothing can be routed',
    grantedBy: 'deploy/rbac.yaml',
  },
  {
    kind: 'IngressClass',
    group: 'networking.k8s.io',
    resource: 'ingressclasses',
    version: 'v1',
    namespaced: false,
    custom: false,
    selector: {},
    required: false,
    consequence: 'only Ingresses chosen without an IngressClass object are served',
    grantedBy: 'deploy/rbac.yaml',
  },
  {
    kind: 'Service',
    group: '',
    resource: 'services',
    version: 'v1',
    namespaced: true,
    custom: false,
    selector: {},
    required: true,
    consequence: 'nothing can be routed',
    grantedBy: 'deploy/rbac.yaml',
  },
  {
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    resource: 'endpointslices',
    version: 'v1',
    namespaced: true,
    custom: false,
    selector: { labelSelector: 'kubernetes.io/service-name' },
    required: true,
    consequence: 'nothing can be routed',
    grantedBy: 'deploy/rbac.yaml',
  },
  {
    kind: 'Secret',
    group: '',
    resource: 'secrets',
    version: 'v1',
    namespaced: true,
    custom: false,
    selector: { fieldSelector: 'type=kubernetes.io/tls' },
    required: false,
    consequence: 'every host gets the default certificate',
    grantedBy: 'deploy/rbac.yaml',
  },
];

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** The kinds of Gateway API with the versions that can be read, the one to prefer first. */
const GATEWAY_RESOURCES: readonly (Omit<Resource, 'version'> & { readonly versions: readonly string[] })[] = [
  gatewayResource('GatewayClass', 'gatewayclasses', 'no Gateway is served', ['v1', 'v1beta1']),
  gatewayResource('Gateway', 'gateways', 'no Gateway is served', ['v1', 'v1beta1']),
  gatewayResource('ListenerSet', 'listenersets', 'no listener of a ListenerSet is served'),
  gatewayResource('HTTPRoute', 'httproutes', 'no HTTPRoute is served', ['v1', 'v1beta1']),
  gatewayResource('GRPCRoute', 'grpcroutes', 'no GRPCRoute is served'),
  gatewayResource('TLSRoute', 'tlsroutes', 'no TLSRoute is served'),
  gatewayResource('TCPRoute', 'tcproutes', 'no TCPRoute is served', ['v1', 'v1alpha2']),
  gatewayResource('UDPRoute', 'udproutes', 'no UDPRoute is served', ['v1', 'v1alpha2']),
  gatewayResource('ReferenceGrant', 'referencegrants', 'references to other namespaces are refused', [
    'v1',
    'v1beta1',
  ]),
  gatewayResource('BackendTLSPolicy', 'backendtlspolicies', 'backends that need TLS are not reached'),
];

function gatewayResource(
  kind: Kind,
  resource: string,
  consequence: string,
  versions: readonly string[] = ['v1'],
): (typeof GATEWAY_RESOURCES)[number] {
  return {
    kind,
    group: GATEWAY_GROUP,
    versions,
    resource,
    namespaced: isNamespaced(kind),
    custom: true,
    selector: {},
    required: false,
    consequence,
    grantedBy: 'deploy/rbac.yaml',
  };
}

export const NAMESPACES: Resource = {
  kind: 'Namespace',
  group: '',
  version: 'v1',
  resource: 'namespaces',
  namespaced: false,
  custom: false,
  selector: {},
  required: false,
  consequence: 'selectors of namespaces select none',
  grantedBy: 'deploy/rbac.yaml',
};

/** What there is to read of Gateway API where these versions of its resources are served; nothing where none is. */
export function gatewayResources(served: ServedResources): readonly Resource[] {
  const found = GATEWAY_RESOURCES.flatMap(({ versions, ...resource }): Resource[] => {
    const version = versions.find((each) => served.get(resource.resource)?.has(each));
    return version === undefined ? [] : [{ ...resource, version }];
  });
  return found.length > 0 ? [...found, NAMESPACES] : [];
}

/** The paths of an object of Gateway API at the versions that it may be served at, the one to prefer first. */
export function gatewayObjectPaths(
  kind: Kind,
  namespace: string | undefined,
  name: string,
): readonly string[] {
  const found = GATEWAY_RESOURCES.find((each) => each.kind === kind);
  const within = namespace === undefined ? '' : `namespaces/${encodeURIComponent(namespace)}/`;
  return (found?.versions ?? []).map(
    (version) => `/apis/${GATEWAY_GROUP}/${version}/${within}${found?.resource}/${encodeURIComponent(name)}`,
  );
}

/**
 * How one object that an annotation names is read. A Secret of type `kubernetes.io/tls` is among all the others of its
 * type already.
 */
export function namedResource(kind: ReferredKind, name: string): Resource {
  const common = { kind, group: '', version: 'v1', namespaced: true, custom: false, required: false };
  const consequence = 'what names it is served as its policy says without it';
  switch (kind) {
    case 'Secret': {
      const selector = { fieldSelector: `metadata.name=${name},type!=kubernetes.io/tls` };
      return { ...common, resource: 'secrets', selector, consequence, grantedBy: 'deploy/rbac.yaml' };
    }
    case 'ConfigMap': {
      const selector = { fieldSelector: `metadata.name=${name}` };
      const grantedBy = 'deploy/variants/configmaps.yaml';
      return { ...common, resource: 'configmaps', selector, consequence, grantedBy };
    }
  }
}

/** The path of a list or watch, in one namespace or in all of them. */
export function collectionPath(
  { group, version, resource, selector }: Resource,
  namespace: string | undefined,
  query: Readonly<Record<string, string>>,
): string {
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${base}${within}/${resource}?${new URLSearchParams({ ...selector, ...query })}`;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const TLS_SECRET_KEYS: ReadonlySet<string> = new Set(['tls.crt', 'tls.key', 'ca.crt']);

type MutableObject = Record<string, unknown>;

/**
 * An object as it arrived, without what nothing reads (field managers, the last applied manifest, other data of a TLS
 * Secret) and frozen throughout; undefined when it has no name to be kept under.
 */
export function arrive<K extends Kind>(kind: K, value: unknown): Kinds[K] | undefined {
  if (!isObject(value) || !isObject(value['metadata']) || typeof value['metadata']['name'] !== 'string')
    return undefined;
  const metadata = value['metadata'];
  if (!['string', 'undefined'].includes(typeof metadata['namespace'])) return undefined;
  delete metadata['managedFields'];
  // Of Services only: Gateways own some.
  if (kind !== 'Service') delete metadata['ownerReferences'];
  if (isObject(metadata['annotations'])) delete metadata['annotations'][LAST_APPLIED];
  // A Secret of another type is here because an annotation names it.
  if (kind === 'Secret' && value['type'] === 'kubernetes.io/tls' && isObject(value['data']))
    for (const key of Object.keys(value['data'])) if (!TLS_SECRET_KEYS.has(key)) delete value['data'][key];
  if (kind === 'Namespace') keepLabels(value, metadata);
  // Items of a List carry neither kind nor apiVersion, objects of an event do: both end as the same object.
  delete value['kind'];
  delete value['apiVersion'];
  // The API server validated the rest against the schema of this kind.
  return deepFreeze(value) as unknown as Kinds[K];
}

/** Selectors look at the labels of a namespace, and nothing at the rest. */
function keepLabels(namespace: MutableObject, metadata: MutableObject): void {
  for (const field of ['annotations', 'finalizers']) delete metadata[field];
  for (const field of ['spec', 'status']) delete namespace[field];
}

function isObject(value: unknown): value is MutableObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function deepFreeze(value: MutableObject): MutableObject {
  for (const field of Object.values(value))
    if (typeof field === 'object' && field !== null) deepFreeze(field as MutableObject);
  return Object.freeze(value);
}

/** Which right to resources of one group is missing, in words that can be typed into a Role. */
export function missingRight(resources: readonly Resource[], namespace: string | undefined): string {
  const role = namespace === undefined ? 'a ClusterRole' : `a Role in namespace "${namespace}"`;
  const names = resources.map(({ resource }) => resource);
  const quoted = names.map((name) => `"${name}"`).join(', ');
  const { group = '', grantedBy = '' } = resources[0] ?? {};
  return (
    `Portico may not read ${names.join(', ')}: grant it the verbs "list" and "watch" on ` +
    `resource${names.length > 1 ? 's' : ''} ${quoted} in API group "${group}" with ${role} (see ${grantedBy}).`
  );
}
