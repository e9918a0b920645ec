import { type Template, parseTemplate, renderTemplate, templateText } from '../http/variables.ts';
import { CLOSED } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { readHeaderLines, requestFieldFault } from './header-lines.ts';
import { CONTINUE, definePolicy } from './policy.ts';
import { type StandardForm, filterFields } from './standard-form.ts';

export interface RequestHeadersConfig {
  /** A field whose text is empty for a request is removed. */
  readonly set: readonly (readonly [name: string, value: Template])[];
}

const REQUEST_HEADERS: AnnotationSpec = {
  name: 'request-headers',
  values: 'lines of `Name: value`',
  default: 'none',
  scope: 'path',
  about:
    'Header fields that Pods get with every request for these paths, in place of those of the client. Values may have variables ' +
    'of nginx, such as `$host` and `$http_NAME`. A line without a value removes the field. What Pods are told of the client, its ' +
    'connection and its host cannot be set. With a line that is not valid every path of the Ingress answers 503: Pods may trust ' +
    'what clients cannot write.',
};

export const requestHeaders = definePolicy({
  name: 'request-headers',
  phase: 'rewrite',
  summary: 'Sets header fields of requests to Pods.',
  annotations: [REQUEST_HEADERS],
  whenInvalid: 'close',

  parse(read): RequestHeadersConfig | null {
    const set = readHeaderLines(read, REQUEST_HEADERS, requestFieldFault, CLOSED).map(
      ({ name, value }) => [name, templateOf(value)] as const,
    );
    return set.length === 0 ? null : { set };
  },

  standardForm: ({ set }) => requestFieldsForm(set),

  bind({ set }) {
    return {
      onRequest(request, edit) {
        for (const [name, value] of set) {
          const text = renderTemplate(value, request);
          if (text === '') edit.remove(name);
          else edit.set(name, text);
        }
        return CONTINUE;
      },
    };
  },

  describe: ({ set }) =>
    set
      .map(([name, value]) => (value.length === 0 ? `no ${name}` : `${name}: ${templateText(value)}`))
      .join(', '),
  outline: ({ set }) => set.map(([name]) => name).join(', '),
});

function templateOf(value: string): Template {
  const parsed = parseTemplate(value);
  return parsed.kind === 'template' ? parsed.template : [];
}

/** A RequestHeaderModifier; null where a value has variables. */
function requestFieldsForm(config: RequestHeadersConfig['set']): StandardForm | null {
  const remove = config.flatMap(([name, value]) => (value.length === 0 ? name : []));
  const values = config.filter(([, value]) => value.length > 0);
  const texts = values.flatMap(([name, [first, ...more]]) =>
    typeof first === 'string' && more.length === 0 ? [[name, first] as const] : [],
  );
  const set = texts.length === values.length ? filterFields(texts) : null;
  if (set === null || filterFields(remove.map((name) => [name, '-'])) === null) return null;
  const requestHeaderModifier = { ...(set.length > 0 && { set }), ...(remove.length > 0 && { remove }) };
  return { filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier }] };
}
