import type { ObjectReader } from '../../model/object-reader.ts';
import { type GatewayResource, type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { asArray, asObject } from '../../model/untyped.ts';
import { GROUP } from './kinds.ts';

/** An object that another one names. */
export interface GrantedObject {
  /** Of the core group, as Secrets, ConfigMaps and Services are. */
  readonly kind: 'Secret' | 'ConfigMap' | 'Service';
  readonly key: ObjectKey;
}

/** By kind and namespace of who may name something: the kinds, each with the names that they may name; null is every name. */
type Grants = ReadonlyMap<string, ReadonlyMap<unknown, ReadonlySet<unknown>>>;

const EVERY = null;
/** Of each list of a grant, as the API allows. */
const MAX_ENTRIES = 16;

const known = new WeakMap<readonly GatewayResource[], Grants>();

/**
 * Whether an object of Gateway API in a namespace may name an object: its own namespace's always, others where a
 * ReferenceGrant of that namespace says so.
 */
export function isGranted(
  objects: ObjectReader,
  from: { readonly kind: string; readonly namespace: string },
  to: GrantedObject,
): boolean {
  const namespace = namespaceOf(to.key);
  if (namespace === from.namespace) return true;
  const list = objects.referenceGrants(namespace);
  let grants = known.get(list);
  // Once for all references to the namespace: a scan for each would cost what tenants make it cost.
  if (!grants) known.set(list, (grants = readGrants(list)));
  const names = grants.get(grantee(from.kind, from.namespace))?.get(to.kind);
  return names?.has(EVERY) === true || names?.has(to.key.slice(namespace.length + 1)) === true;
}

function grantee(kind: string, namespace: string): string {
  return `${kind} ${namespace}`;
}

function readGrants(list: readonly GatewayResource[]): Grants {
  const grants = new Map<string, Map<unknown, Set<unknown>>>();
  for (const { from, to } of list.map((grant) => asObject(asObject(grant)['spec']))) {
    const targets = asArray(to)
      .slice(0, MAX_ENTRIES)
      .map(asObject)
      .filter(({ group }) => (group ?? '') === '');
    for (const { group, kind, namespace } of asArray(from).slice(0, MAX_ENTRIES).map(asObject)) {
      if (group !== GROUP || typeof kind !== 'string' || typeof namespace !== 'string') continue;
      const key = grantee(kind, namespace);
      const kinds = grants.get(key) ?? new Map<unknown, Set<unknown>>();
      grants.set(key, kinds);
      for (const target of targets) {
        const names = kinds.get(target['kind']) ?? new Set();
        kinds.set(target['kind'], names.add(target['name'] === '' ? EVERY : (target['name'] ?? EVERY)));
      }
    }
  }
  return grants;
}
