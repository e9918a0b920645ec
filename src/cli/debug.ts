import type { DebugRow } from '../admin/api/answers.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { AdminClient } from './admin-client.ts';
import { textColumns } from './text-columns.ts';

export interface DebugRequest {
  readonly action: 'on' | 'off' | 'list';
  /** Topics with commas between them, or the number of what is to be turned off; empty for all. */
  readonly what: string;
  readonly seconds: number;
  readonly host: string;
  readonly requests: string;
}

/** `portico debug`: has a running Portico tell in its log what happens to requests, for a while. */
export async function runDebug(
  client: AdminClient,
  { action, what, seconds, host, requests }: DebugRequest,
  write: (text: string) => void,
): Promise<number> {
  switch (action) {
    case 'on': {
      const query = new URLSearchParams({ topics: what, seconds: `${seconds}`, requests, host });
      const on = await client.send<DebugRow>('POST', `debug?${query.toString()}`);
      write(`debug ${on.id} is on until ${on.until}: ${on.topics.join(', ')} of ${requestsOf(on)}\n`);
      write(
        `see the log: its lines have "debug":${on.id} and the request id; portico debug off ${on.id} ends it\n`,
      );
      return EXIT.ok;
    }
    case 'off': {
      const query = what === '' ? '' : `?id=${encodeURIComponent(what)}`;
      const { stopped } = await client.send<{ readonly stopped: number }>('DELETE', `debug${query}`);
      write(stopped === 0 ? 'nothing was on\n' : `${stopped} turned off\n`);
      return EXIT.ok;
    }
    case 'list': {
      const { items } = await client.get<{ readonly items: readonly DebugRow[] }>('debug');
      if (items.length === 0) write('nothing is on\n');
      else
        write(
          `${textColumns(
            ['DEBUG', 'UNTIL', 'HOST', 'REQUESTS', 'TOPICS'],
            items.map((each) => [
              each.id,
              each.until,
              each.host ?? 'any',
              each.requests,
              each.topics.join(', '),
            ]),
          ).join('\n')}\n`,
        );
      return EXIT.ok;
    }
    default:
      return action satisfies never;
  }
}

function requestsOf({ host, requests }: DebugRow): string {
  return `at most ${requests} requests ${host === null ? '' : `for ${host} `}on each thread`;
}
