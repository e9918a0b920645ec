import type { UntypedObject } from '../untyped.ts';
import { isLabel, isSubdomain } from '../names.ts';
import type { Findings } from './findings.ts';

/** The parts of `metadata` that every kind shares. */
export function checkMetadata(
  object: UntypedObject,
  findings: Findings,
  { namespaced, name: nameForm }: { readonly namespaced: boolean; readonly name: 'label' | 'subdomain' },
): void {
  const metadata = findings.map(object['metadata'], 'metadata');
  if (!metadata) {
    if (!('metadata' in object) || object['metadata'] === null) findings.required('metadata', 'The metadata');
    return;
  }
  const name = findings.string(metadata, 'name', 'metadata.name');
  if (name === undefined) {
    if (metadata['name'] === undefined || metadata['name'] === null)
      findings.required('metadata.name', 'The name');
  } else if (nameForm === 'label' ? !isLabel(name) : !isSubdomain(name)) {
    findings.invalid('metadata.name', name, 'must consist of lower-case letters, digits and "-"');
  }
  const namespace = findings.string(metadata, 'namespace', 'metadata.namespace');
  if (namespaced && namespace !== undefined && !isLabel(namespace)) {
    findings.invalid('metadata.namespace', namespace, 'must consist of lower-case letters, digits and "-"');
  }
  for (const map of ['annotations', 'labels']) {
    const entries = Object.entries(findings.map(metadata[map], `metadata.${map}`) ?? {});
    for (const [key, value] of entries) {
      if (typeof value === 'string') continue;
      findings.invalid(`metadata.${map}[${key}]`, value, 'must be a string (put it in quotes)');
    }
  }
}
