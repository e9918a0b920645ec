import { closestMatch } from '../closest-match.ts';
import type { GatewayKind, Kind } from '../objects.ts';
import { type UntypedObject, isAbsent, isObject } from '../untyped.ts';
import { KUBERNETES_RELEASE, ROOT_TYPES, TYPES } from './api-schema.ts';
import type { Findings } from './findings.ts';

const RELEASE = `Kubernetes ${KUBERNETES_RELEASE}`;
/** Fields that are listed when no name is near. */
const MAX_LISTED_FIELDS = 8;

const FIELDS = new Map(
  Object.entries(TYPES).map(([type, fields]) => [
    type,
    new Map(fields.split(' ').map((field) => field.split(':', 2) as [name: string, type: string])),
  ]),
);

/**
 * Holds an object against the schema of its kind, as kubectl's strict validation does: fields that the API does not have,
 * and values of another type. What `findings` already has about a field is not repeated.
 */
export function checkSchema(
  kind: Exclude<Kind, GatewayKind>,
  object: UntypedObject,
  findings: Findings,
): void {
  checkFields(object, ROOT_TYPES[kind], '', findings);
}

/** The same of `metadata` alone, for a kind whose schema says nothing of it. */
export function checkMetadataSchema(metadata: unknown, findings: Findings): void {
  if (isObject(metadata)) checkFields(metadata, 'V1ObjectMeta', 'metadata', findings);
}

function checkFields(object: UntypedObject, type: string, path: string, findings: Findings): void {
  const fields = FIELDS.get(type);
  if (!fields) return;
  for (const [name, value] of Object.entries(object)) {
    const field = path === '' ? name : `${path}.${name}`;
    const of = fields.get(name);
    if (of === undefined) findings.unknown(field, () => unknownField(RELEASE, name, [...fields.keys()]));
    else if (!isAbsent(value)) checkValue(value, of, field, findings);
  }
}

function checkValue(value: unknown, type: string, field: string, findings: Findings): void {
  if (type.endsWith('[]')) {
    if (!Array.isArray(value)) return findings.wrongType(field, value, 'must be a list');
    for (const [index, item] of value.entries())
      checkValue(item, type.slice(0, -2), `${field}[${index}]`, findings);
  } else if (type.startsWith('{')) {
    if (!isObject(value)) return findings.wrongType(field, value, 'must be a map of fields');
    for (const [key, item] of Object.entries(value))
      if (!isAbsent(item)) checkValue(item, type.slice(1, -1), `${field}[${key}]`, findings);
  } else if (FIELDS.has(type)) {
    if (!isObject(value)) return findings.wrongType(field, value, 'must be a map of fields');
    checkFields(value, type, field, findings);
  } else {
    const rule = typeRule(value, type);
    if (rule !== null) findings.wrongType(field, value, rule);
  }
}

/** What a value must be that is not of its type; null for one that is. */
function typeRule(value: unknown, type: string): string | null {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? null : 'must be a string (put it in quotes)';
    case 'number':
      return Number.isInteger(value) ? null : 'must be a whole number, without quotes';
    case 'boolean':
      return typeof value === 'boolean' ? null : 'must be true or false, without quotes';
    case 'IntOrString':
      return typeof value === 'string' || Number.isInteger(value) ? null : 'must be a number or a string';
    default:
      return null;
  }
}

/** What to write instead of a field that a release does not have, as a sentence or two. */
export function unknownField(release: string, name: string, known: readonly string[]): string {
  const match = closestMatch(name, known);
  if (match !== null) return `${release} has no such field; did you mean "${match}"?`;
  const fields = known.length > MAX_LISTED_FIELDS ? '' : `, only ${known.join(', ')}`;
  return `${release} has no such field here${fields}.`;
}
