import type { Logger } from 'pino';
import type { DebugRow } from '../admin/api/answers.ts';
import type { DebugControl, DebugOptions } from '../admin/api/debug-api.ts';
import { closestMatch } from '../model/closest-match.ts';
import { quote } from '../model/untyped.ts';
import {
  DEBUG_TOPICS,
  type DebugLine,
  type DebugSession,
  type DebugTopic,
} from '../proxy/debug/debug-session.ts';

import type { EngineName } from '../proxy/threads/messages.ts';

export interface DebugSessionsOptions {
  readonly logger: Logger;
  readonly engine: EngineName;
  /** Tells the threads all that is on. */
  readonly distribute: (sessions: readonly DebugSession[]) => void;
  readonly now: () => number;
}

/** At a time: each costs a comparison for every request. */
const MAX_SESSIONS = 4;
const HOST = /^[a-z0-9_.*-]{1,253}$|^\[[\da-f:.]{2,45}\]$/;

/** What people asked to be told of requests, until its time is over. What the threads tell is written to the log. */
export class DebugSessions implements DebugControl {
  readonly #options: DebugSessionsOptions;
  readonly #lines: Logger;
  readonly #sessions = new Map<number, { readonly session: DebugSession; readonly timer: NodeJS.Timeout }>();
  #nextId = 1;

  constructor(options: DebugSessionsOptions) {
    this.#options = options;
    // Who asks for them gets them, whatever the level of the log.
    this.#lines = options.logger.child({}, { level: 'debug' });
  }

  list(): readonly DebugRow[] {
    return [...this.#sessions.values()].map(({ session }) => rowOf(session));
  }

  start({
    topics: written,
    seconds,
    host: writtenHost,
    requests,
  }: DebugOptions): DebugRow | { readonly error: string } {
    if (this.#options.engine !== 'relay') return { error: 'that needs --engine relay' };
    const topics = readTopics(written);
    if ('error' in topics) return topics;
    const host = writtenHost.toLowerCase();
    if (host !== '' && !HOST.test(host))
      return { error: `host ${quote(writtenHost)} is not a host name; write it as in shop.example.com` };
    if (this.#sessions.size >= MAX_SESSIONS)
      return { error: `${MAX_SESSIONS} are on already, see debug list: turn one off` };
    const { logger, now } = this.#options;
    const id = this.#nextId++;
    const session = {
      ...{ id, requests, topics: topics.topics, host: host || null },
      until: now() + seconds * 1000,
    };
    const timer = setTimeout(() => this.stop(id), seconds * 1000).unref();
    this.#sessions.set(id, { session, timer });
    this.#distribute();
    logger.info(`debug ${id} is on for ${seconds} s: ${described(session)}`);
    return rowOf(session);
  }

  stop(id: number | null): number {
    const ids = id === null ? [...this.#sessions.keys()] : [id];
    const stopped = ids.filter((each) => {
      clearTimeout(this.#sessions.get(each)?.timer);
      return this.#sessions.delete(each);
    });
    if (stopped.length === 0) return 0;
    this.#distribute();
    for (const each of stopped) this.#options.logger.info(`debug ${each} is off`);
    return stopped.length;
  }

  /** Something that a thread tells. */
  write({ session, requestId, topic, text }: DebugLine): void {
    this.#lines.debug({ debug: session, topic, requestId }, text);
  }

  #distribute(): void {
    this.#options.distribute([...this.#sessions.values()].map(({ session }) => session));
  }
}

function readTopics(
  written: string,
): { readonly topics: readonly DebugTopic[] } | { readonly error: string } {
  const names = written.split(',').flatMap((name) => name.trim() || []);
  const topics = DEBUG_TOPICS.filter((topic) => names.includes(topic));
  const unknown = names.find((name) => !(DEBUG_TOPICS as readonly string[]).includes(name));
  if (unknown === undefined) return { topics: names.length === 0 ? DEBUG_TOPICS : topics };
  const match = closestMatch(unknown, DEBUG_TOPICS);
  const hint = match === null ? '' : `; did you mean ${match}?`;
  return { error: `${quote(unknown)} is not one of ${DEBUG_TOPICS.join(', ')}${hint}` };
}

function described({ topics, host, requests }: DebugSession): string {
  const requestsOf = host === null ? 'requests' : `requests for ${host}`;
  return `${topics.join(', ')} of at most ${requests} ${requestsOf} on each thread`;
}

function rowOf({ id, topics, host, until, requests }: DebugSession): DebugRow {
  return { id, topics, host, until: new Date(until).toISOString(), requests };
}
