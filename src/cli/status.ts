import type { Overview, ThreadRow, WatchRow } from '../admin/api/answers.ts';
import type { AdminClient } from './admin-client.ts';
import { EXIT } from '../config/exit-codes.ts';
import { plural } from '../model/plural.ts';
import { printable } from '../http/log-text.ts';
import type { LiveOutput } from './live-output.ts';
import { textColumns } from './text-columns.ts';

/** `portico status`: how a running Portico is. Ends with 1 when it is not ready. */
export async function runStatus(
  client: AdminClient,
  output: LiveOutput,
  write: (text: string) => void,
): Promise<number> {
  const overview = await client.get<Overview>('overview');
  const code = overview.ready ? EXIT.ok : EXIT.failure;
  if (output === 'text') {
    write(`${overviewLines(overview).join('\n')}\n`);
    return code;
  }
  const [threads, watches] = [
    await client.get<{ items: readonly ThreadRow[] }>('threads'),
    await client.get<{ items: readonly WatchRow[] }>('watches'),
  ];
  if (output === 'json') {
    write(`${JSON.stringify({ ...overview, threads: threads.items, watches: watches.items }, null, 2)}\n`);
    return code;
  }
  const lines = [
    ...overviewLines(overview),
    '',
    ...textColumns(
      ['THREAD', 'GENERATION', 'BUSY', 'MEMORY', 'IN FLIGHT', 'CLIENTS', 'UPSTREAMS'],
      threads.items.map((each) => [
        each.thread,
        each.generation,
        each.utilization === null ? 'no answer' : `${Math.round(each.utilization * 100)} %`,
        each.memoryBytes === null ? '' : `${Math.round(each.memoryBytes / 2 ** 20)} MiB`,
        each.inFlight ?? '',
        each.clientConnections ?? '',
        each.upstreamConnections ?? '',
      ]),
    ),
    '',
    ...textColumns(
      ['WATCH', 'OBJECTS', 'STATE', 'LAST EVENT', 'ERRORS', 'LAST ERROR'],
      watches.items.map(({ kind, objects, synced, connected, lastEventAt, errors, lastError }) => [
        kind,
        objects,
        connected ? 'connected' : synced ? 'stale' : 'not listed yet',
        lastEventAt ?? '',
        errors,
        lastError ?? '',
      ]),
    ),
  ];
  write(`${lines.join('\n')}\n`);
  return code;
}

function overviewLines(overview: Overview): readonly string[] {
  const { version, pod, startedAt, checks, generation, problems, conflicts, firstExpiry } = overview;
  const failing = checks.filter(({ ok }) => !ok);
  const lost = conflicts === 0 ? '' : `; ${plural(conflicts, 'conflict')}`;
  return [
    `Portico ${version}${pod === '' ? '' : ` in Pod ${pod}`}, started ${startedAt}`,
    failing.length === 0 ? 'ready' : 'not ready:',
    ...failing.map(({ name, detail }) => `  ${name}: ${printable(detail)}`),
    `table generation ${generation}: ${plural(overview.routes, 'route')} on ${plural(overview.hosts, 'host')}, ${plural(overview.backends, 'backend')}`,
    `problems: ${plural(problems.error, 'error')}, ${plural(problems.warning, 'warning')}, ${plural(problems.info, 'note')}${lost}`,
    ...(overview.lastResort === 0
      ? []
      : [
          `${plural(overview.lastResort, 'backend')} without a ready endpoint, served by those that were ready`,
        ]),
    ...(firstExpiry === null
      ? []
      : [
          `first certificate to expire: ${firstExpiry.host || 'the default'} (Secret ${firstExpiry.secret}) on ${firstExpiry.notAfter}`,
        ]),
  ];
}
