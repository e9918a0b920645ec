import type { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { asArray, asObject } from '../../model/untyped.ts';
import { GROUP } from './kinds.ts';

/** An object that another one names. */
export interface GrantedObject {
  /** Of the core group, as Secrets, ConfigMaps and Services are. */
  readonly kind: 'Secret' | 'ConfigMap' | 'Service';
  readonly key: ObjectKey;
}

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
  const name = to.key.slice(namespace.length + 1);
  return objects.referenceGrants(namespace).some((grant) => {
    const spec = asObject(asObject(grant)['spec']);
    const isFrom = asArray(spec['from'])
      .map(asObject)
      .some((each) => {
        return each['group'] === GROUP && each['kind'] === from.kind && each['namespace'] === from.namespace;
      });
    if (!isFrom) return false;
    return asArray(spec['to'])
      .map(asObject)
      .some((each) => {
        const wanted = each['name'] ?? '';
        return (each['group'] ?? '') === '' && each['kind'] === to.kind && (wanted === '' || wanted === name);
      });
  });
}
