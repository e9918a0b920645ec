import { setTimeout as pause } from 'node:timers/promises';
import type { Daemon } from '../support/daemon.ts';

/** Clients that ask again and again, each soon after it got its answer. */
export interface Load {
  /** Lets every request under way be answered, and tells how they fared. */
  stop(): Promise<LoadResult>;
}

export interface LoadResult {
  readonly answered: number;
  readonly connections: number;
  /** Every request that was not answered with 200. */
  readonly failures: readonly string[];
}

/** A connection keeps all that it received, for the message of a failure: it must not grow for ever. */
const REQUESTS_PER_CONNECTION = 200;
/** Of one client, between its requests: the machine is for what is tested, too. */
const PAUSE_MS = 15;

export interface Clients {
  /** Keep connections open. */
  readonly keptAlive: number;
  /** Open a connection for each request. */
  readonly fresh: number;
  readonly pauseMs?: number;
}

export function startLoad(
  daemon: Daemon,
  host: string,
  { keptAlive, fresh, pauseMs = PAUSE_MS }: Clients,
): Load {
  const failures: string[] = [];
  const stopping = new AbortController();
  let answered = 0;
  let connections = 0;

  const ask = async (once: boolean): Promise<void> => {
    connections++;
    using client = await daemon.connect();
    const more = once ? 'Connection: close\r\n' : '';
    let left = once ? 1 : REQUESTS_PER_CONNECTION;
    do {
      client.send(`GET /load HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
      const { status, body } = await client.message();
      answered++;
      if (status !== 200) failures.push(`${status} ${body}`);
      await pause(pauseMs);
    } while (--left > 0 && !stopping.signal.aborted);
  };
  const client = async (once: boolean): Promise<void> => {
    // A client that failed opens another connection and goes on.
    while (!stopping.signal.aborted) await ask(once).catch((error: unknown) => failures.push(String(error)));
  };
  const clients = [
    ...Array.from({ length: keptAlive }, () => client(false)),
    ...Array.from({ length: fresh }, () => client(true)),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(clients);
      return { answered, connections, failures };
    },
  };
}
