import { randomUUID } from 'node:crypto';
import {
  type ApiObject,
  type Resource,
  type Selector,
  apiVersionOf,
  parseSelector,
  resourceOfObject,
} from './api-server-resources.ts';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One version of one object, with its JSON kept: ten thousand of them are listed in one go. */
export interface Stored {
  readonly key: string;
  readonly object: ApiObject;
  readonly json: string;
  /** As an item of a List, which carries neither kind nor apiVersion. */
  readonly itemJson: string;
}

/** What happened at one resourceVersion. */
export interface Change {
  readonly resource: Resource;
  readonly resourceVersion: number;
  readonly before: Stored | undefined;
  readonly after: Stored | undefined;
  /** The state that a DELETED event shows: the last one, at the resourceVersion of the deletion. */
  readonly last: Stored;
}

export interface Page {
  readonly resourceVersion: number;
  readonly items: readonly Stored[];
  readonly continue: string | undefined;
  readonly remaining: number | undefined;
}

/** etcd in miniature: objects, one counter of resourceVersions, and the history watches resume from. */
export class ObjectStore {
  resourceVersion: number;
  /** Watches and continue tokens from before this resourceVersion are expired. */
  oldest = 0;
  readonly history: Change[] = [];
  #objects = new Map<Resource, Map<string, Stored>>();
  #sorted = new Map<Resource, readonly Stored[]>();
  #lists = new Map<string, readonly Stored[]>();
  #historyLimit: number;

  constructor(resourceVersion: number, historyLimit: number) {
    this.resourceVersion = resourceVersion;
    this.#historyLimit = historyLimit;
  }

  get(resource: Resource, key: string): Stored | undefined {
    return this.#objects.get(resource)?.get(key);
  }

