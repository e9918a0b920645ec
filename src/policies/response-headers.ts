import { fieldSet } from '../http/head-edit.ts';
import { plural } from '../model/plural.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { fieldFault } from './field-fault.ts';
import { definePolicy } from './policy.ts';
import { responseFieldsForm } from './standard-form.ts';

export interface ResponseHeadersConfig {
  readonly set: readonly (readonly [name: string, value: string])[];
}

const RESPONSE_HEADERS: AnnotationSpec = {
  name: 'response-headers',
  values: 'lines of `Name: value`',
  default: 'none',
  scope: 'path',
  about:
    'Header fields that every response of these paths gets, those that Portico answers itself included. A field of the ' +
    'same name from the Pod is replaced. Fields that frame the message or speak of the connection cannot be set.',
};

const MAX_FIELDS = 32;
export const responseHeaders = definePolicy({
  name: 'response-headers',
  phase: 'response',
  summary: 'Sets header fields of responses.',
  annotations: [RESPONSE_HEADERS],
  whenInvalid: 'default',

  parse(read): ResponseHeadersConfig | null {
    const written = read.text(RESPONSE_HEADERS);
    if (written === null) return null;
    const set: [string, string][] = [];
    const faults: string[] = [];
    const lines = written.split('\n').filter((line) => line.trim() !== '');
    for (const line of lines.slice(0, MAX_FIELDS)) {
      const colon = line.indexOf(':');
      const name = line.slice(0, Math.max(colon, 0)).trim();
      const value = line.slice(colon + 1).trim();
      const fault = fieldFault(name, value);
      if (fault === null) set.push([name, value]);
      else faults.push(`The line ${quote(line.trim())} is ignored: it ${fault}.`);
    }
    const [first] = faults;
    // One problem, however many lines there are.
    if (first !== undefined) {
      const others = faults.length === 1 ? '' : ` So are ${plural(faults.length - 1, 'other line')}.`;
      read.warn(
        'AnnotationInvalid',
        RESPONSE_HEADERS,
        `${first}${others} Write each line as \`Name: value\`.`,
      );
    }
    if (lines.length > MAX_FIELDS) {
      const message = `Only the first ${MAX_FIELDS} of ${lines.length} lines are used: set fewer header fields.`;
      read.warn('AnnotationInvalid', RESPONSE_HEADERS, message);
    }
    return set.length === 0 ? null : { set };
  },

  ofAllResponses: true,
  standardForm: ({ set }) => responseFieldsForm(set),

  bind({ set }) {
    const fields = fieldSet(set);
    return { onResponse: (edit) => edit.setAll(fields) };
  },

  describe: ({ set }) => set.map(([name, value]) => `${name}: ${value}`).join(', '),
  outline: ({ set }) => set.map(([name]) => name).join(', '),
});
