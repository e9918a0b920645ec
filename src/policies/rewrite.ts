import { isDeepStrictEqual } from 'node:util';
import { redirectTo } from '../http/local-response.ts';
import { normalizePath, originForm } from '../http/path.ts';
import type { MatchedRule, RequestView } from '../http/request-view.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { type PathChange, changedPath, describePathChange, readPathChange } from './path-change.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';
import { type FormContext, type StandardForm, redirectForm } from './standard-form.ts';
import type { UntypedObject } from '../model/untyped.ts';

export interface RewriteConfig {
  readonly rewrite: Rewrite;
  /**
   * As ingress-nginx does it: every path of the namespace on the hosts of the Ingress is a regular expression, and a path that
   * equals the target is not rewritten. Null for the rewrites of Portico. Read by the routing, too.
   */
  readonly ofHost: { readonly unlessPath: string } | null;
  /** With `$1` to `$9`; null sends none. */
  readonly forwardedPrefix: string | null;
}

export type Rewrite =
  | PathChange
  /** In place of the whole path, with `$1` to `$9`. */
  | { readonly kind: 'path'; readonly target: string }
  /** The client is sent there, with `$1` to `$9`. */
  | { readonly kind: 'redirect'; readonly location: string };

/** With `$1` to `$9`. */
type Template = Extract<Rewrite, { kind: 'path' | 'redirect' }>;

const GROUPS = '`$1` to `$9` stand for what the groups of the regular expression took';

const REWRITE_TARGET: AnnotationSpec = {
  name: 'rewrite-target',
  values: 'an absolute path such as `/app/$1`',
  default: 'none',
  scope: 'path',
  about:
    `The path that Pods are asked for in place of the client's; ${GROUPS} (see \`path-regex\`). The query stays. It wins ` +
    'over `rewrite-prefix`.',
};

const REWRITE_PREFIX: AnnotationSpec = {
  name: 'rewrite-prefix',
  values: 'an absolute path such as `/`',
  default: 'none',
  scope: 'path',
  about:
    'What Pods are asked for in place of the part of the path that the rule takes: with `/api` and `rewrite-prefix: /` the ' +
    'request `/api/users?x` becomes `/users?x`. A path that is a regular expression stays as it is.',
};

const NGINX_TARGET: AnnotationSpec = {
  name: null,
  nginx: 'rewrite-target',
  values: 'a path such as `/$2`, or an http or https URL',
  default: 'none',
  scope: 'host',
  about:
    `The path that Pods are asked for in place of the client's; ${GROUPS}. The query stays. It makes every path that the ` +
    'namespace has on the hosts of this Ingress a regular expression, as `use-regex` does, unless it equals all paths of the ' +
    'Ingress: a path that equals it is not rewritten. A client is redirected to a URL, with 302.',
  difference:
    'paths of other namespaces on the same host stay what they are, a request gets 400 if the new path has dot segments, and ' +
    'other variables of nginx are not valid.',
};

const FORWARDED_PREFIX: AnnotationSpec = {
  name: 'forwarded-prefix',
  nginx: 'x-forwarded-prefix',
  values: 'a path such as `/app` or `/$1`',
  default: 'none',
  scope: 'path',
  about: `The field X-Forwarded-Prefix that Pods get with a path that is rewritten; ${GROUPS}.`,
};

