import { type ConfigMap, type ObjectKey, type Reference, namespaceOf } from '../model/objects.ts';
import { type UntypedObject, asObject, asString } from '../model/untyped.ts';
import { type AnnotationSpec, namesOf } from './annotation-spec.ts';
import type { PolicyModule } from './policy.ts';
import { POLICIES } from './registry.ts';
import { parseReference } from './written-reference.ts';

const REFERRING: readonly AnnotationSpec[] = POLICIES.flatMap(({ annotations }: PolicyModule) =>
  annotations.filter(({ refersTo }) => refersTo !== undefined),
);

/**
 * The Secrets and ConfigMaps that the annotations of an Ingress name, each once: what must be watched for a policy to
 * find it. What cannot be the name of an object is left out here; the policy reports it.
 */
export function namedObjects(
  annotations: UntypedObject,
  namespace: string,
  acrossNamespaces: boolean,
): readonly Reference[] {
  const found = new Set<Reference>();
  for (const spec of REFERRING) {
    const written = annotations[namesOf(spec).find((name) => name in annotations) ?? ''];
    const reference = typeof written === 'string' ? parseReference(written, namespace) : null;
    if (!reference || (reference.namespace !== namespace && !acrossNamespaces)) continue;
    found.add(`${spec.refersTo ?? 'Secret'} ${reference.namespace}/${reference.name}`);
  }
  return [...found];
}

/** The same of the global options of a ConfigMap, which may be in any namespace. */
export function namedByOptions(key: ObjectKey, configMap: ConfigMap | undefined): readonly Reference[] {
  const data = asObject(configMap?.data);
  return REFERRING.flatMap(({ global, refersTo = 'Secret' }): Reference[] => {
    const written = global === undefined ? undefined : asString(data[global])?.trim();
    const reference = written ? parseReference(written, namespaceOf(key)) : null;
    return reference ? [`${refersTo} ${reference.namespace}/${reference.name}`] : [];
  });
}
