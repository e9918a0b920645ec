import type { ObjectReader } from '../../model/object-reader.ts';
import { isSelected } from '../../model/label-selector.ts';
import { type UntypedObject, asObject, isObject } from '../../model/untyped.ts';

/** The namespaces that something is allowed to come from. */
export type NamespaceRule =
  | { readonly from: 'All' | 'Same' | 'None' }
  | { readonly from: 'Selector'; readonly selector: UntypedObject };

/** `standard` is what counts where nothing is written. What cannot be understood allows nothing. */
export function readNamespaceRule(namespaces: unknown, standard: 'Same' | 'None'): NamespaceRule {
  const { from = standard, selector } = asObject(namespaces);
  if (from === 'All' || from === 'Same') return { from };
  if (from === 'Selector' && isObject(selector)) return { from, selector };
  return { from: 'None' };
}

/** Whether the rule of an object in the namespace `own` allows what comes from `namespace`. */
export function allowsNamespace(
  rule: NamespaceRule,
  own: string,
  namespace: string,
  labelsOf: ObjectReader['namespaceLabels'],
): boolean {
  switch (rule.from) {
    case 'All':
      return true;
    case 'Same':
      return own === namespace;
    case 'None':
      return false;
    case 'Selector':
      return isSelected(rule.selector, labelsOf(namespace));
    default:
      return rule satisfies never;
  }
}
