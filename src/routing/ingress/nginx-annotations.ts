import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import { INGRESS_NGINX } from '../../policies/annotation-spec.ts';
import { CLOSED } from '../../policies/annotation-reader.ts';
import { isImplemented, isSnippet, judgeAnnotation } from '../../policies/ingress-nginx/verdict.ts';

/** Names that one message lists. */
const MAX_NAMES = 10;
/** Replacements that one message lists. */
const MAX_INSTEAD = 5;

/**
 * Reports the annotations of ingress-nginx that no policy implements, and says whether one of them closes the Ingress.
 * There is one problem for each verdict, as an Ingress may have many of them; a snippet has its own.
 */
export function judgeNginxAnnotations(
  annotations: UntypedObject,
  object: ObjectReference,
  problems: Problem[],
): 'close' | 'serve' {
  const refused: string[] = [];
  const different: string[] = [];
  const unneeded: string[] = [];
  let closes = false;
  // Also those that are not text: what cannot be read must not be taken for absent.
  for (const [fullName, value] of Object.entries(annotations)) {
    if (!fullName.startsWith(INGRESS_NGINX)) continue;
    const name = fullName.slice(INGRESS_NGINX.length);
    if (isImplemented(name)) continue;
    const { verdict, reason, instead } = judgeAnnotation(name, value);
    if (verdict === 'refused') closes = true;
    if (isSnippet(name)) {
      if (verdict === 'same' || verdict === 'no effect') continue;
      const [severity, code, consequence] =
        verdict === 'refused'
          ? (['error', 'SnippetRefused', ` ${capitalized(CLOSED)}.`] as const)
          : (['warning', 'SnippetIgnored', ''] as const);
      const message = `${reason}${consequence}${advice(instead)}`;
      problems.push(problem(severity, code, object, `metadata.annotations[${fullName}]`, message));
    } else if (verdict === 'refused') refused.push(fullName);
    else if (verdict === 'reported difference') different.push(fullName);
    else if (verdict === 'no effect') unneeded.push(fullName);
  }
  const report = (severity: 'error' | 'warning' | 'info', code: string, message: string): void => {
    problems.push(problem(severity, code, object, 'metadata.annotations', message));
  };
  if (refused.length > 0)
    report(
      'error',
      'AccessPolicyUnsupported',
      `Portico cannot enforce ${enumerate(refused)}, so every path of this Ingress answers 503; remove what may be open to all.`,
    );
  if (different.length > 0)
    report(
      'info',
      'AnnotationDiffers',
      `Portico does in its own way what ${enumerate(different)} asks for: \`portico audit\` says how.`,
    );
  if (unneeded.length > 0)
    report(
      'info',
      'AnnotationNoEffect',
      `Portico does not need ${enumerate(unneeded)}: requests are served the same without.`,
    );
  return closes ? 'close' : 'serve';
}

function advice(instead: readonly string[]): string {
  if (instead.length === 0) return '';
  const shown = instead.slice(0, MAX_INSTEAD).join(', ');
  const more = instead.length > MAX_INSTEAD ? ` and ${instead.length - MAX_INSTEAD} more` : '';
  return ` Write instead: ${shown}${more}.`;
}

function enumerate(names: readonly string[]): string {
  const shown = names.toSorted().slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
