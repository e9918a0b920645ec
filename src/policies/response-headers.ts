import { fieldSet } from '../http/head-edit.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { fieldFault } from './field-fault.ts';
import { readHeaderLines } from './header-lines.ts';
import { definePolicy } from './policy.ts';
import { responseFieldsForm } from './standard-form.ts';

export interface ResponseHeadersConfig {
  readonly set: readonly (readonly [name: string, value: string])[];
  /** Fields that clients do not get; none when absent. */
  readonly remove?: readonly string[];
}

const RESPONSE_HEADERS: AnnotationSpec = {
  name: 'response-headers',
  values: 'lines of `Name: value`',
  default: 'none',
  scope: 'path',
  about:
    'Header fields that every response of these paths gets, those that Portico answers itself included. A field of the ' +
    'same name from the Pod is replaced, and removed where the line has no value. Fields that frame the message or speak of the connection cannot be set.',
};

export const responseHeaders = definePolicy({
  name: 'response-headers',
  phase: 'response',
  summary: 'Sets header fields of responses.',
  annotations: [RESPONSE_HEADERS],
  whenInvalid: 'default',

  parse(read): ResponseHeadersConfig | null {
    const lines = readHeaderLines(read, RESPONSE_HEADERS, ({ name, value }) =>
      fieldFault(name, value === '' ? 'x' : value),
    );
    if (lines.length === 0) return null;
    const set = lines.filter(({ value }) => value !== '');
    const remove = lines.filter(({ value }) => value === '').map(({ name }) => name);
    return {
      set: set.map(({ name, value }) => [name, value] as const),
      ...(remove.length > 0 && { remove }),
    };
  },

  ofAllResponses: true,
  standardForm: ({ set, remove = [] }) => (remove.length > 0 ? null : responseFieldsForm(set)),

  bind({ set, remove = [] }) {
    const fields = fieldSet(set);
    return {
      onResponse(edit) {
        for (const name of remove) edit.remove(name);
        edit.setAll(fields);
      },
    };
  },

  describe: ({ set, remove = [] }) =>
    [...set.map(([name, value]) => `${name}: ${value}`), ...remove.map((name) => `no ${name}`)].join(', '),
  outline: ({ set, remove = [] }) =>
    [...set.map(([name]) => name), ...remove.map((name) => `no ${name}`)].join(', '),
});
