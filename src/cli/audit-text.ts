import { plural } from '../model/plural.ts';
import { VERDICTS } from '../policies/ingress-nginx/verdict.ts';
import type { Audit, AuditedAnnotation } from '../routing/ingress/audit.ts';

/** Control characters, which could speak to a terminal, and line breaks of a value. */
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]/gu;

/** A line for each annotation, worst first, and the totals. */
export function auditText(audit: Audit): string {
  const lines = audit.annotations.map((each) => {
    const { verdict, risk, ingress, name, reason } = each;
    return `${verdict} (${risk} risk): Ingress ${ingress} ${name}: ${reason}${insteadText(each)}`;
  });
  return [...lines, summary(audit), ''].map((line) => line.replace(CONTROL_CHARACTERS, '\uFFFD')).join('\n');
}

/** The same as a table for an issue or a wiki. */
export function auditMarkdown(audit: Audit): string {
  const rows = audit.annotations.map((each) => {
    const { verdict, risk, ingress, name, reason, instead } = each;
    return [verdict, risk, ingress, `${name}`, reason, instead.join(', ')].map(cell).join(' | ');
  });
  return [
    '# What becomes of the annotations of ingress-nginx',
    '',
    summary(audit),
    '',
    '| Verdict | Risk | Ingress | Annotation | Why | Instead |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
  ].join('\n');
}

/** `3 Ingresses, 1 without annotations of ingress-nginx; 1 refused, 2 not yet`; what there is none of is left out. */
export function summary({ ingresses, unannotated, totals }: Audit): string {
  const counts = VERDICTS.filter((verdict) => totals[verdict] > 0).map(
    (verdict) => `${totals[verdict]} ${verdict}`,
  );
  const annotations = counts.length === 0 ? 'no annotations' : counts.join(', ');
  return `${plural(ingresses, 'Ingress', 'Ingresses')}, ${unannotated} without annotations of ingress-nginx; ${annotations}`;
}

function insteadText({ instead }: AuditedAnnotation): string {
  return instead.length === 0 ? '' : ` Write instead: ${instead.join(', ')}.`;
}

/** Text of others in a cell: neither a new column, nor HTML, nor a link. */
function cell(text: string): string {
  return text
    .replace(CONTROL_CHARACTERS, '\uFFFD')
    .replaceAll(/[\\|`*_[\]<>&!#~]/g, (char) =>
      char === '<' ? '&lt;' : char === '&' ? '&amp;' : `\\${char}`,
    );
}
