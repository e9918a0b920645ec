import type { Problem, ObjectReference } from '../../model/problem.ts';
import { problem } from '../../model/problem.ts';
import { quote } from '../../model/untyped.ts';
import type { PathType } from '../table.ts';

/** What people write in regular expressions, and hardly in the paths of pages; a star as a whole segment, too. */
const PATTERN = /\.[*+]|\(\?|\(\.|\([^()|]*\||\[\^|\[[a-z0-9]-[a-z0-9]|\\[dwsb./]|\$$|^\/?\^|\/\*(?:\/|$)/i;

/**
 * What to say of a path that looks like a pattern and is matched as it is written. Nothing turns `Exact` into a pattern,
 * so there it is an error.
 */
export function patternPathProblem(
  path: string,
  pathType: PathType,
  object: ObjectReference,
  field: string,
): Problem | null {
  const at = PATTERN.exec(path)?.index;
  if (at === undefined) return null;
  const literal = path.slice(0, at);
  const isWhole = /^\(?\//.test(path.slice(at));
  const prefix = (isWhole ? literal : literal.slice(0, literal.lastIndexOf('/'))) || '/';
  const advice = pathType === 'ImplementationSpecific' ? 'set portico.dev/path-regex: "true", or ' : '';
  const message = `${quote(path)} is matched as it is written and not as a pattern, so hardly any request has this path; ${advice}write ${quote(prefix)} with pathType Prefix.`;
  return problem(pathType === 'Exact' ? 'error' : 'warning', 'PathLooksLikePattern', object, field, message);
}
