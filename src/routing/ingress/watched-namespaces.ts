import { isSelected } from '../../model/label-selector.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import type { CompileSettings } from '../settings.ts';

/** Whether Ingresses of a namespace are looked at: by its labels, where `--watch-namespace-selector` goes by them. */
export function isWatchedNamespace(
  namespace: string,
  { namespaceSelector }: Pick<CompileSettings, 'namespaceSelector'>,
  labelsOf: (namespace: string) => UntypedObject,
): boolean {
  return !namespaceSelector || isSelected(namespaceSelector, labelsOf(namespace));
}
