import { ownership, readClasses } from '../routing/ingress/classes.ts';
import { type UntypedObject, asObject, asArray, asString } from '../model/untyped.ts';
import { referenceTo } from '../model/problem.ts';
import type { CompileSettings } from '../routing/settings.ts';
import { mapOf } from '../model/sharded-map.ts';
import { addressText, statusAddresses } from './addresses.ts';
import { type ApiCall, type ApiRequest, apiPath, responseText } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import { LEASE_TIMES, holderOf, readLease } from './lease.ts';
import { planReleased, statusPatch } from './ingress-status.ts';
import { tokenBucket } from './token-bucket.ts';

export interface CleanupOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** One line for people. */
  readonly write: (line: string) => void;
  readonly settings: CompileSettings;
  /** Ingresses are looked for in these; in all namespaces when there are none. */
  readonly namespaces: readonly string[];
  readonly watchNamespace: (namespace: string) => boolean;
  /** Addresses to remove from Ingresses of our class even when the server does not record who wrote them. */
  readonly addresses: ReadonlySet<string>;
  readonly leaseNamespace: string;
  /** Also the field manager of what was written. */
  readonly leaseName: string;
  readonly dryRun: boolean;
}

export type CleanupResult =
  | { readonly kind: 'done'; readonly cleaned: number; readonly failed: number }
  /** A Portico still runs; it would write everything again. */
  | { readonly kind: 'running'; readonly holder: string };

/** Longer than a leader that lives leaves its Lease unchanged. */
const WATCH_LEASE_MS = LEASE_TIMES.retryPeriodMs * 3;
const PAGE = '500';

/**
 * Takes back what Portico wrote: the addresses in the status of Ingresses, and the Lease. Rejects when the API
 * server does not answer or refuses to say what there is.
 */
export async function cleanUp(options: CleanupOptions): Promise<CleanupResult> {
  const { call, clock, write, leaseNamespace, leaseName, dryRun } = options;
  const signal = new AbortController().signal;
  const ask = (request: Omit<ApiRequest, 'signal'>) => call({ ...request, signal });
  const bucket = tokenBucket(clock, 20, 50);

  const leasePath = apiPath('coordination.k8s.io', 'leases', leaseNamespace, leaseName);
  const readLeaseAgain = async (): Promise<UntypedObject | null> => {
    const response = await ask({ method: 'GET', path: leasePath });
    if (response.status === 404) return null;
    const found = response.status === 200 ? readLease(response.body) : null;
    if (!found) throw new Error(`Lease ${leaseNamespace}/${leaseName}: ${responseText(response)}`);
    return found;
  };
  let lease = await readLeaseAgain();
  const holder = holderOf(lease);
  if (holder !== '') {
    // Only our own clock can be trusted: a leader that lives renews the Lease while we wait.
    await sleep(clock, WATCH_LEASE_MS, signal);
    const before = versionOf(lease);
    lease = await readLeaseAgain();
    if (lease && versionOf(lease) !== before && holderOf(lease) !== '')
      return { kind: 'running', holder: holderOf(lease) };
  }

  const list = async (resource: string, namespace: string | undefined): Promise<UntypedObject[]> => {
    const found: UntypedObject[] = [];
    let next = '';
    do {
      const query = new URLSearchParams({ limit: PAGE, ...(next !== '' && { continue: next }) });
      const path = `${apiPath('networking.k8s.io', resource, namespace)}?${query}`;
      const response = await ask({ method: 'GET', path });
      if (response.status !== 200) throw new Error(`${resource}: ${responseText(response)}`);
      found.push(...asArray(asObject(response.body)['items']).map(asObject));
      next = asString(asObject(asObject(response.body)['metadata'])['continue']) ?? '';
    } while (next !== '');
    return found;
  };

  const classList = await list('ingressclasses', undefined);
  const classes = readClasses(mapOf(classList.map((each) => [nameOf(each), each])), options.settings);
  const ours = (ingress: UntypedObject): readonly string[] => {
    const key = keyOf(ingress);
    const owner = ownership(ingress, referenceTo('Ingress', key, ingress), classes, options.settings);
    const present = statusAddresses(ingress).flatMap((address) => (address ? [addressText(address)] : []));
    const writer = statusWriter(ingress);
    if (writer === leaseName) return present;
    if (owner.kind === 'foreign') return [];
    // A server that records no managers leaves only the class to go by.
    if (writer === null && options.addresses.size === 0) return present;
    return present.filter((address) => options.addresses.has(address));
  };

  let cleaned = 0;
  let failed = 0;
  const clean = async (ingress: UntypedObject, taken: readonly string[]): Promise<void> => {
    const rest = planReleased(ingress, new Set(taken)) ?? [];
    if (!dryRun) {
      await sleep(clock, bucket.waitMs(), signal);
      bucket.take();
      const [namespace, name = ''] = keyOf(ingress).split('/');
      const path = `${apiPath('networking.k8s.io', 'ingresses', namespace, name)}/status`;
      const contentType = 'application/merge-patch+json';
      const response = await ask({ method: 'PATCH', path, contentType, body: statusPatch(ingress, rest) });
      if (response.status !== 200 && response.status !== 404) {
        failed++;
        return write(`Ingress ${keyOf(ingress)}: ${taken.join(', ')} stays: ${responseText(response)}`);
      }
    }
    cleaned++;
    write(`Ingress ${keyOf(ingress)}: ${dryRun ? 'would remove' : 'removed'} ${taken.join(', ')}`);
  };

  const places = options.namespaces.length > 0 ? options.namespaces : [undefined];
  for (const place of places) {
    for (const ingress of await list('ingresses', place)) {
      if (!options.watchNamespace(keyOf(ingress).split('/')[0] ?? '')) continue;
      const taken = ours(ingress);
      if (taken.length > 0) await clean(ingress, taken);
    }
  }

  if (lease) {
    const response = dryRun ? null : await ask({ method: 'DELETE', path: leasePath });
    const gone = response === null || response.status === 200 || response.status === 404;
    if (!gone) failed++;
    const done = dryRun ? 'would delete it' : gone ? 'deleted' : `stays: ${responseText(response)}`;
    write(`Lease ${leaseNamespace}/${leaseName}: ${done}`);
  }
  return { kind: 'done', cleaned, failed };
}

/** The field manager of the status as the server recorded it; null when it recorded none. */
function statusWriter(ingress: UntypedObject): string | null {
  const managers = asArray(asObject(ingress['metadata'])['managedFields'])
    .map(asObject)
    .filter((entry) => entry['subresource'] === 'status' && 'f:status' in asObject(entry['fieldsV1']));
  return asString(managers.at(-1)?.['manager']) ?? null;
}

function nameOf(object: UntypedObject): string {
  return asString(asObject(object['metadata'])['name']) ?? '';
}

function keyOf(object: UntypedObject): string {
  return `${asString(asObject(object['metadata'])['namespace'])}/${nameOf(object)}`;
}

function versionOf(object: UntypedObject | null): string {
  return asString(asObject(object?.['metadata'])['resourceVersion']) ?? '';
}
