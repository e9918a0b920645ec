/** An object as a manifest or the API spells it. */
export interface ApiObject {
  apiVersion?: string;
  kind: string;
  metadata: {
    name?: string;
    generateName?: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    creationTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

export interface Resource {
  readonly group: string;
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Has `metadata.generation`, which counts changes to the spec. */
  readonly counted: boolean;
  /** The versions that it may be served at; objects are stored at the first. */
  readonly versions: readonly string[];
  /** Whether it is served only where its CustomResourceDefinition is installed. */
  readonly custom: boolean;
  /** What Go writes of an empty object of this kind besides metadata, as seen in bookmarks. */
  readonly zero: Readonly<Record<string, unknown>>;
}

const withStatus = { spec: {}, status: { loadBalancer: {} } };

const GATEWAY_API = 'gateway.networking.k8s.io';

export const RESOURCES: readonly Resource[] = [
  row('networking.k8s.io', 'ingresses', 'Ingress', true, true, withStatus),
  row('networking.k8s.io', 'ingressclasses', 'IngressClass', false, true, { spec: {} }),
  row('', 'services', 'Service', true, false, withStatus),
  row('', 'secrets', 'Secret', true, false, {}),
  row('', 'configmaps', 'ConfigMap', true, false, {}),
  row('', 'namespaces', 'Namespace', false, false, { spec: {}, status: {} }),
  row('', 'pods', 'Pod', true, false, { spec: { containers: null }, status: {} }),
  row('', 'nodes', 'Node', false, false, { spec: {}, status: {} }),
  row('', 'events', 'Event', true, false, {}),
  row('discovery.k8s.io', 'endpointslices', 'EndpointSlice', true, true, {
    addressType: '',
    endpoints: null,
    ports: null,
  }),
  row('events.k8s.io', 'events', 'Event', true, false, {}),
  row('coordination.k8s.io', 'leases', 'Lease', true, false, { spec: {} }),
];

/** What the CustomResourceDefinitions of Gateway API define, in the standard channel of 1.6. */
export const GATEWAY_RESOURCES: readonly Resource[] = [
  custom('gatewayclasses', 'GatewayClass', ['v1', 'v1beta1'], false),
  custom('gateways', 'Gateway', ['v1', 'v1beta1']),
  custom('listenersets', 'ListenerSet', ['v1']),
  custom('httproutes', 'HTTPRoute', ['v1', 'v1beta1']),
  custom('grpcroutes', 'GRPCRoute', ['v1']),
  custom('tlsroutes', 'TLSRoute', ['v1']),
  custom('tcproutes', 'TCPRoute', ['v1', 'v1alpha2']),
  custom('udproutes', 'UDPRoute', ['v1', 'v1alpha2']),
  custom('referencegrants', 'ReferenceGrant', ['v1', 'v1beta1']),
  custom('backendtlspolicies', 'BackendTLSPolicy', ['v1']),
];

const ALL_RESOURCES = [...RESOURCES, ...GATEWAY_RESOURCES];

function custom(resource: string, kind: string, versions: readonly string[], namespaced = true): Resource {
  return { ...row(GATEWAY_API, resource, kind, namespaced, true, {}), versions, custom: true };
}

function row(
  group: string,
  resource: string,
  kind: string,
  namespaced: boolean,
  counted: boolean,
  zero: Record<string, unknown>,
): Resource {
  return { group, resource, kind, namespaced, counted, zero, versions: ['v1'], custom: false };
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? 'v1' : `${resource.group}/v1`;
}

/** `ingresses.networking.k8s.io`, or `services` in the core group, as messages spell it. */
export function qualifiedName(resource: Resource): string {
  return resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`;
}

export function resourceOfObject(object: { apiVersion?: string; kind: string }): Resource {
  const found = ALL_RESOURCES.find(
    (resource) =>
      resource.kind === object.kind && (!object.apiVersion || apiVersionOf(resource) === object.apiVersion),
  );
  if (!found) throw new Error(`the scripted API server has no kind ${object.apiVersion} ${object.kind}`);
  return found;
}

/** What a request's path says it is about. */
export interface ResourcePath {
  readonly resource: Resource;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

export function parsePath(path: string): ResourcePath | undefined {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const core = parts[0] === 'api';
  const group = core ? '' : parts[1];
  if (!core && parts[0] !== 'apis') return undefined;
  const [version = '', ...below] = parts.slice(core ? 1 : 2);
  let rest = below;
  let namespace: string | undefined;
  if (rest[0] === 'namespaces' && rest.length > 2) [, namespace, ...rest] = rest;
  const [name, resourceName, subresource] = [rest[1], rest[0], rest[2]];
  const resource = ALL_RESOURCES.find(
    (row) => row.group === group && row.resource === resourceName && row.versions.includes(version),
  );
  return resource && { resource, version, namespace, name, subresource };
}

export interface Selector {
  readonly selects: (object: ApiObject) => boolean;
  readonly empty: boolean;
}

/** `fieldSelector` on metadata.name, metadata.namespace and type; `labelSelector` with `key`, `!key` and `key=value`. */
export function parseSelector(query: URLSearchParams): Selector {
  const fields = (query.get('fieldSelector') ?? '').split(',').filter(Boolean);
  const labels = (query.get('labelSelector') ?? '').split(',').filter(Boolean);
  const tests = [
    ...fields.map((term): ((object: ApiObject) => boolean) => {
      const [, field, differs, value] = /^([^=!]+)(!?)={1,2}(.*)$/.exec(term) ?? [];
      if (field === 'metadata.name') return (object) => object.metadata.name === value;
      if (field === 'metadata.namespace') return (object) => object.metadata.namespace === value;
      if (field === 'type') return (object) => (object['type'] === value) !== (differs === '!');
      throw new Error(`field label not supported: ${field}`);
    }),
    ...labels.map((term): ((object: ApiObject) => boolean) => {
      if (term.startsWith('!')) return (object) => !(term.slice(1) in (object.metadata.labels ?? {}));
      const [label = '', value] = term.split(/={1,2}/);
      return (object) =>
        value === undefined
          ? label in (object.metadata.labels ?? {})
          : object.metadata.labels?.[label] === value;
    }),
  ];
  return { empty: tests.length === 0, selects: (object) => tests.every((test) => test(object)) };
}

export function status(code: number, reason: string | undefined, message: string, more: object = {}): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    ...(reason === undefined ? {} : { reason }),
    ...more,
    code,
  };
}
