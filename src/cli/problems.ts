import type { ProblemPage, ProblemRow } from '../admin/api/answers.ts';
import type { AdminClient } from './admin-client.ts';
import { allPages } from './all-pages.ts';
import { EXIT } from '../config/exit-codes.ts';
import { plural } from '../model/plural.ts';
import { printable } from '../http/log-text.ts';
import type { LiveOutput } from './live-output.ts';
import { textColumns } from './text-columns.ts';

export interface ProblemsWanted {
  readonly filter: string;
  /** Empty for all. */
  readonly namespace: string;
  readonly severity: string;
  readonly conflicts: boolean;
}

/** `portico problems`: what is wrong with the objects that a running Portico serves. */
export async function runProblems(
  client: AdminClient,
  wanted: ProblemsWanted,
  output: LiveOutput,
  write: (text: string) => void,
): Promise<number> {
  const query = new URLSearchParams();
  for (const name of ['filter', 'namespace', 'severity'] as const) {
    if (wanted[name] !== '') query.set(name, wanted[name]);
  }
  if (wanted.conflicts) query.set('conflicts', 'true');
  const page = await allPages<ProblemRow, ProblemPage>((range) =>
    client.get<ProblemPage>(`problems?${range}&${query.toString()}`),
  );
  if (output === 'json') write(`${JSON.stringify(page, null, 2)}\n`);
  else if (output === 'wide') write(`${wideLines(page.items).join('\n')}\n`);
  else write(`${[...page.items.map(lineOf), plural(page.total, 'problem')].join('\n')}\n`);
  return EXIT.ok;
}

function lineOf({ severity, code, object, field, message, place }: ProblemRow): string {
  const where = place === null ? '' : `${place}: `;
  const subject = [objectText(object), field].filter(Boolean).join(' ');
  return printable(`${severity}: ${where}${subject}: ${message} (${code})`);
}

function wideLines(problems: readonly ProblemRow[]): readonly string[] {
  return textColumns(
    ['SEVERITY', 'CODE', 'OBJECT', 'FIELD', 'PLACE', 'MESSAGE'],
    problems.map(({ severity, code, object, field, place, message }) => [
      severity,
      code,
      objectText(object),
      field,
      place ?? '',
      message,
    ]),
  );
}

function objectText({ kind, namespace, name }: ProblemRow['object']): string {
  return kind === 'File' ? name : `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}
