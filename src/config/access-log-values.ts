import {
  closestVariable,
  INGRESS_NGINX_FORMAT,
  type LogTemplate,
  readLogTemplate,
} from '../http/log-template.ts';
import { patternFault } from '../http/pattern.ts';
import type { StatusRange } from '../proxy/access-log/log-filter.ts';
import type { Parse } from './flag-values.ts';

const FORMATS = ['auto', 'off', 'json', 'text'] as const;

/** `escape=json {"status":$status}`, as `log_format` of nginx has it. */
const ESCAPED = /^escape=(default|json|none) +(.*)$/s;

export const accessLogFormat: Parse<(typeof FORMATS)[number] | LogTemplate> = (given) => {
  const format = FORMATS.find((each) => each === given);
  if (format !== undefined) return { value: format };
  if (given !== 'ingress-nginx' && !given.includes('$')) {
    return {
      error: `'${given}' is not valid; use ${FORMATS.join(', ')}, ingress-nginx or a template such as '$remote_addr "$request" $status'`,
    };
  }
  const [, escape, rest] = ESCAPED.exec(given) ?? [];
  const text = given === 'ingress-nginx' ? INGRESS_NGINX_FORMAT : (rest ?? given);
  const read = readLogTemplate(text, (escape ?? 'default') as LogTemplate['escape']);
  if (read === null) return { error: 'the template is too long: at most 8192 characters and 256 parts' };
  const [unknown] = read.unknown;
  if (unknown === undefined) return { value: read.template };
  const closest = closestVariable(unknown);
  const hint = closest === null ? 'docs/reference/access-log.md lists them' : `did you mean ${closest}?`;
  return { error: `the template has '${unknown}', which is not a variable; ${hint}` };
};

export const statusRange: Parse<StatusRange> = (given) => {
  const [, first, last] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(given) ?? [];
  const [, digit] = /^([1-5])xx$/i.exec(given) ?? [];
  if (digit !== undefined) return { value: [Number(digit) * 100, Number(digit) * 100 + 99] };
  const range = [Number(first), Number(last ?? first)] as const;
  if (range[0] <= range[1]) return { value: range };
  return { error: `'${given}' is not a status; write one such as 404, a class such as 5xx, or 500-504` };
};

export const shareOfOne: Parse<number> = (given) => {
  const value = Number(given);
  if (/^\d?(?:\.\d{1,6})?$/.test(given) && given !== '' && value <= 1) return { value };
  return { error: `'${given}' is not a share; give a number from 0 to 1, such as 0.01` };
};

export const skippedPath: Parse<string> = (given) => {
  if (given.startsWith('/')) return { value: given };
  if (!given.startsWith('~'))
    return { error: `'${given}' is not a path; begin it with /, or with ~ a regular expression` };
  const fault = patternFault(given.slice(1));
  return fault === null ? { value: given } : { error: `'${given}' ${fault}` };
};

export const parameterName: Parse<string> = (given) =>
  /^\*?[\w.~-]{1,100}$/.test(given)
    ? { value: given }
    : {
        error: `'${given}' is not the name of a parameter; write one such as token, or *token for any beginning`,
      };
