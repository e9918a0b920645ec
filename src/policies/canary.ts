import { patternFault } from '../http/pattern.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Which requests a canary takes from the main Ingress of its paths: the first of these that decides does. */
export interface CanaryConfig {
  readonly header: CanaryHeader | null;
  /** The name of a cookie that says `always` or `never`. */
  readonly cookie: string | null;
  /** Of `total` requests that neither decides, so many. */
  readonly weight: number;
  readonly total: number;
}

export interface CanaryHeader {
  /** In lower case. */
  readonly name: string;
  /** `always` and `never` decide where there is neither a value nor a pattern; these only ever take a request. */
  readonly takes:
    | { readonly kind: 'always' }
    | { readonly kind: 'value'; readonly value: string }
    | { readonly kind: 'pattern'; readonly pattern: string };
}

const CANARY: AnnotationSpec = {
  name: 'canary',
  nginx: 'canary',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether this Ingress is a canary: for each of its paths it takes a share of the requests that the main Ingress, another ' +
    'one of the same namespace, has for the same host and path. A canary never serves alone, whatever its age. Of several ' +
    'canaries of one path the oldest counts. Its `spec.tls` and its other annotations do not count, only how it balances ' +
    'requests among its own Pods. While its Service has no endpoint, the main Ingress gets its share.',
  difference: 'a canary takes requests of its own namespace only.',
};

const WEIGHT: AnnotationSpec = {
  name: 'canary-weight',
  nginx: 'canary-weight',
  values: 'a whole number',
  default: '0',
  scope: 'path',
  about:
    'Of `canary-weight-total` requests that no header field and no cookie decides, how many the canary takes. Each request ' +
    'is drawn by itself.',
};

const TOTAL: AnnotationSpec = {
  name: 'canary-weight-total',
  nginx: 'canary-weight-total',
  values: 'a whole number above 0',
  default: '100',
  scope: 'path',
  about:
    'What `canary-weight` is a share of. Under the name of ingress-nginx, a number below 100 counts as 100.',
};

const HEADER: AnnotationSpec = {
  name: 'canary-by-header',
  nginx: 'canary-by-header',
  values: 'the name of a header field',
  default: 'none',
  scope: 'path',
  about:
    'A request in which this field says `always` goes to the canary, one in which it says `never` to the main Ingress. With ' +
    '`canary-by-header-value` or `canary-by-header-pattern`, one that matches goes to the canary. All others are decided by ' +
    'the cookie, then by the weight.',
};

const HEADER_VALUE: AnnotationSpec = {
  name: 'canary-by-header-value',
  nginx: 'canary-by-header-value',
  values: 'text',
  default: 'none',
  scope: 'path',
  about: 'The value of `canary-by-header` that goes to the canary, instead of `always` and `never`.',
};

const HEADER_PATTERN: AnnotationSpec = {
  name: 'canary-by-header-pattern',
  nginx: 'canary-by-header-pattern',
  values: 'a regular expression in the syntax of RE2',
  default: 'none',
  scope: 'path',
  about:
    'The same as a regular expression, which may match anywhere in the value; write `^…$` for all of it. Of no effect ' +
    'beside `canary-by-header-value`. It may have 512 characters, and matches no value longer than 1,024.',
  difference: 'look-around and back references are not valid.',
};

const COOKIE: AnnotationSpec = {
  name: 'canary-by-cookie',
  nginx: 'canary-by-cookie',
  values: 'the name of a cookie',
  default: 'none',
  scope: 'path',
  about:
    'A request in which this cookie is `always` goes to the canary, one in which it is `never` to the main Ingress.',
};

const RULES = [WEIGHT, TOTAL, HEADER, HEADER_VALUE, HEADER_PATTERN, COOKIE];

export const canary = definePolicy({
  name: 'canary',
  phase: 'upstream',
  summary:
    'An Ingress that takes a share of the requests of another one, as argo-rollouts and flagger write it. A header field ' +
    'decides before a cookie, and a cookie before the weight.',
  annotations: [CANARY, ...RULES],
  whenInvalid: 'default',
  ofIngressesOnly: true,
  ofCanaries: true,

  parse(read): CanaryConfig | null {
    if (read.bool(CANARY) !== true) {
      const rule = RULES.find((spec) => read.has(spec));
      if (rule && !read.isInvalid) {
        const message = `This counts only beside ${read.nameOf(CANARY)}: "true"; the Ingress is served as an ordinary one.`;
        read.warn('CanaryNotEnabled', rule, message);
      }
      return null;
    }
    const written = read.wholeNumber(TOTAL, 1, MOST) ?? 100;
    const total = read.isOurs(TOTAL) ? written : Math.max(written, 100);
    const weight = Math.min(read.wholeNumber(WEIGHT, 0, MOST) ?? 0, total);
    return { header: readHeader(read), cookie: readName(read, COOKIE), weight, total };
  },

  describe(config) {
    const conditions = describeConditions(config);
    return `${conditions}${conditions === '' ? '' : ', then '}${config.weight} of ${config.total}`;
  },
});

const MOST = 1_000_000_000;
/** Names of header fields (RFC 9110 5.1) and of cookies (RFC 6265 4.1.1) are tokens. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i;
/** RFC 9110 5.5: visible characters of ASCII, with blanks between them. */
const VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]{0,1022}[\x21-\x7e])?$/;

/** Null where no header field decides. */
function readHeader(read: AnnotationReader): CanaryHeader | null {
  const name = readName(read, HEADER)?.toLowerCase() ?? null;
  if (name === null) {
    const spec = [HEADER_VALUE, HEADER_PATTERN].find((each) => read.has(each));
    if (spec) read.warn('CanaryNotEnabled', spec, `This counts only beside ${read.nameOf(HEADER)}.`);
    return null;
  }
  const value = read.text(HEADER_VALUE) ?? '';
  if (value !== '') {
    if (VALUE.test(value)) return { name, takes: { kind: 'value', value } };
    read.invalid(HEADER_VALUE, 'cannot be the value of a header field', 'write what clients send');
    return null;
  }
  const pattern = read.text(HEADER_PATTERN) ?? '';
  if (pattern === '') return { name, takes: { kind: 'always' } };
  const fault = patternFault(pattern);
  if (fault === null) return { name, takes: { kind: 'pattern', pattern } };
  read.invalid(HEADER_PATTERN, fault, 'write one in the syntax of RE2');
  return null;
}

function readName(read: AnnotationReader, spec: AnnotationSpec): string | null {
  const name = read.text(spec)?.trim() ?? '';
  if (name === '' || TOKEN.test(name)) return name === '' ? null : name;
  read.invalid(spec, 'is not a name', 'use letters, digits and hyphens');
  return null;
}

/** `header x-canary, then cookie canary`; empty for none. */
export function describeConditions({ header, cookie }: Pick<CanaryConfig, 'header' | 'cookie'>): string {
  const conditions = [
    ...(header === null ? [] : [describeHeader(header)]),
    ...(cookie === null ? [] : [`cookie ${cookie}`]),
  ];
  return conditions.join(', then ');
}

function describeHeader({ name, takes }: CanaryHeader): string {
  switch (takes.kind) {
    case 'always':
      return `header ${name}`;
    case 'value':
      return `header ${name}: ${takes.value}`;
    case 'pattern':
      return `header ${name} like ${takes.pattern}`;
    default:
      return takes satisfies never;
  }
}
