import { normalizePath, normalizeRulePath } from '../http/path.ts';
import { asObject, asString, isAbsent, quote } from '../model/untyped.ts';
import type { FilterReader } from './filter-reader.ts';
import type { MatchedRule } from '../http/request-view.ts';

/** What becomes of the path of a request. */
export type PathChange =
  /** In place of the part of the path that the rule takes. */
  | { readonly kind: 'prefix'; readonly prefix: string }
  /** In place of the whole path. */
  | { readonly kind: 'whole'; readonly path: string };

/** The path after a change; null where no rule takes the request by its path. */
export function changedPath(change: PathChange, rule: MatchedRule | null): string | null {
  if (change.kind === 'whole') return change.path;
  const taken = rule === null || rule.isPattern ? null : normalizeRulePath(rule.path);
  if (rule === null || taken === null) return null;
  const base = change.prefix.replace(/\/$/, '');
  const rest = rule.requestPath.slice(taken.endsWith('/') ? taken.length - 1 : taken.length);
  return rest === '' && base !== '' ? base : `${base}/${rest.replace(/^\//, '')}`;
}

export function describePathChange(change: PathChange): string {
  return change.kind === 'whole' ? `path to ${change.path}` : `prefix to ${change.prefix}`;
}

const MAX_PATH = 1_024;

/** What `path` of a filter asks for; null for nothing. */
export function readPathChange(of: unknown, read: FilterReader): PathChange | null {
  if (isAbsent(of)) return null;
  const written = asObject(of);
  switch (written['type']) {
    case 'ReplaceFullPath':
      return { kind: 'whole', path: readPath(written['replaceFullPath'], read) };
    case 'ReplacePrefixMatch':
      if (read.prefix === null)
        return read.fail(
          'replaces a prefix, and the rule has not just one path of type PathPrefix',
          'use ReplaceFullPath',
        );
      return { kind: 'prefix', prefix: readPath(written['replacePrefixMatch'], read) };
    default:
      return read.fail(
        `changes the path by ${quote(written['type'])}`,
        'use ReplaceFullPath or ReplacePrefixMatch',
      );
  }
}

/** In the form in which paths are compared: no dot segments, and everything encoded that has to be. */
function readPath(written: unknown, read: FilterReader): string {
  const path = asString(written) ?? '';
  if (path === '') return '/';
  const normal =
    path.length <= MAX_PATH && /^\/[^?#]*$/.test(path)
      ? normalizePath(Buffer.from(path).toString('latin1'))
      : null;
  return normal ?? read.fail(`has the path ${quote(path)}`, 'write an absolute path without query');
}
