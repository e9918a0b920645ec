import { ObjectReader } from '../model/object-reader.ts';
import {
  type GatewayResource,
  type Ingress,
  type Kind,
  type Kinds,
  type Reference,
  namespaceOf,
  objectKey,
} from '../model/objects.ts';
import { referenceTo } from '../model/problem.ts';
import { entries, get, values } from '../model/sharded-map.ts';
import { COLLECTIONS, type ObjectChange, type Snapshot } from '../model/snapshot.ts';
import { type UntypedObject, asArray, asObject, asString, isAbsent } from '../model/untyped.ts';
import { namedObjects } from '../policies/named-by-annotations.ts';
import { writtenAnnotations } from '../policies/written-annotations.ts';
import { isGranted } from '../routing/gateway/grants.ts';
import { isWatchedNamespace } from '../routing/ingress/watched-namespaces.ts';
import { type ClassSettings, ownership, readClasses } from '../routing/ingress/classes.ts';
import type { CompileSettings } from '../routing/settings.ts';

/** What decides which objects are watched because another one names them. */
export type NamingSettings = ClassSettings &
  Pick<
    CompileSettings,
    | 'allowCrossNamespaceReferences'
    | 'annotationsPrefix'
    | 'namespaceSelector'
    | 'gatewayController'
    | 'gatewayServicePorts'
    | 'ingressNginxConfigMap'
    | 'tcpServicesConfigMap'
    | 'udpServicesConfigMap'
  >;

/** The kinds whose objects may name Secrets and ConfigMaps. */
const NAMING_KINDS = [
  'Ingress',
  'HTTPRoute',
  'GRPCRoute',
  'Gateway',
  'BackendTLSPolicy',
] as const satisfies readonly Kind[];

/** The kinds by which it is decided whose objects may: a change of one may be a change of everything that is named. */
const DECIDING_KINDS: ReadonlySet<Kind> = new Set(['IngressClass', 'GatewayClass', 'ReferenceGrant']);

export function isDeciding(kind: Kind, naming: NamingSettings | undefined): boolean {
  return DECIDING_KINDS.has(kind) || (kind === 'Namespace' && Boolean(naming?.namespaceSelector));
}

/** Every object that may name others, as it is now. */
export function* namingObjects(snapshot: Snapshot): Generator<ObjectChange> {
  for (const kind of NAMING_KINDS) {
    for (const [key, object] of entries<Kinds[typeof kind]>(snapshot[COLLECTIONS[kind]]))
      // TypeScript does not see that kind and object belong together.
      yield { kind, key, object } as ObjectChange;
  }
}

/** The Secrets and ConfigMaps that an object names, if it is ours. */
export function namedBy(
  { kind, key, object }: ObjectChange,
  snapshot: Snapshot,
  naming: NamingSettings,
): readonly Reference[] {
  if (!object) return [];
  const namespace = namespaceOf(key);
  switch (kind) {
    case 'Ingress':
      return namedByIngress(object, snapshot, naming);
    case 'HTTPRoute':
    case 'GRPCRoute':
      return hasClassOfOurs(snapshot, naming) ? namedByAnnotations(object, namespace, naming) : [];
    case 'Gateway':
      return isOfOurClass(object, snapshot, naming)
        ? namedByGateway(object, namespace, snapshot, naming)
        : [];
    case 'BackendTLSPolicy':
      return hasClassOfOurs(snapshot, naming) ? namedByPolicy(object, namespace) : [];
    default:
      return [];
  }
}

function namedByIngress(ingress: Ingress, snapshot: Snapshot, naming: NamingSettings): readonly Reference[] {
  const key = objectKey(ingress);
  const names = namedByAnnotations(ingress, namespaceOf(key), naming);
  if (names.length === 0) return names;
  if (!isWatchedNamespace(namespaceOf(key), naming, new ObjectReader(snapshot).namespaceLabels)) return [];
  const classes = readClasses(snapshot.ingressClasses, naming);
  const owner = ownership(ingress, referenceTo('Ingress', key, ingress), classes, naming);
  return owner.kind === 'ours' ? names : [];
}

