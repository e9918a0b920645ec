import { isIP } from 'node:net';
import { isObject } from '../untyped.ts';
import type { CelExpression } from './cel.ts';

/** The variables that are visible, the innermost first. */
interface Scope {
  readonly name: string;
  readonly value: unknown;
  readonly outer: Scope | null;
}

/**
 * Whether a rule holds for `self`, which must have the shape of its schema. A rule that fails while it is evaluated, say
 * because it reads a field that is absent, does not hold: an API server refuses the object as well.
 */
export function holds(rule: CelExpression, self: unknown): boolean {
  try {
    return evaluate(rule, { name: 'self', value: self, outer: null }) === true;
  } catch {
    return false;
  }
}

function evaluate(expression: CelExpression, scope: Scope): unknown {
  switch (expression.op) {
    case 'literal':
      return expression.value;
    case 'list':
      return expression.items.map((item) => evaluate(item, scope));
    case 'name':
      return lookUp(expression.name, scope);
    case 'member':
      return memberOf(evaluate(expression.of, scope), expression.name);
    case 'index':
      return itemOf(evaluate(expression.of, scope), evaluate(expression.at, scope));
    case 'not':
      return evaluate(expression.of, scope) !== true;
    case 'if':
      return evaluate(expression.condition, scope) === true
        ? evaluate(expression.whenTrue, scope)
        : evaluate(expression.whenFalse, scope);
    case 'binary':
      return binary(expression, scope);
    case 'call':
      return expression.of === null ? callGlobal(expression, scope) : callMember(expression, scope);
  }
}

function lookUp(name: string, scope: Scope | null): unknown {
  for (let each = scope; each !== null; each = each.outer) if (each.name === name) return each.value;
  throw new Error(`no variable ${name}`);
}

function memberOf(of: unknown, name: string): unknown {
  if (isObject(of) && Object.hasOwn(of, name)) return of[name];
  throw new Error(`no field ${name}`);
}

function itemOf(of: unknown, at: unknown): unknown {
  if (Array.isArray(of) && typeof at === 'number' && at < of.length) return of[at];
  return memberOf(of, `${at as string}`);
}

function binary({ operator, left, right }: CelExpression & { op: 'binary' }, scope: Scope): unknown {
  if (operator === '&&' || operator === '||') {
    const decides = operator === '||';
    // Either side decides alone, even when the other one fails.
    try {
      if ((evaluate(left, scope) === true) === decides) return decides;
    } catch (error) {
      if ((evaluate(right, scope) === true) === decides) return decides;
      throw error;
    }
    return evaluate(right, scope) === true;
  }
  const [a, b] = [evaluate(left, scope), evaluate(right, scope)];
  switch (operator) {
    case '==':
      return a === b;
    case '!=':
      return a !== b;
    case 'in':
      return Array.isArray(b) ? b.includes(a) : isObject(b) && Object.hasOwn(b, `${a as string}`);
    case '+':
      return numberOf(a) + numberOf(b);
    case '<':
      return numberOf(a) < numberOf(b);
    case '<=':
      return numberOf(a) <= numberOf(b);
    case '>':
      return numberOf(a) > numberOf(b);
    case '>=':
      return numberOf(a) >= numberOf(b);
    default:
      throw new Error(`no operator ${operator}`);
  }
}

function callGlobal({ name, args }: CelExpression & { op: 'call' }, scope: Scope): unknown {
  const [first] = args;
  if (!first) throw new Error(`${name} needs an argument`);
  if (name === 'has') {
    if (first.op !== 'member') throw new Error('has needs a field');
    const of = evaluate(first.of, scope);
    return isObject(of) && Object.hasOwn(of, first.name);
  }
  const value = evaluate(first, scope);
  switch (name) {
    case 'size':
      return sizeOf(value);
    case 'duration':
      return milliseconds(textOf(value));
    case 'isIP':
      return isIP(textOf(value)) !== 0;
    default:
      throw new Error(`no function ${name}`);
  }
}

function callMember(call: CelExpression & { op: 'call' }, scope: Scope): unknown {
  const { name, args } = call;
  const of = call.of && evaluate(call.of, scope);
  const [first, second] = args;
  if (first?.op === 'name' && second) {
    // A macro: the first argument names the variable that the second one sees.
    const items = itemsOf(of);
    const test = (value: unknown): boolean =>
      evaluate(second, { name: first.name, value, outer: scope }) === true;
    switch (name) {
      case 'all':
        return items.every(test);
      case 'exists':
        return items.some(test);
      case 'exists_one':
        return items.filter(test).length === 1;
      case 'filter':
        return items.filter(test);
    }
  }
  if (name === 'size') return sizeOf(of);
  if (!first) throw new Error(`${name} needs an argument`);
  const value = evaluate(first, scope);
  if (name === 'substring') return textOf(of).slice(numberOf(value));
  const [text, argument] = [textOf(of), textOf(value)];
  switch (name) {
    case 'matches':
      return regularExpression(argument).test(text);
    case 'contains':
      return text.includes(argument);
    case 'startsWith':
      return text.startsWith(argument);
    case 'endsWith':
      return text.endsWith(argument);
    case 'split':
      return text.split(argument);
    default:
      throw new Error(`no function ${name}`);
  }
}

function sizeOf(value: unknown): number {
  return typeof value === 'string' ? [...value].length : itemsOf(value).length;
}

/** The items of a list, or the keys of a map. */
function itemsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (isObject(value)) return Object.keys(value);
  throw new Error('neither a list nor a map');
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Error('not a string');
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new Error('not a number');
  return value;
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

function milliseconds(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|h|m|s)/g)];
  if (parts.map(([part]) => part).join('') !== text || text === '') throw new Error('not a duration');
  return parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNIT_MS[unit] ?? 0), 0);
}

const EXPRESSIONS = new Map<string, RegExp>();

/** Of a release of Gateway API, never of an object; `(?i)` is RE2's for a flag. */
function regularExpression(source: string): RegExp {
  let found = EXPRESSIONS.get(source);
  if (!found) {
    found = source.includes('(?i)') ? new RegExp(source.replace('(?i)', ''), 'i') : new RegExp(source);
    EXPRESSIONS.set(source, found);
  }
  return found;
}
