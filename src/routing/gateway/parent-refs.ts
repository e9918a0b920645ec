import { asArray, asObject, asString, isAbsent, isPortNumber } from '../../model/untyped.ts';
import { GROUP, type ParentKey } from './kinds.ts';

/** One of the parents that a route names. */
export interface ParentRef {
  /** As the route has it: its status repeats it letter by letter. */
  readonly written: unknown;
  /** Null where it names nothing that could be a parent of ours. */
  readonly parent: ParentKey | null;
  /** Null for all listeners. */
  readonly sectionName: string | null;
  readonly port: number | null;
}

const MAX_PARENTS = 32;

export function readParentRefs(refs: unknown, namespace: string): readonly ParentRef[] {
  return asArray(refs)
    .slice(0, MAX_PARENTS)
    .map((written) => {
      const ref = asObject(written);
      const group = asString(ref['group']) ?? GROUP;
      const kind = asString(ref['kind']) ?? 'Gateway';
      const name = asString(ref['name']) ?? '';
      const key = `${asString(ref['namespace']) ?? namespace}/${name}`;
      // What is written and cannot be read must not count as left out: that would be all listeners.
      const isReadable =
        ['group', 'kind', 'namespace', 'sectionName'].every(
          (field) => isAbsent(ref[field]) || typeof ref[field] === 'string',
        ) &&
        (isAbsent(ref['port']) || isPortNumber(ref['port']));
      const isOurs =
        isReadable && group === GROUP && (kind === 'Gateway' || kind === 'ListenerSet') && name !== '';
      return {
        written,
        parent: isOurs ? `${kind} ${key}` : null,
        sectionName: asString(ref['sectionName']) || null,
        port: isPortNumber(ref['port']) ? ref['port'] : null,
      };
    });
}
