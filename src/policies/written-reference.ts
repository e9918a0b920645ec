import { isLabel, isSubdomain } from '../model/names.ts';

/** An object as the value of an annotation names it. */
export interface WrittenReference {
  readonly namespace: string;
  readonly name: string;
}

/** Reads `name` or `namespace/name`; null for what cannot be the name of an object. */
export function parseReference(written: string, namespace: string): WrittenReference | null {
  const parts = written.split('/', 3);
  const [home = '', name = ''] = parts.length === 1 ? [namespace, written] : parts;
  return parts.length < 3 && isLabel(home) && isSubdomain(name) ? { namespace: home, name } : null;
}
