import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

export interface CookieRewriteConfig {
  readonly domain: Replacement | null;
  readonly path: Replacement | null;
}

interface Replacement {
  readonly from: string;
  readonly to: string;
}

const DOMAIN: AnnotationSpec = {
  name: 'cookie-domain',
  nginx: 'proxy-cookie-domain',
  global: 'proxy-cookie-domain',
  values: '`off`, or two domains such as `app.internal www.example.com`',
  default: 'off',
  scope: 'path',
  about:
    'Replaces the attribute Domain of cookies that Pods set, where it is the first of the two. A dot before it stays. Case ' +
    'does not count.',
  difference: 'regular expressions (`~`) and variables of nginx are not valid.',
};

const PATH: AnnotationSpec = {
  name: 'cookie-path',
  nginx: 'proxy-cookie-path',
  global: 'proxy-cookie-path',
  values: '`off`, or two paths such as `/app /`',
  default: 'off',
  scope: 'path',
  about:
    'Replaces the beginning of the attribute Path of cookies that Pods set, where it is the first of the two.',
  difference:
    'regular expressions (`~`) and variables of nginx are not valid, nor is a second path that adds attributes, as in ' +
    '`/ "/; HttpOnly"`.',
};

const MAX_LENGTH = 1_024;
const DOMAIN_TEXT = /^\.?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i;
/** RFC 6265 4.1.1: any character but controls and `;`. A blank would end it here. */
const PATH_TEXT = /^\/[\x21-\x3a\x3c-\x7e]*$/;

export const cookieRewrite = definePolicy({
  name: 'cookie-rewrite',
  phase: 'response',
  summary: 'Replaces the domain and the path of cookies that Pods set.',
  annotations: [DOMAIN, PATH],
  whenInvalid: 'default',

  parse(read): CookieRewriteConfig | null {
    const domain = replacementOf(
      read,
      DOMAIN,
      DOMAIN_TEXT,
      'two domains such as app.internal www.example.com',
    );
    const path = replacementOf(read, PATH, PATH_TEXT, 'two paths such as /app /');
    return domain === null && path === null ? null : { domain, path };
  },

  bind({ domain, path }) {
    const from = domain && withoutDot(domain.from);
    return {
      onResponse(edit) {
        if (!edit.has('set-cookie')) return;
        edit.map('Set-Cookie', (cookie) =>
          mapAttributes(cookie, (name, value) => {
            if (domain && name === 'domain')
              return withoutDot(value) === from
                ? `${value.startsWith('.') ? '.' : ''}${withoutDot(domain.to)}`
                : value;
            if (path && name === 'path' && value.startsWith(path.from))
              return `${path.to}${value.slice(path.from.length)}`;
            return value;
          }),
        );
      },
    };
  },

  describe({ domain, path }) {
    const parts = [
      ...(domain ? [`domain ${domain.from} to ${domain.to}`] : []),
      ...(path ? [`path ${path.from} to ${path.to}`] : []),
    ];
    return parts.join(', ');
  },
});

function withoutDot(domain: string): string {
  return domain.replace(/^\./, '').toLowerCase();
}

/** A cookie with other values of its attributes (RFC 6265 4.1.1); what does not become another stays as it is. */
function mapAttributes(cookie: string, change: (lowerName: string, value: string) => string): string {
  const [pair = '', ...attributes] = cookie.split(';');
  const changed = attributes.map((attribute) => {
    const equals = attribute.indexOf('=');
    if (equals < 0) return attribute;
    const value = attribute.slice(equals + 1).trim();
    const after = change(attribute.slice(0, equals).trim().toLowerCase(), value);
    return after === value ? attribute : `${attribute.slice(0, equals + 1)}${after}`;
  });
  return [pair, ...changed].join(';');
}

function replacementOf(
  read: AnnotationReader,
  spec: AnnotationSpec,
  valid: RegExp,
  what: string,
): Replacement | null {
  const written = read.text(spec)?.trim();
  if (written === undefined || written === 'off') return null;
  const [from = '', to = '', ...others] = written.length <= MAX_LENGTH ? written.split(/[ \t]+/) : [];
  if (others.length === 0 && [from, to].every((text) => valid.test(text) && !text.includes('$')))
    return { from, to };
  read.invalid(spec, `is neither off nor ${what}`, `write ${what}`);
  return null;
}
