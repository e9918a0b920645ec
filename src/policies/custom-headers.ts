import { type HeaderField, fieldSet } from '../http/head-edit.ts';
import { asObject, quote } from '../model/untyped.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { fieldFault } from './field-fault.ts';
import { definePolicy } from './policy.ts';
import { responseFieldsForm } from './standard-form.ts';

export interface CustomHeadersConfig {
  readonly set: readonly HeaderField[];
}

const CUSTOM_HEADERS: AnnotationSpec = {
  name: null,
  nginx: 'custom-headers',
  refersTo: 'ConfigMap',
  values: 'a ConfigMap',
  default: 'none',
  scope: 'path',
  about:
    'A ConfigMap of header fields that every response of these paths gets, those that Portico answers itself included; a field ' +
    'of the same name from the Pod is replaced.',
  difference: 'where `global-allowed-response-headers` is not set, every field may be set.',
};

const ALLOWED: AnnotationSpec = {
  name: null,
  global: 'global-allowed-response-headers',
  values: 'names of fields, separated by commas',
  default: 'all',
  scope: 'path',
  about: 'Which fields `custom-headers` may set.',
};

const MAX_FIELDS = 64;

export const customHeaders = definePolicy({
  name: 'custom-headers',
  phase: 'response',
  summary: 'Sets the header fields of responses that a ConfigMap lists.',
  annotations: [CUSTOM_HEADERS, ALLOWED],
  whenInvalid: 'close',

  parse(read): CustomHeadersConfig | null {
    if (!read.has(CUSTOM_HEADERS)) return null;
    const named = read.configMap(CUSTOM_HEADERS);
    if (named === null) return null;
    if (named.object === undefined) {
      read.fail(
        'ConfigMapMissing',
        CUSTOM_HEADERS,
        `${named.absence}: every path of this Ingress answers 503.`,
      );
      return null;
    }
    const allowed = read
      .text(ALLOWED)
      ?.toLowerCase()
      .split(',')
      .map((name) => name.trim());
    const entries = Object.entries(asObject(named.object.data));
    const set: HeaderField[] = [];
    for (const [name, value] of entries.slice(0, MAX_FIELDS + 1)) {
      const fault = fieldFaultOf(name, value, allowed);
      if (fault !== null || set.length === MAX_FIELDS) {
        const why =
          fault === null
            ? `has more than ${MAX_FIELDS} fields`
            : `cannot be used (${quote(name)}: it ${fault})`;
        read.invalid(CUSTOM_HEADERS, why, 'correct the ConfigMap');
        return null;
      }
      set.push([name, value as string]);
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

function fieldFaultOf(name: string, value: unknown, allowed: readonly string[] | undefined): string | null {
  if (typeof value !== 'string') return 'is not text';
  if (allowed && !allowed.includes(name.toLowerCase()))
    return 'is not allowed by global-allowed-response-headers';
  return fieldFault(name, value);
}
