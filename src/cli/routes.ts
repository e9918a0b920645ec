import type { BackendShare, Page, RouteRow, SourceReference } from '../admin/api/answers.ts';
import type { AdminClient } from './admin-client.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { LiveOutput } from './live-output.ts';
import { textColumns } from './text-columns.ts';
import { allPages } from './all-pages.ts';

/** `portico routes`: what a running Portico serves. */
export async function runRoutes(
  client: AdminClient,
  filter: string,
  output: LiveOutput,
  write: (text: string) => void,
): Promise<number> {
  const query = filter === '' ? '' : `&filter=${encodeURIComponent(filter)}`;
  const page = await allPages((range) => client.get<Page<RouteRow>>(`routes?${range}${query}`));
  if (output === 'json') {
    write(`${JSON.stringify(page, null, 2)}\n`);
    return EXIT.ok;
  }
  const wide = output === 'wide';
  const heads = ['HOST', 'PATH', 'TYPE', 'OBJECT', 'BACKENDS', ...(wide ? ['FIELD', 'POLICIES'] : [])];
  const rows = page.items.map((row) => [
    row.host || '*',
    row.path || '(default)',
    [row.pathType, ...row.matches].join(', '),
    objectText(row.source),
    row.backends.map(backendText).join(', '),
    ...(wide ? [row.source.field, policiesText(row)] : []),
  ]);
  write(`${textColumns(heads, rows).join('\n')}\n`);
  return EXIT.ok;
}

function objectText({ kind, namespace, name }: SourceReference): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

function backendText({ key, share, canary, endpoints, unavailable }: BackendShare): string {
  const part = share === 1 ? '' : ` ${Math.round(share * 1000) / 10} %`;
  const state = unavailable ?? `${endpoints}`;
  return `${key}${part}${canary === undefined ? '' : ' canary'} (${state})`;
}

function policiesText({ policies, closed }: RouteRow): string {
  return [...policies, ...closed.map((name) => `${name} (closed)`)].join(', ');
}
