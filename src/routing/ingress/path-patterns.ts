import { compileRegex, literalPrefix } from '../../http/regex/regex-program.ts';
import { parseRegex } from '../../http/regex/syntax.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import { asArray, asObject, asString, quote } from '../../model/untyped.ts';
import type { PathPattern, PathType } from '../table.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';

/** Which paths of an Ingress are regular expressions; see `PathRegexConfig`. */
export type PatternsOf = 'ingress' | 'host';

/** What the annotations of an Ingress with these rules ask for; null for no regular expressions. */
export function patternsOf(policies: PolicySet | null, rules: unknown): PatternsOf | null {
  const configs = policies?.configs;
  if (configs === undefined) return null;
  const ofHost = configs.rewrite?.ofHost ?? null;
  if (ofHost !== null && pathsOf(rules).some((path) => path !== ofHost.unlessPath)) return 'host';
  return configs['path-regex']?.of ?? null;
}

function pathsOf(rules: unknown): readonly string[] {
  return asArray(rules).flatMap((rule) =>
    asArray(asObject(asObject(rule)['http'])['paths']).flatMap(
      (path) => asString(asObject(path)['path']) ?? '/',
    ),
  );
}

export type PatternReading =
  | { readonly kind: 'pattern'; readonly pattern: PathPattern }
  /** The path is matched as it is written. */
  | { readonly kind: 'plain' }
  /** It is not served. */
  | { readonly kind: 'fault'; readonly code: string; readonly message: string };

export const PLAIN: PatternReading = { kind: 'plain' };
/** What ingress-nginx takes for a path that is none (`strict-validate-path-type`). */
const STRICT = /^\/[\w.\-/]*$/;

/**
 * The regular expression that a path of an Ingress stands for, where the Ingress asks for them. `allowsAnyType`: those of
 * type Exact and Prefix may be written as one, too.
 */
export function readPattern(
  path: string,
  pathType: PathType,
  of: PatternsOf,
  allowsAnyType = false,
): PatternReading {
  if (pathType === 'ImplementationSpecific') return pathPattern(path, of === 'host');
  if (of === 'ingress') return PLAIN;
  if (allowsAnyType) return pathPattern(path, true);
  if (STRICT.test(path)) return plainPattern(path);
  const message = `Where use-regex or rewrite-target is set, a path of type ${pathType} may have only letters, digits and "._-/"; ${quote(path)} has other characters and is not served: if it is a regular expression, use type ImplementationSpecific.`;
  return { kind: 'fault', code: 'PathTypeNotRegex', message };
}

/** The same for a path of another Ingress of the namespace on the host, which did not ask. */
export function readSiblingPattern(path: string, pathType: PathType): PatternReading {
  return pathType === 'ImplementationSpecific' ? pathPattern(path, true) : plainPattern(path);
}

/** An expression that matches exactly what is written, without regard to case. */
function plainPattern(path: string): PatternReading {
  return pathPattern(
    path.replaceAll(/[^\w/-]/g, (char) => (char > '\x7f' ? char : `\\${char}`)),
    true,
  );
}

function pathPattern(path: string, ignoreCase: boolean): PatternReading {
  // Requests have such characters encoded.
  const text = path.toWellFormed().replaceAll(/[^\x21-\x7e]+/g, encodeURIComponent) || '/';
  const fault = (code: string, why: string, advice: string): PatternReading => {
    return { kind: 'fault', code, message: `The path ${quote(path)} ${why}; it is not served: ${advice}.` };
  };
  const { pathLength, patternSize } = TENANT_LIMITS;
  if (text.length > pathLength)
    return fault('PathTooLong', `has more than ${pathLength} characters`, 'shorten it');
  const regex = parseRegex(text, ignoreCase);
  if (regex.kind === 'invalid') {
    const advice = 'write a regular expression in the syntax of RE2';
    return fault('PathRegexInvalid', regex.why, advice);
  }
  const program = compileRegex([regex], patternSize);
  if (program === null) {
    const why = `needs more than ${patternSize} instructions as a regular expression`;
    return fault('PathRegexTooLarge', why, 'use smaller counts in braces, or several paths');
  }
  const size = program.ops.length;
  return { kind: 'pattern', pattern: { text, ignoreCase, literal: literalPrefix(regex), size } };
}