  /** Creates or replaces; fills in what the API server fills in. */
  put(object: ApiObject): Change {
    const resource = resourceOfObject(object);
    const { namespace, name } = object.metadata;
    if (!name) throw new Error(`${object.kind} has no metadata.name`);
    if (resource.namespaced !== (namespace !== undefined))
      throw new Error(
        `${object.kind} ${name}: a namespace is ${resource.namespaced ? 'needed' : 'not allowed'}`,
      );
    const key = resource.namespaced ? `${namespace}/${name}` : name;
    const before = this.get(resource, key);
    const resourceVersion = ++this.resourceVersion;
    const metadata: ApiObject['metadata'] = {
      ...object.metadata,
      uid: before?.object.metadata.uid ?? object.metadata.uid ?? randomUUID(),
      resourceVersion: `${resourceVersion}`,
      creationTimestamp:
        before?.object.metadata.creationTimestamp ??
        object.metadata.creationTimestamp ??
        `${new Date().toISOString().slice(0, 19)}Z`,
    };
    if (resource.counted) metadata.generation = nextGeneration(before?.object, object);
    const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...rest } = object;
    const after = stored(key, { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata, ...rest });
    this.#table(resource).set(key, after);
    return this.#commit({ resource, resourceVersion, before, after, last: after });
  }

  delete(resource: Resource, key: string): Change {
    const before = this.get(resource, key);
    if (!before) throw new Error(`the scripted API server has no ${resource.kind} ${key}`);
    const resourceVersion = ++this.resourceVersion;
    const metadata = { ...before.object.metadata, resourceVersion: `${resourceVersion}` };
    this.#table(resource).delete(key);
    const last = stored(key, { ...before.object, metadata });
    return this.#commit({ resource, resourceVersion, before, after: undefined, last });
  }

  /** Everything, sorted as etcd's keys are. */
  all(resource: Resource, namespace: string | undefined, selector: Selector): readonly Stored[] {
    let sorted = this.#sorted.get(resource);
    if (!sorted) {
      sorted = [...this.#table(resource).values()].sort((a, b) => (a.key < b.key ? -1 : 1));
      this.#sorted.set(resource, sorted);
    }
    if (namespace === undefined && selector.empty) return sorted;
    return sorted.filter(
      ({ object }) =>
        (namespace === undefined || object.metadata.namespace === namespace) && selector.selects(object),
    );
  }

  /** One page of a list; `expired` when the continue token's resourceVersion is compacted. */
  page(
    resource: Resource,
    namespace: string | undefined,
    query: URLSearchParams,
  ): Page | { expired: string } | { invalid: string } {
    const limit = Number(query.get('limit') ?? 0);
    const token = query.get('continue');
    const selector = parseSelector(query);
    let resourceVersion = this.resourceVersion;
    let start = '';
    let all: readonly Stored[] | undefined;
    if (token) {
      const parsed = parseToken(token);
      if (!parsed) return { invalid: 'continue key is not valid: illegal base64 data at input byte 4' };
      start = parsed.start;
      if (parsed.resourceVersion >= 0) {
        resourceVersion = parsed.resourceVersion;
        all = this.#lists.get(listKey(resource, namespace, query, resourceVersion));
        if (resourceVersion < this.oldest || !all) return { expired: writeToken(-1, start) };
      }
    }
    all ??= this.all(resource, namespace, selector);
    const from = start === '' ? 0 : firstAfter(all, start);
    const items = limit > 0 ? all.slice(from, from + limit) : all.slice(from);
    const remaining = all.length - from - items.length;
    if (remaining === 0) return { resourceVersion, items, continue: undefined, remaining: undefined };
    this.#lists.set(listKey(resource, namespace, query, resourceVersion), all);
    return {
      resourceVersion,
      items,
      continue: writeToken(resourceVersion, items.at(-1)?.key ?? start),
      remaining: selector.empty ? remaining : undefined,
    };
  }

  /** Forgets history: a request for anything older than now is told that it expired. */
  compact(): void {
    this.oldest = this.resourceVersion;
    this.history.length = 0;
    this.#lists.clear();
  }

  #table(resource: Resource): Map<string, Stored> {
    let table = this.#objects.get(resource);
    if (!table) this.#objects.set(resource, (table = new Map()));
    return table;
  }

  #commit(change: Change): Change {
    this.#sorted.delete(change.resource);
    this.history.push(change);
    if (this.history.length > 2 * this.#historyLimit) {
      const dropped = this.history.splice(0, this.#historyLimit);
      this.oldest = dropped.at(-1)?.resourceVersion ?? this.oldest;
    }
    return change;
  }
}

function stored(key: string, object: ApiObject): Stored {
  const json = JSON.stringify(object);
  const head = `{"kind":${JSON.stringify(object.kind)},"apiVersion":${JSON.stringify(object.apiVersion)},`;
  return { key, object, json, itemJson: `{${json.slice(head.length)}` };
}

function meaning({ metadata: _m, status: _s, kind: _k, apiVersion: _a, ...rest }: ApiObject): string {
  return JSON.stringify(rest);
}

function nextGeneration(before: ApiObject | undefined, object: ApiObject): number {
  const generation = before?.metadata.generation ?? 0;
  return before && meaning(before) === meaning(object) ? generation : generation + 1;
}

function firstAfter(all: readonly Stored[], key: string): number {
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((all[middle]?.key ?? '') <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function listKey(resource: Resource, namespace: string | undefined, query: URLSearchParams, version: number) {
  const selectors = `${query.get('fieldSelector')} ${query.get('labelSelector')}`;
  return [resource.group, resource.resource, namespace, selectors, version].join(' ');
}

function writeToken(resourceVersion: number, key: string): string {
  const token = { v: 'meta.k8s.io/v1', rv: resourceVersion, start: `/${key}\0` };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function parseToken(token: string): { resourceVersion: number; start: string } | undefined {
  try {
    const { rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString()) as {
      rv: number;
      start: string;
    };
    return { resourceVersion: rv, start: start.replace(/^\//, '').replace(/\0$/, '') };
  } catch {
    return undefined;
  }
}
