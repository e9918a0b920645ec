import { type Template, parseTemplate, renderTemplate, templateText } from '../http/variables.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** How the beginning of a URL in a response is replaced. */
export interface LocationRewriteConfig {
  readonly from: Template;
  readonly to: Template;
}

const FROM: AnnotationSpec = {
  name: 'location-from',
  nginx: 'proxy-redirect-from',
  global: 'proxy-redirect-from',
  values: '`off`, `default`, or the beginning of a URL such as `http://app.internal/`',
  default: 'off',
  scope: 'path',
  about:
    'The beginning of the URL in the fields Location and Refresh of responses that `location-to` replaces. `off` and `default` ' +
    'replace nothing. Variables of nginx, such as `$host`, are filled in.',
  difference: 'regular expressions (`~`) are not valid.',
};

const TO: AnnotationSpec = {
  name: 'location-to',
  nginx: 'proxy-redirect-to',
  global: 'proxy-redirect-to',
  values: '`off`, or the beginning of a URL such as `/` or `https://www.example.com/`',
  default: 'off',
  scope: 'path',
  about: 'What stands in place of `location-from`, which it needs. `off` replaces nothing.',
};

const MAX_LENGTH = 1_024;
/** Visible ASCII. */
const TEXT = /^[\x21-\x7e]+$/;
const URL_START = /^(?:\/|https?:\/\/|\$)/i;

export const locationRewrite = definePolicy({
  name: 'location-rewrite',
  phase: 'response',
  summary: 'Replaces the beginning of URLs that Pods redirect to.',
  annotations: [FROM, TO],
  whenInvalid: 'default',

  parse(read): LocationRewriteConfig | null {
    const from = templateOf(read, FROM, ['off', 'default']);
    const to = templateOf(read, TO, ['off']);
    if (from !== null && to !== null) return { from, to };
    if (to !== null && !read.has(FROM)) {
      read.warn('AnnotationInvalid', TO, 'It replaces nothing without a location-from: write both.');
    }
    return null;
  },

  bind({ from, to }) {
    return {
      onResponse(edit, request) {
        const location = edit.value('location');
        const refresh = edit.value('refresh');
        if (location === undefined && refresh === undefined) return;
        const before = renderTemplate(from, request);
        if (before === '') return;
        const replaced = (url: string): string =>
          url.startsWith(before) ? `${renderTemplate(to, request)}${url.slice(before.length)}` : url;
        if (location !== undefined) edit.map('Location', (url) => fieldValue(replaced(url), url));
        if (refresh === undefined) return;
        edit.map('Refresh', (value) => {
          const url = /url=/i.exec(value);
          if (url === null) return value;
          const start = url.index + url[0].length;
          return fieldValue(`${value.slice(0, start)}${replaced(value.slice(start))}`, value);
        });
      },
    };
  },

  describe: ({ from, to }) => `${templateText(from)} to ${templateText(to)}`,
});

/** What variables bring must not end the field. */
function fieldValue(value: string, otherwise: string): string {
  return TEXT.test(value.replaceAll(/[ \t]/g, '')) ? value : otherwise;
}

function templateOf(
  read: AnnotationReader,
  spec: AnnotationSpec,
  nothing: readonly string[],
): Template | null {
  const written = read.text(spec)?.trim();
  if (written === undefined || nothing.includes(written)) return null;
  const isText = written.length <= MAX_LENGTH && TEXT.test(written) && URL_START.test(written);
  const parsed = isText ? parseTemplate(written) : null;
  if (parsed?.kind === 'template') return parsed.template;
  const fault = parsed === null ? 'is not the beginning of a URL' : parsed.fault;
  read.invalid(spec, fault, 'write the beginning of a URL such as / or https://www.example.com/');
  return null;
}
