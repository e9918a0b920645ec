import type { HeadEdit, HeaderField } from '../http/head-edit.ts';
import { type UntypedObject, asArray, asObject, asString } from '../model/untyped.ts';
import { fieldFault } from './field-fault.ts';
import type { FilterReader } from './filter-reader.ts';
import { CONTINUE, definePolicy } from './policy.ts';

/** What one filter changes in a head: in this order. */
export interface HeaderModifier {
  /** In place of all fields of the name. */
  readonly set: readonly HeaderField[];
  /** To the end of the value that is there, after a comma. */
  readonly add: readonly HeaderField[];
  readonly remove: readonly string[];
}

export interface HeaderModifierConfig {
  /** Those of a rule come before those of one of its backends. */
  readonly request: readonly HeaderModifier[];
  readonly response: readonly HeaderModifier[];
}

export const headerModifier = definePolicy({
  name: 'header-modifier',
  phase: 'response',
  summary:
    'Sets, adds and removes header fields: the filters `RequestHeaderModifier` and `ResponseHeaderModifier` of Gateway API.',
  annotations: [],
  whenInvalid: 'close',

  parse(): HeaderModifierConfig | null {
    return null;
  },

  filters: ['RequestHeaderModifier', 'ResponseHeaderModifier'],

  fromFilter(filter, read) {
    const modifier = readModifier(filter, read);
    return read.type === 'RequestHeaderModifier'
      ? { request: [modifier], response: [] }
      : { request: [], response: [modifier] };
  },

  bind({ request, response }) {
    return {
      ...(request.length > 0 && {
        onRequest(_, edit) {
          for (const modifier of request) modify(edit, modifier);
          return CONTINUE;
        },
      }),
      ...(response.length > 0 && {
        onResponse(edit) {
          for (const modifier of response) modify(edit, modifier);
        },
      }),
    };
  },

  describe({ request, response }) {
    const parts = [
      ...request.flatMap(describeModifier),
      ...response.flatMap((each) => describeModifier(each).map((part) => `response ${part}`)),
    ];
    return parts.join(', ');
  },
});

function modify(edit: HeadEdit, { set, add, remove }: HeaderModifier): void {
  for (const [name, value] of set) edit.set(name, value);
  for (const [name, value] of add) {
    const before = edit.value(name);
    edit.set(name, before === undefined ? value : `${before},${value}`);
  }
  for (const name of remove) edit.remove(name);
}

function describeModifier({ set, add, remove }: HeaderModifier): readonly string[] {
  return [
    ...set.map(([name, value]) => `set ${name}: ${value}`),
    ...add.map(([name, value]) => `add ${name}: ${value}`),
    ...remove.map((name) => `remove ${name}`),
  ];
}

const MAX_FIELDS = 16;

function readModifier({ set, add, remove }: UntypedObject, read: FilterReader): HeaderModifier {
  return {
    set: readFields(set, read),
    add: readFields(add, read),
    remove: asArray(remove)
      .slice(0, MAX_FIELDS)
      .map((name) => checkedName(name, read)),
  };
}

function readFields(written: unknown, read: FilterReader): HeaderModifier['set'] {
  const names = new Set<string>();
  return asArray(written)
    .slice(0, MAX_FIELDS)
    .map(asObject)
    .flatMap((each): HeaderModifier['set'] => {
      const name = checkedName(each['name'], read);
      const value = asString(each['value']) ?? '';
      const fault = value === '' ? null : fieldFault(name, value.trim());
      if (fault !== null) read.fail(fault, 'correct it');
      // Of several with the same name the first counts.
      if (names.has(name.toLowerCase())) return [];
      names.add(name.toLowerCase());
      return [[name, value.trim()]];
    });
}

function checkedName(written: unknown, read: FilterReader): string {
  const name = asString(written) ?? '';
  const fault = fieldFault(name, 'x');
  if (fault !== null) read.fail(fault, 'name another header field');
  if (name.toLowerCase() === 'host') read.fail('changes Host', 'use the hostname of a URLRewrite');
  return name;
}
