import type { Audit } from '../routing/ingress/audit.ts';
import { summary } from './audit-text.ts';

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .4rem .6rem; text-align: left; vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; }
code { font-size: .9em; overflow-wrap: anywhere; }
.refused { border-left: .4rem solid #d33; }
.not-yet { border-left: .4rem solid #d90; }
.reported-difference { border-left: .4rem solid #38c; }
.no-effect, .same { border-left: .4rem solid #393; }
`;

/** One page that needs nothing else: no script, no font, no picture. Everything from objects is escaped. */
export function auditHtml(audit: Audit): string {
  const rows = audit.annotations.map(({ verdict, risk, ingress, name, reason, instead }) => {
    const cells = [
      verdict,
      risk,
      escaped(ingress),
      `<code>${escaped(name)}</code>`,
      escaped(reason),
      instead.map((each) => `<code>${escaped(each)}</code>`).join('<br>'),
    ];
    const row = cells.map((each) => `<td>${each}</td>`).join('');
    return `<tr class="${verdict.replaceAll(' ', '-')}">${row}</tr>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Annotations of ingress-nginx</title>
<style>${STYLE}</style>
</head>
<body>
<h1>What becomes of the annotations of ingress-nginx</h1>
<p>${escaped(summary(audit))}. What a person must look at comes first.</p>
<table>
<thead><tr><th>Verdict</th><th>Risk</th><th>Ingress</th><th>Annotation</th><th>Why</th><th>Instead</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</body>
</html>
`;
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