const MAX_LENGTH = 1_024;
const MAX_REFERENCES = 16;
/** What may stand in a path (RFC 3986 3.3), and `$`. */
const PATH = /^\/[\w.~!$&'()*+,;=:@%/-]*$/;
const NGINX_PATH = /^\/?[-.~\w/:$]*$/;
const URL_TEXT = /^https?:\/\/[-.~\w/:$]+$/i;
/** Leads out of where a path is rewritten to. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
/** A `$` that stands for no group. */
const OTHER_VARIABLE = /\$(?![1-9])/;

export const rewrite = definePolicy({
  name: 'rewrite',
  phase: 'rewrite',
  summary: 'Changes the path that Pods are asked for.',
  annotations: [REWRITE_TARGET, REWRITE_PREFIX, NGINX_TARGET, FORWARDED_PREFIX],
  whenInvalid: 'default',

  parse(read): RewriteConfig | null {
    const forwardedPrefix = templateOf(read, FORWARDED_PREFIX, NGINX_PATH, 'write a path such as /app');
    const chosen = readTarget(read) ?? readPrefix(read);
    if (chosen !== null) return { rewrite: chosen, ofHost: null, forwardedPrefix };
    const asNginx = readNginxTarget(read);
    if (asNginx === null) return null;
    return { rewrite: asNginx, ofHost: { unlessPath: targetOf(asNginx) }, forwardedPrefix };
  },

  write({ rewrite: chosen, forwardedPrefix }) {
    const prefix = forwardedPrefix === null ? {} : { [ownNameOf(FORWARDED_PREFIX)]: forwardedPrefix };
    if (chosen.kind === 'prefix') return { [ownNameOf(REWRITE_PREFIX)]: chosen.prefix, ...prefix };
    if (chosen.kind !== 'path') return null;
    const target = chosen.target.startsWith('/') ? chosen.target : `/${chosen.target}`;
    return { [ownNameOf(REWRITE_TARGET)]: target, ...prefix };
  },

  differs: (config, written) => (isDeepStrictEqual(onlyRewrite(config), onlyRewrite(written)) ? [] : null),
  standardForm: rewriteForm,

  filters: ['URLRewrite'],

  fromFilter({ path }, read) {
    const change = readPathChange(path, read);
    return change && { rewrite: change, ofHost: null, forwardedPrefix: null };
  },

  bind({ rewrite: chosen, ofHost, forwardedPrefix }) {
    const rewritten = pathWriter(chosen);
    const prefix = forwardedPrefix === null ? null : filler(forwardedPrefix);
    return {
      onRequest(request, edit): Verdict {
        const { rule } = request;
        if (rule === null || request.target === '*') return CONTINUE;
        if (rule.path === ofHost?.unlessPath) return CONTINUE;
        const path = rewritten(rule);
        if (path === 'too-costly') return { kind: 'refuse', reason: 'path-too-costly' };
        if (path === null) return CONTINUE;
        const query = queryOf(request);
        if (chosen.kind === 'redirect') {
          return { kind: 'respond', response: redirectTo(302, `${path}${query}`) };
        }
        // Groups may put together what was apart in the path of the request.
        const normal = DOT_SEGMENT.test(path) ? null : normalizePath(path);
        if (normal === null) return { kind: 'refuse', reason: 'bad-target' };
        edit.target = `${normal}${query}`;
        const forwarded = prefix?.(rule) ?? null;
        if (forwarded !== null && forwarded !== 'too-costly') edit.set('X-Forwarded-Prefix', forwarded);
        return CONTINUE;
      },
    };
  },

  describe({ rewrite: chosen, forwardedPrefix }) {
    const forwarded = forwardedPrefix === null ? '' : `, X-Forwarded-Prefix ${forwardedPrefix}`;
    return `${describeRewrite(chosen)}${forwarded}`;
  },
});

function describeRewrite(chosen: Rewrite): string {
  switch (chosen.kind) {
    case 'prefix':
    case 'whole':
      return describePathChange(chosen);
    case 'path':
      return `path to ${chosen.target}`;
    case 'redirect':
      return `302 to ${chosen.location}`;
    default:
      return chosen satisfies never;
  }
}

function targetOf(chosen: Template): string {
  return chosen.kind === 'path' ? chosen.target : chosen.location;
}

function readTarget(read: AnnotationReader): Rewrite | null {
  const target = templateOf(read, REWRITE_TARGET, PATH, 'write an absolute path such as /app/$1');
  return target === null ? null : { kind: 'path', target };
}

function readPrefix(read: AnnotationReader): Rewrite | null {
  const prefix = read.text(REWRITE_PREFIX)?.trim();
  if (prefix === undefined) return null;
  const normal = prefix.length <= MAX_LENGTH && PATH.test(prefix) ? normalizePath(prefix) : null;
  if (normal !== null) return { kind: 'prefix', prefix: normal };
  read.invalid(REWRITE_PREFIX, 'is not a path', 'write an absolute path such as /');
  return null;
}

function readNginxTarget(read: AnnotationReader): Template | null {
  const isUrl = URL_TEXT.test(read.text(NGINX_TARGET)?.trim() ?? '');
  const advice = 'write a path such as /$1, without variables but $1 to $9';
  const target = templateOf(read, NGINX_TARGET, isUrl ? URL_TEXT : NGINX_PATH, advice);
  if (target === null || target === '') return null;
  return isUrl ? { kind: 'redirect', location: target } : { kind: 'path', target };
}

function templateOf(
  read: AnnotationReader,
  spec: AnnotationSpec,
  valid: RegExp,
  advice: string,
): string | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const references = written.length <= MAX_LENGTH ? written.split('$').length - 1 : 0;
  if (written.length > MAX_LENGTH || references > MAX_REFERENCES) {
    read.invalid(spec, 'is too long', `write at most ${MAX_LENGTH} characters and ${MAX_REFERENCES} groups`);
  } else if (!valid.test(written) || OTHER_VARIABLE.test(written) || DOT_SEGMENT.test(written)) {
    read.invalid(spec, 'is not valid', advice);
  } else return written;
  return null;
}

