import { type UntypedObject, asArray, asObject, isAbsent, isObject } from './untyped.ts';

/** metav1.LabelSelector; an empty one selects everything. One that cannot be understood selects nothing. */
export function isSelected(selector: UntypedObject, labels: UntypedObject): boolean {
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

/** A label selector as kubectl takes it: `team=shop,env in (prod,test),!legacy`. Null for what is none. */
export function parseLabelSelector(text: string): UntypedObject | null {
  // Commas in parentheses stand between values.
  const parts = text.split(/,(?![^(]*\))/).map((part) => part.trim());
  const matchExpressions = parts.map(requirementOf);
  return matchExpressions.includes(null) ? null : { matchExpressions };
}

const NAME = String.raw`[A-Za-z0-9](?:[\w./-]{0,251}[A-Za-z0-9])?`;
const VALUE = String.raw`[\w.-]{0,63}`;
const EXISTS = new RegExp(`^(!?)\\s*(${NAME})$`);
const EQUALS = new RegExp(`^(${NAME})\\s*(==?|!=)\\s*(${VALUE})$`);
const IS_IN = new RegExp(`^(${NAME})\\s+(in|notin)\\s*\\(([\\w., -]{0,4096})\\)$`);

function requirementOf(part: string): UntypedObject | null {
  const [, not, name] = EXISTS.exec(part) ?? [];
  if (name !== undefined) return { key: name, operator: not === '!' ? 'DoesNotExist' : 'Exists' };
  const [, key, sign, value] = EQUALS.exec(part) ?? [];
  if (key !== undefined) return { key, operator: sign === '!=' ? 'NotIn' : 'In', values: [value] };
  const [, of, operator, list = ''] = IS_IN.exec(part) ?? [];
  if (of === undefined) return null;
  const values = list.split(',').map((each) => each.trim());
  return { key: of, operator: operator === 'in' ? 'In' : 'NotIn', values };
}
