import { type UntypedObject, asArray, asObject, asString } from '../model/untyped.ts';
import type { ApiConnection, RawApiResponse } from './api-connection.ts';
import type { Clock } from './clock.ts';
import { type Failure, failureOfError, failureOfResponse } from './failure.ts';
import { startIdleTimeout } from './idle-timeout.ts';

/** Of one API group: the versions that each resource is served at, by its plural. */
export type ServedResources = ReadonlyMap<string, ReadonlySet<string>>;

export type Discovered =
  | {
      readonly kind: 'served';
      readonly resources: ServedResources;
      /** What to ask with the next time; undefined when the server names none. */
      readonly etag: string | undefined;
    }
  /** The same as when the server named this `etag`. */
  | { readonly kind: 'unchanged' }
  | Failure;

export interface DiscoveryOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  readonly group: string;
  readonly etag: string | undefined;
  readonly signal: AbortSignal;
}

const IDLE_TIMEOUT_MS = 30_000;
/** A cluster with a thousand CustomResourceDefinitions has some two megabytes of it. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Everything in one document, which Kubernetes serves since 1.27; older servers answer with the names of groups. */
const AGGREGATED = ['v2', 'v2beta1'].map(
  (version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
);

/**
 * Asks an API server what it serves of a group. A group that it does not have is no failure: then nothing is served. With
 * `etag` a server that has nothing new says so in an answer without a body. Every authenticated client may ask
 * (ClusterRole system:discovery).
 */
export async function discover(options: DiscoveryOptions): Promise<Discovered> {
  const { group, etag } = options;
  const answer = await get(options, '/apis', [...AGGREGATED, 'application/json'].join(','), etag);
  switch (answer.kind) {
    case 'unchanged':
      return answer;
    case 'body': {
      if (answer.body['kind'] === 'APIGroupDiscoveryList') {
        const item = asArray(answer.body['items']).find((each) => metadataName(each) === group);
        return { kind: 'served', resources: aggregated(item), etag: answer.etag };
      }
      const listed = asArray(answer.body['groups']).find((each) => asObject(each)['name'] === group);
      return discoverVersions(options, versionsOf(listed));
    }
    default:
      return answer;
  }
}

/** One document for each version, as servers have always had them. */
async function discoverVersions(options: DiscoveryOptions, versions: readonly string[]): Promise<Discovered> {
  const resources = new Map<string, Set<string>>();
  for (const version of versions) {
    const path = `/apis/${options.group}/${encodeURIComponent(version)}`;
    const answer = await get(options, path, 'application/json', undefined);
    // It has gone since the groups were listed.
    if (answer.kind === 'not-found') continue;
    if (answer.kind === 'unchanged') continue;
    if (answer.kind !== 'body') return answer;
    for (const resource of asArray(answer.body['resources']))
      add(resources, asObject(resource)['name'], version);
  }
  return { kind: 'served', resources, etag: undefined };
}

function aggregated(group: unknown): ServedResources {
  const resources = new Map<string, Set<string>>();
  for (const each of asArray(asObject(group)['versions'])) {
    const { version, resources: listed } = asObject(each);
    for (const resource of asArray(listed)) add(resources, asObject(resource)['resource'], version);
  }
  return resources;
}

function add(resources: Map<string, Set<string>>, resource: unknown, version: unknown): void {
  if (typeof resource !== 'string' || typeof version !== 'string') return;
  resources.set(resource, (resources.get(resource) ?? new Set()).add(version));
}

function versionsOf(group: unknown): readonly string[] {
  return asArray(asObject(group)['versions']).flatMap((each) => asString(asObject(each)['version']) ?? []);
}

function metadataName(item: unknown): unknown {
  return asObject(asObject(item)['metadata'])['name'];
}

type Answer =
  | { readonly kind: 'body'; readonly body: UntypedObject; readonly etag: string | undefined }
  | { readonly kind: 'unchanged' }
  | Failure;

async function get(
  { api, clock, signal }: DiscoveryOptions,
  path: string,
  accept: string,
  etag: string | undefined,
): Promise<Answer> {
  const idle = startIdleTimeout(clock, signal, IDLE_TIMEOUT_MS);
  try {
    const response = await api.request({ path, accept, ifNoneMatch: etag, signal: idle.signal });
    if (response.status === 304) {
      response.body.resume();
      return { kind: 'unchanged' };
    }
    if (response.status !== 200) return await failureOfResponse(response);
    const text = await textOf(response, () => idle.restart(IDLE_TIMEOUT_MS));
    const body = parsed(text);
    const garbage = `the API server answered ${path} with something that is not a discovery document`;
    return body ? { kind: 'body', body, etag: response.headers.etag } : { kind: 'garbled', message: garbage };
  } catch (error) {
    return failureOfError(idle.signal.reason ?? error, api.server);
  } finally {
    idle.end();
  }
}

async function textOf(response: RawApiResponse, onData: () => void): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    onData();
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES)
      throw new Error(`a discovery document is longer than ${MAX_BODY_BYTES} bytes`);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A discovery document; undefined for everything else, such as the page of a proxy. */
function parsed(text: string): UntypedObject | undefined {
  try {
    const body = asObject(JSON.parse(text));
    return ['APIGroupDiscoveryList', 'APIGroupList', 'APIResourceList'].includes(`${asString(body['kind'])}`)
      ? body
      : undefined;
  } catch {
    return undefined;
  }
}
