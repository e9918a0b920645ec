import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { type Failure, failureOfError, failureOfResponse } from '../kubernetes/failure.ts';
import { startIdleTimeout } from '../kubernetes/idle-timeout.ts';
import { type Resource, collectionPath } from '../kubernetes/resources.ts';

export type Listed = { readonly kind: 'listed'; readonly resourceVersion: string } | Failure;

export interface ListOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
  readonly onPage: (items: readonly unknown[]) => void;
}

const IDLE_TIMEOUT_MS = 30_000;
const MAX_PAGE_OBJECTS = 500;
const MIN_PAGE_OBJECTS = 25;
/** Parsing this much takes about ten milliseconds. */
const WANTED_PAGE_BYTES = 2 * 1024 * 1024;
const MAX_PAGE_BYTES = 256 * 1024 * 1024;

/**
 * Lists a kind in pages, giving the event loop a turn after each. Pages of large objects shrink, so that none takes
 * long to parse. When the continue token expires half-way, lists once more in one piece, which cannot expire.
 */
export async function list(options: ListOptions): Promise<Listed> {
  const paged = await listPages(options, MAX_PAGE_OBJECTS);
  return paged.kind === 'expired' ? listPages(options, 0) : paged;
}

interface Page {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
  readonly bytes: number;
}

async function listPages(options: ListOptions, firstLimit: number): Promise<Listed> {
  let limit = firstLimit;
  let next: string | undefined;
  for (;;) {
    const page = await readPage(options, limit, next);
    if ('kind' in page) return page;
    options.onPage(page.items);
    await nextTurn();
    if (!page.next) return { kind: 'listed', resourceVersion: page.resourceVersion };
    next = page.next;
    const fitting = Math.floor((limit * WANTED_PAGE_BYTES) / Math.max(page.bytes, 1));
    limit = Math.max(MIN_PAGE_OBJECTS, Math.min(MAX_PAGE_OBJECTS, fitting));
  }
}

async function readPage(
  { api, clock, resource, namespace, signal }: ListOptions,
  limit: number,
  next: string | undefined,
): Promise<Page | Failure> {
  const idle = startIdleTimeout(clock, signal, IDLE_TIMEOUT_MS);
  try {
    const query = { ...(limit > 0 ? { limit: `${limit}` } : {}), ...(next ? { continue: next } : {}) };
    const path = collectionPath(resource, namespace, query);
    const response = await api.request({ path, signal: idle.signal });
    if (response.status !== 200) return await failureOfResponse(response);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response.body) {
      idle.restart(IDLE_TIMEOUT_MS);
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_PAGE_BYTES) throw new Error(`a list is longer than ${MAX_PAGE_BYTES} bytes`);
    }
    return parsePage(Buffer.concat(chunks));
  } catch (error) {
    return failureOfError(idle.signal.reason ?? error, api.server);
  } finally {
    idle.end();
  }
}

function parsePage(body: Buffer): Page | Failure {
  let list: { items?: unknown; metadata?: { resourceVersion?: unknown; continue?: unknown } } | null;
  try {
    list = JSON.parse(body.toString('utf8')) as typeof list;
  } catch {
    return {
      kind: 'failed',
      message: 'the API server sent a list that is not JSON',
      retryAfterMs: undefined,
    };
  }
  const { resourceVersion, continue: next } = list?.metadata ?? {};
  // Go writes an empty list as null.
  const items = list?.items ?? [];
  if (!Array.isArray(items) || typeof resourceVersion !== 'string')
    return {
      kind: 'failed',
      message: 'the API server sent something that is not a list',
      retryAfterMs: undefined,
    };
  return {
    items,
    resourceVersion,
    next: typeof next === 'string' && next ? next : undefined,
    bytes: body.length,
  };
}
