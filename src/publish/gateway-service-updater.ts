import { apiPath } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import { type UntypedObject, asObject } from '../model/untyped.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import type { GatewayRead } from '../routing/gateway/gateways.ts';
import {
  type PorticoEndpoint,
  type ServedGateway,
  hasAll,
  isOwnSlice,
  ownedBy,
  patchOf,
  sliceKey,
  wantedService,
  wantedSlice,
} from './gateway-service.ts';
import { resourceVersionOf } from './ingress-status.ts';
import type { Leadership } from './leadership.ts';
import type { LogOnce } from './log-once.ts';
import { PacedWrites } from './paced-writes.ts';
import { tokenBucket } from './token-bucket.ts';
import { type Outcome, WorkQueue, outcomeOf } from './work-queue.ts';

export interface GatewayServiceUpdaterOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  readonly compilation: () => Compilation | null;
  readonly fieldManager: string;
}

const WRITES_PER_SECOND = 20;
const WRITES_AT_ONCE = 50;

/** A Service or EndpointSlice as it is, and as it should be. */
interface Compared {
  readonly kind: 'Service' | 'EndpointSlice';
  readonly key: ObjectKey;
  /** Undefined for one that is not there. */
  readonly present: unknown;
  readonly wanted: UntypedObject;
}

const PLACES = {
  Service: { group: '', resource: 'services' },
  EndpointSlice: { group: 'discovery.k8s.io', resource: 'endpointslices' },
} as const;

/**
 * Keeps the Service of each Gateway, and its endpoints, as the compilation says, for as long as this process is the leader.
 * The API server deletes them with their Gateway, which owns them.
 */
export class GatewayServiceUpdater {
  readonly #options: GatewayServiceUpdaterOptions;
  readonly #queue: WorkQueue;
  /** By `Kind namespace/name`. */
  readonly #writes: PacedWrites;
  /** The Gateways of Services and EndpointSlices, by `Kind namespace/name`. */
  readonly #owners = new Map<string, ObjectKey>();
  #endpoints: readonly PorticoEndpoint[] = [];
  #last: Compilation | null = null;

