import type { AdminResponse } from './api.ts';
import type { DebugRow } from './answers.ts';
import { Query } from './query.ts';

/** What a person asks to be told of requests. */
export interface DebugOptions {
  /** With commas between them; empty for all. */
  readonly topics: string;
  readonly seconds: number;
  /** Empty for every host. */
  readonly host: string;
  /** Of each data-plane thread. */
  readonly requests: number;
}

/** Turns debugging of requests on and off. */
export interface DebugControl {
  list(): readonly DebugRow[];
  /** What is on now, or why it is not. */
  start(options: DebugOptions): DebugRow | { readonly error: string };
  /** Turns one off, or all of them for null; gives how many were on. */
  stop(id: number | null): number;
}

const MAX_SECONDS = 3_600;
const MAX_REQUESTS = 1_000;

/**
 * The one part of the admin API that changes something: `GET` lists what is on, `POST` turns it on, `DELETE` off. All of it
 * is in the query.
 */
export function answerDebug(control: DebugControl, method: string, text: string): AdminResponse {
  const query = new Query(text);
  if (method === 'POST') {
    const options = {
      topics: query.text('topics'),
      seconds: query.number('seconds', 1, MAX_SECONDS, 60),
      host: query.text('host'),
      requests: query.number('requests', 1, MAX_REQUESTS, 100),
    };
    query.end();
    if (query.errors.length > 0) return refused(query.errors.join('; '));
    const started = control.start(options);
    return 'error' in started ? refused(started.error) : answer(started);
  }
  const id = method === 'DELETE' ? query.number('id', 1, Number.MAX_SAFE_INTEGER, 0) : 0;
  query.end();
  if (query.errors.length > 0) return refused(query.errors.join('; '));
  return answer(
    method === 'DELETE' ? { stopped: control.stop(id === 0 ? null : id) } : { items: control.list() },
  );
}

function answer(body: object): AdminResponse {
  return { kind: 'answer', body, tag: null };
}

function refused(reason: string): AdminResponse {
  return { kind: 'refused', status: 400, reason };
}
