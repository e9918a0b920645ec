import type { ApiObject, Resource, Selector } from './api-server-resources.ts';
import { apiVersionOf, status } from './api-server-resources.ts';
import type { Change, EventType, Stored } from './api-server-objects.ts';

/** The part of a response that the scripted API server uses, the same over HTTP/1.1 and HTTP/2. */
export interface Reply {
  head(status: number, headers?: Record<string, string>): void;
  write(text: string): void;
  end(text?: string): void;
  /** Resets the connection, or over HTTP/2 the stream. */
  reset(): void;
  onClose(callback: () => void): void;
}

/** One open watch. */
export interface Watch {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly selector: Selector;
  readonly bookmarks: boolean;
  readonly reply: Reply;
  mode: 'normal' | 'silent' | 'cut';
}

export function writeEvent(watch: Watch, type: EventType | 'BOOKMARK' | 'ERROR', json: string): void {
  const line = `{"type":"${type}","object":${json}}\n`;
  switch (watch.mode) {
    case 'normal':
      watch.reply.write(line);
      break;
    case 'silent':
      break;
    case 'cut':
      watch.mode = 'silent';
      watch.reply.write(line.slice(0, line.length >> 1));
      setImmediate(() => watch.reply.reset());
      break;
  }
}

/** What a watch sees of a change: an object that leaves the selection is deleted, as far as it can tell. */
export function writeChange(watch: Watch, change: Change): void {
  if (change.resource !== watch.resource) return;
  const selected = (stored: Stored | undefined): boolean =>
    stored !== undefined &&
    (watch.namespace === undefined || stored.object.metadata.namespace === watch.namespace) &&
    watch.selector.selects(stored.object);
  const [before, after] = [selected(change.before), selected(change.after)];
  if (after) writeEvent(watch, before ? 'MODIFIED' : 'ADDED', change.last.json);
  else if (before) writeEvent(watch, 'DELETED', change.last.json);
}

export function writeBookmark(watch: Watch, resourceVersion: number, initialEventsEnd = false): void {
  const { kind, zero } = watch.resource;
  const metadata = {
    resourceVersion: `${resourceVersion}`,
    ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  const object: ApiObject = { kind, apiVersion: apiVersionOf(watch.resource), metadata, ...zero };
  writeEvent(watch, 'BOOKMARK', JSON.stringify(object));
}

export function writeExpired(watch: Watch, asked: number, current: number): void {
  const message = `too old resource version: ${asked} (${current})`;
  writeEvent(watch, 'ERROR', JSON.stringify(status(410, 'Expired', message)));
  watch.reply.end();
}
