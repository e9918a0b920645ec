import type { ObjectReader } from '../../model/object-reader.ts';
import { type UntypedObject, asArray, asObject, isAbsent, isObject } from '../../model/untyped.ts';

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

/** metav1.LabelSelector; an empty one selects everything. One that cannot be understood selects nothing. */
function isSelected(selector: UntypedObject, labels: UntypedObject): boolean {
  const { matchLabels, matchExpressions } = selector;
  if (!isAbsent(matchLabels) && !isObject(matchLabels)) return false;
  if (!isAbsent(matchExpressions) && !Array.isArray(matchExpressions)) return false;
  const isEqual = Object.entries(asObject(matchLabels)).every(
    ([name, value]) => labelOf(labels, name) === value,
  );
  return isEqual && asArray(matchExpressions).every((each) => isMet(asObject(each), labels));
}

function isMet({ key, operator, values }: UntypedObject, labels: UntypedObject): boolean {
  if (typeof key !== 'string') return false;
  const label = labelOf(labels, key);
  switch (operator) {
    case 'In':
      return label !== undefined && asArray(values).includes(label);
    case 'NotIn':
      return label === undefined || !asArray(values).includes(label);
    case 'Exists':
      return label !== undefined;
    case 'DoesNotExist':
      return label === undefined;
    default:
      return false;
  }
}

/** Labels may have any name, even one that every object of JavaScript has. */
function labelOf(labels: UntypedObject, name: string): unknown {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}