  constructor(options: GatewayServiceUpdaterOptions) {
    const { leadership, clock, random, logOnce } = options;
    this.#options = options;
    this.#writes = new PacedWrites(clock, leadership.signal);
    this.#queue = new WorkQueue({
      clock,
      random,
      bucket: tokenBucket(clock, WRITES_PER_SECOND, WRITES_AT_ONCE),
      signal: leadership.signal,
      logOnce,
      topic: 'the Services of Gateways',
      namespaceOf,
      right:
        'Gateways have no address without the verbs "create" and "patch" on resource "services", and on "endpointslices" ' +
        'in API group "discovery.k8s.io" (apply deploy/variants/gateway-services.yaml)',
      work: (key) => this.#workFor(key),
    });
  }

  /** Takes where requests can be sent from now on. */
  setEndpoints(endpoints: readonly PorticoEndpoint[]): void {
    this.#endpoints = endpoints;
    for (const [key] of this.#last ? entries(this.#last.gateways.gateways) : []) this.#queue.add(key);
  }

  /** Checks the Gateways that differ in the next compilation, or whose objects do: all of them at first. */
  advance(next: Compilation): void {
    const last = this.#last;
    this.#last = next;
    for (const [key, after] of last ? difference(last.gateways.gateways, next.gateways.gateways) : []) {
      if (after === undefined) this.#forget(key);
    }
    if (last === null || last.gateways.plan !== next.gateways.plan) {
      for (const [key] of entries(next.gateways.gateways)) this.#queue.add(key);
      return;
    }
    const changed = [
      ...[...difference(last.snapshot.services, next.snapshot.services)].map(([key]) => `Service ${key}`),
      ...[...difference(last.snapshot.endpointSlices, next.snapshot.endpointSlices)].map(
        ([key]) => `EndpointSlice ${key}`,
      ),
    ];
    for (const name of changed) {
      const gateway = this.#owners.get(name);
      if (gateway !== undefined) this.#queue.add(gateway);
    }
  }

  #workFor(gateway: ObjectKey): (() => Promise<Outcome>) | null {
    const state = this.#options.compilation();
    const read = state ? get(state.gateways.gateways, gateway) : undefined;
    if (!state || !read || !isServed(read) || read.service.presence === 'foreign') return null;
    // What it owns is about to be deleted with it.
    if (isLeaving(get(state.snapshot.gateways, gateway))) return null;
    for (const found of this.#differences(read, state)) {
      const name = `${found.kind} ${found.key}`;
      this.#owners.set(name, gateway);
      if (found.present !== undefined && hasAll(found.present, found.wanted)) continue;
      const text = JSON.stringify(found.wanted);
      const version = versionOf(found.present);
      if (!this.#writes.mayWrite(name, version, text, () => this.#queue.add(gateway))) continue;
      return async () => {
        const outcome = await this.#write(read, found);
        if (outcome.kind !== 'done') return outcome;
        this.#writes.wrote(name, version, text);
        // There may be another object to write.
        this.#queue.add(gateway);
        return outcome;
      };
    }
    return null;
  }

  /** The objects of a Gateway, each as it is and as it should be. */
  #differences(gateway: ServedGateway, { snapshot, gateways }: Compilation): readonly Compared[] {
    const ports = gateways.plan.gateways.get(gateway.key)?.servicePorts;
    if (!ports?.size) return [];
    const { key } = gateway.service;
    const service = get(snapshot.services, key);
    const found: Compared[] = [
      { kind: 'Service', key, present: service, wanted: wantedService(gateway, ports, service) },
    ];
    const wanted = wantedSlice(gateway, ports, this.#endpoints);
    const ofSlice = sliceKey(gateway, this.#endpoints);
    const slice = get(snapshot.endpointSlices, ofSlice);
    const isForeign = slice !== undefined && !isOwnSlice(slice);
    if (wanted !== null && !isForeign)
      found.push({ kind: 'EndpointSlice', key: ofSlice, present: slice, wanted });
    return found;
  }

  #forget(gateway: ObjectKey): void {
    for (const [name, owner] of this.#owners) {
      if (owner !== gateway) continue;
      this.#owners.delete(name);
      this.#writes.forget(name);
    }
  }

  async #write(gateway: ServedGateway, { kind, key, present, wanted }: Compared): Promise<Outcome> {
    const { leadership, fieldManager } = this.#options;
    const { group, resource } = PLACES[kind];
    const namespace = namespaceOf(key);
    const query = new URLSearchParams({ fieldManager });
    const { signal } = leadership;
    const response =
      present === undefined
        ? await leadership.call({
            method: 'POST',
            path: `${apiPath(group, resource, namespace)}?${query}`,
            body: ownedBy(gateway, key, kind, wanted),
            signal,
          })
        : await leadership.call({
            method: 'PATCH',
            path: `${apiPath(group, resource, namespace, key.slice(namespace.length + 1))}?${query}`,
            contentType: 'application/merge-patch+json',
            body: versionedPatch(present, wanted),
            signal,
          });
    // The watch brings what the conflict is about, and with it another try.
    return response.status === 409 ? { kind: 'done' } : outcomeOf(response);
  }
}

/** Only the version that was compared is changed. */
function versionedPatch(present: unknown, wanted: UntypedObject): UntypedObject {
  const patch = patchOf(present, wanted);
  const metadata = { ...asObject(patch['metadata']), resourceVersion: versionOf(present) };
  return { ...patch, metadata };
}

/** Empty for an object that is not there. */
function versionOf(present: unknown): string {
  return present === undefined ? '' : resourceVersionOf(present);
}

function isLeaving(gateway: unknown): boolean {
  return typeof asObject(asObject(gateway)['metadata'])['deletionTimestamp'] === 'string';
}

function isServed(gateway: GatewayRead): gateway is ServedGateway {
  return gateway.service !== null && gateway.rejected === null;
}
