import { VERDICTS, type KeyVerdict } from '../policies/ingress-nginx/verdict.ts';
import type { Audit } from '../routing/ingress/ingress-audit.ts';
import { type AuditedItem, itemsOf, summary } from './audit-text.ts';

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
ul.counts { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; padding: 0; }
:where(.counts) li { border: 1px solid #8884; border-radius: .4rem; min-width: 9rem; padding: .5rem .9rem; }
ul.counts b { display: block; font-size: 1.6rem; line-height: 1.2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .4rem .6rem; text-align: left; vertical-align: top; }
th { background: Canvas; }
td.name { min-width: 10rem; overflow-wrap: anywhere; }
td.why { min-width: 18rem; overflow-wrap: anywhere; }
td.verdict, td.number { white-space: nowrap; }
td.number { text-align: right; }
code { font-size: .9em; overflow-wrap: anywhere; }
.refused { border-left: .4rem solid #d33; }
.reported-difference { border-left: .4rem solid #38c; }
.no-effect { border-left: .4rem solid #888; }
.same { border-left: .4rem solid #393; }
`;

const MEANING: Readonly<Record<KeyVerdict, string>> = {
  refused: 'It restricts access and cannot be honoured: every path of the Ingress answers 503.',
  'reported difference': 'It works, but not exactly as in ingress-nginx.',
  'no effect': 'It does nothing here, and an Ingress does not need it.',
  same: 'It works as in ingress-nginx.',
};

/** One page that needs nothing else: no script, no font, no picture. Everything from objects is escaped. */
export function auditHtml(audit: Audit): string {
  const items = itemsOf(audit);
  const ofAllHosts = items.filter(({ where }) => !where.startsWith('Ingress '));
  const ofIngresses = items.slice(ofAllHosts.length);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>From ingress-nginx to Portico</title>
<style>${STYLE}</style>
</head>
<body>
<h1>From ingress-nginx to Portico</h1>
${summary(audit)
  .map((line) => `<p>${escaped(line)}.</p>`)
  .join('\n')}
<h2>Ingresses by their worst verdict</h2>
<ul class="counts">
${VERDICTS.map((verdict) => `<li class="${classOf(verdict)}"><b>${audit.ingressesByVerdict[verdict]}</b>${verdict}</li>`).join('\n')}
</ul>
<ul>
${VERDICTS.map((verdict) => `<li><b>${verdict}</b>: ${MEANING[verdict]}</li>`).join('\n')}
</ul>
${ofAllHosts.length === 0 ? '' : `<h2>For all hosts</h2>\n${table(['Verdict', 'Risk', 'Where', 'What', 'Why', 'Instead'], ofAllHosts.map(itemRow))}`}
<h2>Annotations, worst first</h2>
${table(['Verdict', 'Risk', 'Annotation', 'Ingresses', 'Why'], overviewRows(ofIngresses))}
<h2>Every annotation of every Ingress, worst first</h2>
${table(['Verdict', 'Risk', 'Where', 'What', 'Why', 'Instead'], ofIngresses.map(itemRow))}
</body>
</html>
`;
}

function table(headings: readonly string[], rows: readonly string[]): string {
  const head = headings.map((heading) => `<th>${heading}</th>`).join('');
  return `<div class="scroll"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${rows.join('\n')}\n</tbody>\n</table></div>`;
}

function itemRow({ verdict, risk, where, name, reason, instead }: AuditedItem): string {
  const replacements = instead.map((each) => `<code>${escaped(each)}</code>`).join('<br>');
  return row(verdict, [
    `<td class="verdict">${verdict}</td><td>${risk}</td>`,
    `<td class="name">${escaped(where)}</td><td class="name"><code>${escaped(name)}</code></td>`,
    `<td class="why">${escaped(reason)}</td><td class="name">${replacements}</td>`,
  ]);
}

/** One for each annotation and verdict, with the reason of the first. */
function overviewRows(items: readonly AuditedItem[]): readonly string[] {
  const groups = Map.groupBy(items, ({ verdict, name }) => `${verdict} ${name}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { verdict, risk, name, reason } = first;
    return row(verdict, [
      `<td class="verdict">${verdict}</td><td>${risk}</td><td class="name"><code>${escaped(name)}</code></td>`,
      `<td class="number">${group.length}</td><td class="why">${escaped(reason)}</td>`,
    ]);
  });
}

function row(verdict: KeyVerdict, cells: readonly string[]): string {
  return `<tr class="${classOf(verdict)}">${cells.join('')}</tr>`;
}

function classOf(verdict: KeyVerdict): string {
  return verdict.replaceAll(' ', '-');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => ESCAPES[char] ?? char);
}
