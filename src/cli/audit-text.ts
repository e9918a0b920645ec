import { plural } from '../model/plural.ts';
import { VERDICTS, type Judgement, type KeyVerdict } from '../policies/ingress-nginx/verdict.ts';
import type { Audit } from '../routing/ingress/ingress-audit.ts';

/** Control characters, which could speak to a terminal, and line breaks of a value. */
const CONTROL_CHARACTERS = /[\p{Cc}\u2028\u2029]/gu;

/** What is judged, and where it stands: `Ingress shop/web`. */
export interface AuditedItem extends Judgement {
  readonly where: string;
  readonly name: string;
}

/** What concerns all hosts, then the annotations of each Ingress; each worst first. */
export function itemsOf({ configMap, options, flags, annotations }: Audit): readonly AuditedItem[] {
  return [
    ...options.map((option) => ({ ...option, where: `ConfigMap ${configMap}` })),
    ...flags.map((flag) => ({ ...flag, where: 'flag' })),
    ...annotations.map((annotation) => ({ ...annotation, where: `Ingress ${annotation.ingress}` })),
  ];
}

/** A line for each, and the totals. */
export function auditText(audit: Audit): string {
  const lines = itemsOf(audit).map((each) => {
    const { verdict, risk, where, name, reason } = each;
    return `${verdict} (${risk} risk): ${where} ${name}: ${reason}${insteadText(each)}`;
  });
  return [...lines, ...summary(audit), '']
    .map((line) => line.replace(CONTROL_CHARACTERS, '\uFFFD'))
    .join('\n');
}

/** The same as a table for an issue or a wiki. */
export function auditMarkdown(audit: Audit): string {
  const rows = itemsOf(audit).map(({ verdict, risk, where, name, reason, instead }) =>
    [verdict, risk, where, name, reason, instead.join(', ')].map(cell).join(' | '),
  );
  return [
    '# From ingress-nginx to Portico',
    '',
    ...summary(audit).map((line) => `- ${line}`),
    '',
    '| Verdict | Risk | Where | What | Why | Instead |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
  ].join('\n');
}

/** The totals in a few lines; what there is none of is left out. */
export function summary(audit: Audit): readonly string[] {
  const { ingresses, unannotated, totals, ingressesByVerdict, configMap } = audit;
  const annotations = `${plural(ingresses, 'Ingress', 'Ingresses')}, ${unannotated} without annotations of ingress-nginx`;
  return [
    `${annotations}; ${counted(totals) || 'no annotations'}`,
    ...(ingresses > unannotated ? [`Ingresses by their worst verdict: ${counted(ingressesByVerdict)}`] : []),
    ...(configMap === null
      ? ['The ConfigMap of ingress-nginx was not looked at: name it with --ingress-nginx-configmap']
      : []),
  ];
}

function counted(counts: Readonly<Record<KeyVerdict, number>>): string {
  return VERDICTS.filter((verdict) => counts[verdict] > 0)
    .map((verdict) => `${counts[verdict]} ${verdict}`)
    .join(', ');
}

function insteadText({ instead }: Judgement): string {
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
