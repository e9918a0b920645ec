import type { ObjectReader } from '../../model/object-reader.ts';
import { type UntypedObject, asArray, asObject, asString, stringEntries } from '../../model/untyped.ts';

/** The namespaces that something is allowed to come from. */
export type NamespaceRule =
  | { readonly from: 'All' | 'Same' | 'None' }
  | { readonly from: 'Selector'; readonly selector: UntypedObject };

/** `standard` is what counts where nothing is written. What cannot be understood allows nothing. */
export function readNamespaceRule(namespaces: unknown, standard: 'Same' | 'None'): NamespaceRule {
  const { from = standard, selector } = asObject(namespaces);
  if (from === 'All' || from === 'Same') return { from };
  if (from === 'Selector') return { from, selector: asObject(selector) };
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
  const isEqual = stringEntries(selector['matchLabels']).every(([name, value]) => labels[name] === value);
  return isEqual && asArray(selector['matchExpressions']).every((each) => isMet(asObject(each), labels));
}

function isMet({ key, operator, values }: UntypedObject, labels: UntypedObject): boolean {
  const label = labels[asString(key) ?? ''];
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
