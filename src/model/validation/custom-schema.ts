import type { GatewayKind } from '../objects.ts';
import { type UntypedObject, asArray, asObject, isAbsent, isObject } from '../untyped.ts';
import { type CelExpression, parseCel } from './cel.ts';
import { holds } from './cel-evaluate.ts';
import type { Findings } from './findings.ts';
import { GATEWAY_API_RELEASE, GATEWAY_NODES, GATEWAY_ROOTS } from './gateway-schema.ts';
import { patternRule } from './pattern-rule.ts';
import { checkMetadataSchema, unknownField } from './schema.ts';

/** A value in the schema of a CustomResourceDefinition. Numbers of nodes are places in `GATEWAY_NODES`. */
export interface SchemaNode {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'any';
  readonly fields?: Readonly<Record<string, number>>;
  /** Those of the fields that only the experimental channel has. */
  readonly experimental?: readonly string[];
  readonly required?: readonly string[];
  readonly maxProperties?: number;
  /** Of a map. */
  readonly values?: number;
  readonly items?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  /** The fields that tell the items of a list apart. */
  readonly keys?: readonly string[];
  /** Whether the items of a list differ. */
  readonly unique?: true;
  readonly enum?: readonly string[];
  /** A regular expression of the release. */
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly rules?: readonly (readonly [cel: string, message: string])[];
}

const RELEASE = `Gateway API ${GATEWAY_API_RELEASE}`;
const EXPERIMENTAL =
  'Only the experimental channel of Gateway API has this field: a cluster with the standard channel drops it.';
/** Names that are listed in a message. */
const MAX_LISTED = 10;

const nodes: SchemaNode[] = [];
const rules = new Map<string, CelExpression>();

/** Read when it is asked for: most clusters are served without. */
function nodeAt(number: number): SchemaNode {
  return (nodes[number] ??= JSON.parse(GATEWAY_NODES[number] ?? '{"type":"any"}') as SchemaNode);
}

function ruleOf(cel: string): CelExpression {
  const rule = rules.get(cel) ?? parseCel(cel);
  rules.set(cel, rule);
  return rule;
}

/**
 * Holds an object of Gateway API against the schema and the rules of its CustomResourceDefinition, in this order: like an
 * API server, which evaluates rules only of what has the right shape. Fields that no channel has are errors, those of
 * the experimental channel warnings.
 */
export function checkCustomResource(kind: GatewayKind, object: UntypedObject, findings: Findings): void {
  const before = findings.problems.length;
  const root = nodeAt(GATEWAY_ROOTS[kind]);
  checkMetadataSchema(object['metadata'], findings);
  checkValue(root, object, '', findings);
  if (findings.problems.slice(before).some(({ severity }) => severity === 'error')) return;
  checkRules(root, withDefaults(root, object), '', findings);
}

function checkValue(node: SchemaNode, value: unknown, path: string, findings: Findings): void {
  switch (node.type) {
    case 'any':
      return;
    case 'object':
      if (isObject(value)) return checkObject(node, value, path, findings);
      return findings.wrongType(path, value, 'must be a map of fields');
    case 'array':
      if (Array.isArray(value)) return checkList(node, value, path, findings);
      return findings.wrongType(path, value, 'must be a list');
    case 'string':
      if (typeof value === 'string') return checkString(node, value, path, findings);
      return findings.wrongType(path, value, 'must be a string (put it in quotes)');
    case 'integer':
      if (Number.isInteger(value)) return checkInteger(node, Number(value), path, findings);
      return findings.wrongType(path, value, 'must be a whole number, without quotes');
    case 'boolean':
      if (typeof value !== 'boolean')
        findings.wrongType(path, value, 'must be true or false, without quotes');
  }
}

function checkObject(node: SchemaNode, value: UntypedObject, path: string, findings: Findings): void {
  const { fields = {}, experimental = [], required = [], values, maxProperties } = node;
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of required)
    if (isAbsent(value[name]) && defaultOf(node, name) === undefined)
      findings.required(at(name), `The field "${name}"`);
  const entries = Object.entries(value);
  if (maxProperties !== undefined && entries.length > maxProperties)
    findings.invalid(path, value, `must have at most ${maxProperties} entries`);
  for (const [name, each] of entries) {
    const known = Object.hasOwn(fields, name) ? fields[name] : values;
    if (known === undefined) {
      // A map without a schema may hold anything.
      if (node.fields) findings.unknown(at(name), () => unknownField(RELEASE, name, Object.keys(fields)));
    } else if (!isAbsent(each)) {
      if (experimental.includes(name)) findings.warn('FieldExperimental', at(name), EXPERIMENTAL);
      checkValue(nodeAt(known), each, node.fields ? at(name) : `${path}[${name}]`, findings);
    }
  }
}