type PathWriter = (rule: MatchedRule) => string | 'too-costly' | null;

/** The new path, or the URL to redirect to; null leaves the path as it is. */
function pathWriter(chosen: Rewrite): PathWriter {
  if (chosen.kind === 'prefix' || chosen.kind === 'whole') return (rule) => changedPath(chosen, rule);
  const fill = filler(targetOf(chosen));
  if (chosen.kind === 'redirect') return fill;
  return (rule) => {
    const path = fill(rule);
    return path === null || path === 'too-costly' || path.startsWith('/') ? path : `/${path}`;
  };
}

/** Puts what the groups took in place of `$1` to `$9`; one that took no part, or is not there, is empty. */
function filler(template: string): PathWriter {
  const [first = '', ...others] = template.split('$');
  if (others.length === 0) return () => template;
  const parts = others.map((part) => ({ group: Number(part.charAt(0)), text: part.slice(1) }));
  return (rule) => {
    const groups = rule.groups();
    if (groups === 'too-costly') return groups;
    let filled = first;
    for (const { group, text } of parts) filled += `${groups?.[group] ?? ''}${text}`;
    return filled;
  };
}

function queryOf({ target }: RequestView): string {
  const origin = originForm(target);
  const question = origin.indexOf('?');
  return question < 0 ? '' : origin.slice(question);
}

/** What is done to the path of requests, without what is said of the paths of rules. */
function onlyRewrite({ rewrite: chosen, forwardedPrefix }: RewriteConfig): unknown {
  if (chosen.kind !== 'path' || chosen.target.startsWith('/')) return [chosen, forwardedPrefix];
  return [{ ...chosen, target: `/${chosen.target}` }, forwardedPrefix];
}

/** `/api(/|$)(.*)` with `/$2` replaces a prefix: by far the most common of expressions. */
const PREFIX_IDIOM = /^(?:\(\?i\))?((?:\/[\w-]+)+)\(\/\|\$\)\(\.\*\)$/;
const SECOND_GROUP = /^(\/(?:[\w\-.~/]*\/)?)?\$2$/;
const NOTHING: StandardForm = { filters: [] };

function rewriteForm(config: RewriteConfig, { path, isRestricted }: FormContext): StandardForm | null {
  const { rewrite: chosen, ofHost, forwardedPrefix } = config;
  if (path.type === 'default' || path.written === ofHost?.unlessPath) return NOTHING;
  const fields = forwardedPrefixFilters(forwardedPrefix);
  switch (chosen.kind) {
    case 'redirect':
      return chosen.location.includes('$') ? null : redirectForm(chosen.location, 302);
    case 'whole':
      return null;
    case 'prefix': {
      // A path that is a regular expression stays as it is.
      if (path.type === 'RegularExpression') return NOTHING;
      const base = chosen.prefix.replace(/\/$/, '');
      const change =
        path.type === 'Exact'
          ? { type: 'ReplaceFullPath', replaceFullPath: base === '' ? '/' : base }
          : { type: 'ReplacePrefixMatch', replacePrefixMatch: chosen.prefix };
      return fields && pathForm(change, fields);
    }
    case 'path': {
      if (fields === null) return null;
      const { target } = chosen;
      const prefix = path.type === 'RegularExpression' ? PREFIX_IDIOM.exec(path.value)?.[1] : undefined;
      const [found, base = '/'] = SECOND_GROUP.exec(target) ?? [];
      if (prefix !== undefined && found !== undefined && !isRestricted) {
        const change = { type: 'ReplacePrefixMatch', replacePrefixMatch: base };
        const ofCase = path.value.startsWith('(?i)')
          ? [`The path ${prefix} is matched with regard to case.`]
          : [];
        const ofSlash =
          base === '/'
            ? []
            : [`The path ${prefix} becomes ${base.slice(0, -1)}, without a slash at its end.`];
        return { ...pathForm(change, fields), prefix, differs: [...ofCase, ...ofSlash] };
      }
      const whole = target.startsWith('/') ? target : `/${target}`;
      const normal = target.includes('$') ? null : normalizePath(whole);
      if (normal === null) return null;
      return pathForm({ type: 'ReplaceFullPath', replaceFullPath: normal }, fields);
    }
    default:
      return chosen satisfies never;
  }
}

function pathForm(change: UntypedObject, others: StandardForm['filters']): StandardForm {
  return { filters: [{ type: 'URLRewrite', urlRewrite: { path: change } }, ...others] };
}

/** Null where it has groups. */
function forwardedPrefixFilters(value: string | null): StandardForm['filters'] | null {
  if (value === null || value === '') return [];
  if (value.includes('$')) return null;
  const set = [{ name: 'X-Forwarded-Prefix', value }];
  return [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set } }];
}
