import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import type { Clock } from '../kubernetes/clock.ts';
import {
  type Failure,
  type Status,
  failureOfError,
  failureOfResponse,
  failureOfStatus,
} from '../kubernetes/failure.ts';
import { LineCutter, LineTooLong } from './line-cutter.ts';
import { startIdleTimeout } from '../kubernetes/idle-timeout.ts';
import { type Resource, collectionPath } from '../kubernetes/resources.ts';

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** As it was sent, not looked at except for what is here. */
  readonly object: {
    readonly metadata: {
      readonly resourceVersion: string;
      readonly annotations?: Readonly<Record<string, string>> | null;
    };
  };
}

export type Watched = { readonly kind: 'ended' } | Failure;

export interface WatchOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  readonly random: () => number;
  readonly resource: Resource;
  readonly namespace: string | undefined;
  /** Where to resume; undefined for a streaming list, which sends everything first. */
  readonly resourceVersion: string | undefined;
  readonly signal: AbortSignal;
  /** The answer was 200. */
  readonly onOpen: () => void;
  /** The events that arrived together. */
  readonly onEvents: (events: readonly WatchEvent[]) => void;
}

const MAX_LINE_BYTES = 8 * 1024 * 1024;
const RESPONSE_TIMEOUT_MS = 30_000;
/** Bookmarks come about once a minute: two of them are missing. */
const IDLE_TIMEOUT_MS = 150_000;
const MIN_TIMEOUT_SECONDS = 300;
/** How many events are parsed before the event loop gets a turn. */
const EVENTS_PER_TURN = 50;

/**
 * One watch, until it ends. A clean end, which the server makes after five to ten minutes (at random, so that not
 * everybody comes back at once), is `ended`: resume from the last resourceVersion. Rejects only with what `onEvents`
 * throws.
 */
export async function watch(options: WatchOptions): Promise<Watched> {
  const { api, clock, signal } = options;
  const idle = startIdleTimeout(clock, signal, RESPONSE_TIMEOUT_MS);
  let thrown: unknown;
  const deliver = (events: readonly WatchEvent[]): void => {
    try {
      options.onEvents(events);
    } catch (error) {
      thrown = error;
      throw error;
    }
  };
  try {
    const response = await api.request({ path: pathOf(options), signal: idle.signal });
    if (response.status !== 200) return await failureOfResponse(response);
    options.onOpen();
    // A streaming list is busy until it is complete; a watch may be quiet.
    let idleMs = options.resourceVersion === undefined ? RESPONSE_TIMEOUT_MS : IDLE_TIMEOUT_MS;
    idle.restart(idleMs);
    const cutter = new LineCutter(MAX_LINE_BYTES);
    let sinceTurn = 0;
    for await (const chunk of response.body) {
      idle.restart(idleMs);
      const { events, failure } = parse(cutter, chunk as Buffer);
      if (events.length > 0) deliver(events);
      if (failure) return failure;
      if (events.some(endsInitialEvents)) idle.restart((idleMs = IDLE_TIMEOUT_MS));
      sinceTurn += events.length;
      if (sinceTurn >= EVENTS_PER_TURN) {
        sinceTurn = 0;
        await nextTurn();
      }
    }
    if (cutter.unfinished) return failureOfError({ code: 'ECONNRESET' }, api.server);
    return { kind: 'ended' };
  } catch (error) {
    if (error === thrown) throw error;
    return failureOfError(idle.signal.reason ?? error, api.server);
  } finally {
    idle.end();
  }
}

/** The bookmark after which a streaming list is complete. */
export function endsInitialEvents({ type, object }: WatchEvent): boolean {
  return type === 'BOOKMARK' && object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true';
}

function pathOf({ resource, namespace, resourceVersion, random }: WatchOptions): string {
  const timeoutSeconds = Math.floor(MIN_TIMEOUT_SECONDS * (1 + random()));
  return collectionPath(resource, namespace, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: `${timeoutSeconds}`,
    ...(resourceVersion === undefined
      ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
      : { resourceVersion }),
  });
}

function parse(cutter: LineCutter, chunk: Buffer): { events: WatchEvent[]; failure: Failure | undefined } {
  const events: WatchEvent[] = [];
  try {
    for (const line of cutter.push(chunk)) {
      const event = parseEvent(line);
      if ('kind' in event) return { events, failure: event };
      events.push(event);
    }
    return { events, failure: undefined };
  } catch (error) {
    if (error instanceof LineTooLong)
      return { events, failure: { kind: 'oversized', message: error.message } };
    throw error;
  }
}

function parseEvent(line: string): WatchEvent | Failure {
  const garbage: Failure = { kind: 'garbled', message: 'the watch sent a line that is not an event' };
  let event: { type?: unknown; object?: { metadata?: { resourceVersion?: unknown } | null } | null } | null;
  try {
    event = JSON.parse(line) as typeof event;
  } catch {
    return garbage;
  }
  switch (event?.type) {
    case 'ERROR': {
      const failure = failureOfStatus((event.object ?? {}) as Status, 500);
      return failure.kind === 'expired' ? failure : { kind: 'garbled', message: failure.message };
    }
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return typeof event.object?.metadata?.resourceVersion === 'string' ? (event as WatchEvent) : garbage;
    default:
      return garbage;
  }
}