function checkList(node: SchemaNode, list: readonly unknown[], path: string, findings: Findings): void {
  const { items, minItems = 0, maxItems = Infinity, keys, unique } = node;
  if (list.length < minItems) findings.invalid(path, list, `must have at least ${count(minItems, 'entry')}`);
  // The entries beyond are not looked at: there may be any number of them.
  if (list.length > maxItems)
    return findings.invalid(path, list, `must have at most ${count(maxItems, 'entry')}`);
  if (items !== undefined)
    for (const [index, item] of list.entries())
      checkValue(nodeAt(items), item, `${path}[${index}]`, findings);
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    if (!keys && !unique) return;
    const key = JSON.stringify(keys ? keys.map((name) => asObject(item)[name]) : item);
    const where = keys ? `${path}[${index}].${keys[0] ?? ''}` : `${path}[${index}]`;
    if (seen.has(key)) findings.invalid(where, keyOf(item, keys), 'is there twice in this list');
    seen.add(key);
  }
}

function keyOf(item: unknown, keys: readonly string[] | undefined): unknown {
  return keys ? asObject(item)[keys[0] ?? ''] : item;
}

function checkString(node: SchemaNode, value: string, path: string, findings: Findings): void {
  const { minLength = 0, maxLength = Infinity, pattern } = node;
  if (node.enum && !node.enum.includes(value)) {
    const choices = node.enum.slice(0, MAX_LISTED).join(', ');
    return findings.invalid(path, value, `is not valid; use one of ${choices}`);
  }
  if (value.length < minLength) return findings.invalid(path, value, 'must not be empty');
  if (value.length > maxLength)
    return findings.invalid(path, value, `must have at most ${maxLength} characters`);
  const rule = pattern === undefined ? null : patternRule(pattern, value);
  if (rule !== null) findings.invalid(path, value, rule);
}

function checkInteger(node: SchemaNode, value: number, path: string, findings: Findings): void {
  const { minimum = -Infinity, maximum = Infinity } = node;
  if (value >= minimum && value <= maximum) return;
  const range = maximum === Infinity ? `at least ${minimum}` : `a number from ${minimum} to ${maximum}`;
  findings.invalid(path, value, `must be ${range}`);
}

function count(number: number, noun: 'entry'): string {
  return number === 1 ? `1 ${noun}` : `${number} entries`;
}

function checkRules(node: SchemaNode, value: unknown, path: string, findings: Findings): void {
  for (const [cel, message] of node.rules ?? [])
    if (!holds(ruleOf(cel), value)) findings.refused(path, message);
  const { fields = {}, items, values } = node;
  if (items !== undefined)
    for (const [index, item] of asArray(value).entries())
      checkRules(nodeAt(items), item, `${path}[${index}]`, findings);
  for (const [name, each] of Object.entries(asObject(value))) {
    const known = Object.hasOwn(fields, name) ? fields[name] : values;
    if (known !== undefined)
      checkRules(nodeAt(known), each, path === '' ? name : `${path}.${name}`, findings);
  }
}

function defaultOf(node: SchemaNode, name: string): unknown {
  const number = node.fields?.[name];
  return number === undefined ? undefined : nodeAt(number).default;
}

/** A value of the right shape with the defaults of its schema, as rules are evaluated on it. */
function withDefaults(node: SchemaNode, value: unknown): unknown {
  const { fields, items } = node;
  if (Array.isArray(value))
    return items === undefined ? value : value.map((item) => withDefaults(nodeAt(items), item));
  if (!isObject(value) || !fields) return value;
  const complete: [string, unknown][] = [];
  for (const [name, number] of Object.entries(fields)) {
    const field = nodeAt(number);
    const written = isAbsent(value[name]) ? field.default : value[name];
    if (!isAbsent(written)) complete.push([name, withDefaults(field, written)]);
  }
  return Object.fromEntries(complete);
}