function namedByAnnotations(
  object: Ingress | GatewayResource,
  namespace: string,
  { allowCrossNamespaceReferences = false, annotationsPrefix }: NamingSettings,
): readonly Reference[] {
  const annotations = writtenAnnotations(object, annotationsPrefix);
  if (Object.keys(annotations).length === 0) return [];
  return namedObjects(annotations, namespace, allowCrossNamespaceReferences);
}

/** The parameters of its Service, the certificate that backends are shown, and the CAs of client certificates, as far as ReferenceGrants allow. */
function namedByGateway(
  gateway: GatewayResource,
  namespace: string,
  snapshot: Snapshot,
  { gatewayServicePorts }: NamingSettings,
): readonly Reference[] {
  const { parametersRef } = asObject(asObject(gateway.spec)['infrastructure']);
  const tls = asObject(asObject(gateway.spec)['tls']);
  const frontend = asObject(tls['frontend']);
  const validations = [
    asObject(frontend['default'])['validation'],
    ...asArray(frontend['perPort']).map((each) => asObject(asObject(each)['tls'])['validation']),
  ];
  const { clientCertificateRef } = asObject(tls['backend']);
  const named = [
    ...(isAbsent(clientCertificateRef) ? [] : references([clientCertificateRef], namespace, 'Secret')),
    ...(gatewayServicePorts ? references([parametersRef], namespace) : []),
    ...validations.flatMap((each) => references(asObject(each)['caCertificateRefs'], namespace)),
  ];
  const objects = new ObjectReader(snapshot, {});
  const granted = named.filter(({ kind, key }) =>
    isGranted(objects, { kind: 'Gateway', namespace }, { kind, key }),
  );
  return [...new Set(granted.map(({ kind, key }): Reference => `${kind} ${key}`))];
}

/** The CAs of a BackendTLSPolicy, which lie in its own namespace. */
function namedByPolicy(policy: GatewayResource, namespace: string): readonly Reference[] {
  const { caCertificateRefs } = asObject(asObject(policy.spec)['validation']);
  const local = references(caCertificateRefs, namespace).filter(({ key }) => namespaceOf(key) === namespace);
  return [...new Set(local.map(({ kind, key }): Reference => `${kind} ${key}`))];
}

interface NamedObject {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly key: string;
}

/** Those of a list of references that are to Secrets and ConfigMaps. */
function references(list: unknown, namespace: string, defaultKind?: 'Secret'): readonly NamedObject[] {
  return asArray(list).flatMap((each): NamedObject[] => {
    const reference: UntypedObject = asObject(each);
    const kind = reference['kind'] ?? defaultKind;
    const name = asString(reference['name']) ?? '';
    const of = asString(reference['namespace']) ?? namespace;
    if ((kind !== 'Secret' && kind !== 'ConfigMap') || (reference['group'] ?? '') !== '') return [];
    return name === '' || name.includes('/') || of.includes('/') ? [] : [{ kind, key: `${of}/${name}` }];
  });
}

function hasClassOfOurs({ gatewayClasses }: Snapshot, naming: NamingSettings): boolean {
  for (const each of values(gatewayClasses)) if (isOurs(each, naming)) return true;
  return false;
}

function isOfOurClass(gateway: GatewayResource, snapshot: Snapshot, naming: NamingSettings): boolean {
  const name = asString(asObject(gateway.spec)['gatewayClassName']);
  return name !== undefined && isOurs(get(snapshot.gatewayClasses, name), naming);
}

function isOurs(gatewayClass: GatewayResource | undefined, { gatewayController }: NamingSettings): boolean {
  return (
    typeof gatewayController === 'string' &&
    asObject(gatewayClass?.spec)['controllerName'] === gatewayController
  );
}
