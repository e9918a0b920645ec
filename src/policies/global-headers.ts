import { type HeaderField, fieldSet } from '../http/head-edit.ts';
import { type Template, parseTemplate, renderTemplate, templateText } from '../http/variables.ts';
import { asObject, quote } from '../model/untyped.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { fieldFault } from './field-fault.ts';
import { CONTINUE, definePolicy } from './policy.ts';

export interface GlobalHeadersConfig {
  /** Of requests to Pods. */
  readonly request: readonly (readonly [name: string, value: Template])[];
  /** Of responses. */
  readonly response: readonly HeaderField[];
  /** Lower-case names of fields of responses that clients do not get. */
  readonly hide: readonly string[];
}

const REQUEST: AnnotationSpec = {
  name: null,
  global: 'proxy-set-headers',
  refersTo: 'ConfigMap',
  values: 'a ConfigMap, as `namespace/name`',
  default: 'none',
  scope: 'path',
  about: 'A ConfigMap of fields for requests to Pods. Values may have variables of nginx.',
  difference: 'fields that frame the message, speak of the connection or of the client cannot be set.',
};

const RESPONSE: AnnotationSpec = {
  name: null,
  global: 'add-headers',
  refersTo: 'ConfigMap',
  values: 'a ConfigMap, as `namespace/name`',
  default: 'none',
  scope: 'path',
  about: 'A ConfigMap of fields for responses, those that Portico makes itself for these paths included.',
  difference: 'variables of nginx are not valid, and responses to hosts without a rule do not have them.',
};

const HIDE: AnnotationSpec = {
  name: null,
  global: 'hide-headers',
  values: 'names of fields, separated by commas',
  default: 'none',
  scope: 'path',
  about: 'Fields of responses that clients do not get.',
};

const ORIGINAL_URI: AnnotationSpec = {
  name: null,
  global: 'proxy-add-original-uri-header',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about: 'Whether Pods get the request target as the client wrote it, in `X-Original-Uri`.',
};

const MAX_FIELDS = 64;
/** What Pods are told of the client, its connection and its host is not for others to say. */
const OWN_REQUEST_FIELD =
  /^(?:host|content-length|transfer-encoding|connection|upgrade|x-(?:forwarded|real|request|original-forwarded)-.*)$/i;

export const globalHeaders = definePolicy({
  name: 'global-headers',
  phase: 'rewrite',
  summary: 'Fields that the ConfigMap of ingress-nginx sets and hides for all hosts.',
  annotations: [REQUEST, RESPONSE, HIDE, ORIGINAL_URI],
  whenInvalid: 'default',

  parse(read): GlobalHeadersConfig | null {
    const request = fieldsOf(read, REQUEST).flatMap(([name, value]) => {
      const parsed = parseTemplate(value);
      if (parsed.kind === 'template' && !OWN_REQUEST_FIELD.test(name))
        return [[name, parsed.template] as const];
      const why = parsed.kind === 'template' ? 'Portico says it itself' : `its value ${parsed.fault}`;
      read.warn('AnnotationInvalid', REQUEST, `The field ${name} is not set: ${why}.`);
      return [];
    });
    if (read.bool(ORIGINAL_URI) === true)
      request.push(['X-Original-Uri', [{ variable: 'request_uri', name: '' }]]);
    const response = fieldsOf(read, RESPONSE).filter(([name, value]) => {
      const isLiteral = !value.includes('$');
      if (!isLiteral)
        read.warn('AnnotationInvalid', RESPONSE, `The field ${name} is not set: its value has a variable.`);
      return isLiteral;
    });
    const hide = (read.text(HIDE) ?? '').split(',').flatMap((name) => name.trim().toLowerCase() || []);
    if (request.length === 0 && response.length === 0 && hide.length === 0) return null;
    return { request, response, hide: hide.slice(0, MAX_FIELDS) };
  },

  ofAllResponses: true,

  bind({ request, response, hide }) {
    const fields = fieldSet(response);
    return {
      ...(request.length > 0 && {
        onRequest(view, edit) {
          for (const [name, value] of request) {
            const text = renderTemplate(value, view);
            // Like nginx, which sends no field without a value.
            if (text === '') edit.remove(name);
            else edit.set(name, text);
          }
          return CONTINUE;
        },
      }),
      ...((response.length > 0 || hide.length > 0) && {
        onResponse(edit) {
          for (const name of hide) edit.remove(name);
          edit.setAll(fields);
        },
      }),
    };
  },

  describe({ request, response, hide }) {
    const parts = [
      ...request.map(([name, value]) => `request ${name}: ${templateText(value)}`),
      ...response.map(([name, value]) => `response ${name}: ${value}`),
      ...hide.map((name) => `hide ${name}`),
    ];
    return parts.join(', ');
  },

  outline({ request, response, hide }) {
    const parts = [
      ...request.map(([name]) => `request ${name}`),
      ...response.map(([name]) => `response ${name}`),
      ...hide.map((name) => `hide ${name}`),
    ];
    return parts.join(', ');
  },
});

/** The fields of the ConfigMap that an option names; those that cannot be set are reported and left out. */
function fieldsOf(read: AnnotationReader, spec: AnnotationSpec): HeaderField[] {
  const named = read.configMap(spec);
  if (named === null) return [];
  if (named.object === undefined) {
    read.fail('ConfigMapMissing', spec, `${named.absence}: no field of it is set.`);
    return [];
  }
  return Object.entries(asObject(named.object.data))
    .slice(0, MAX_FIELDS)
    .flatMap(([name, value]): HeaderField[] => {
      const fault = typeof value === 'string' ? fieldFault(name, value) : 'is not text';
      if (fault === null) return [[name, value as string]];
      read.warn('AnnotationInvalid', spec, `The field ${quote(name)} of it is not set: it ${fault}.`);
      return [];
    });
}
