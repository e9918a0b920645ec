import type { ApiConnection } from '../kubernetes/api-connection.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { ServedResources } from '../kubernetes/discovery.ts';
import type { Log } from '../kubernetes/log.ts';
import { GATEWAY_GROUP, type Resource, gatewayResources } from '../kubernetes/resources.ts';
import type { Kind } from '../model/objects.ts';
import type { ObjectChange } from '../model/snapshot.ts';
import { DiscoveryPoll } from './discovery-poll.ts';
import type { Reflector } from './reflector.ts';

export interface DiscoveredKindsOptions {
  readonly api: ApiConnection;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Whether the labels of namespaces are watched here, too, and not already by somebody else. */
  readonly watchesNamespaces: boolean;
  /** Starts to watch a kind, in each namespace that is listed alone. */
  readonly watch: (resource: Resource, told: KindListener) => readonly Reflector[];
  /** What to apply to the snapshot, in this order. */
  readonly onChanges: (changes: readonly ObjectChange[]) => void;
  /** There may be other kinds, or `settled` may be another. */
  readonly onStateChange: () => void;
}

export interface KindListener {
  readonly onChanges: (changes: readonly ObjectChange[]) => void;
  readonly onListed: () => void;
  readonly onStateChange: () => void;
}

interface WatchedKind {
  readonly resource: Resource;
  reflectors: readonly Reflector[];
  /** What came before the kind joined; null from then on. */
  held: ObjectChange[] | null;
}

/** Kinds that were installed together are waited for so long. */
const JOIN_WITHIN_MS = 10_000;

/**
 * Watches the kinds of Gateway API that are installed, for as long as they are. What is installed together joins the
 * snapshot together, when all of it is listed: a Gateway without the routes that belong to it is never compiled.
 */
export class DiscoveredKinds {
  readonly #options: DiscoveredKindsOptions;
  readonly #poll: DiscoveryPoll;
  readonly #kinds = new Map<Kind, WatchedKind>();
  /** What is served by the last answer; null before the first one. */
  #served: ReadonlyMap<Kind, Resource> | null = null;
  /** Whether kinds join one by one, because some were waited for in vain. */
  #late = false;
  #cancel: () => void = () => {};

  constructor(options: DiscoveredKindsOptions) {
    this.#options = options;
    this.#poll = new DiscoveryPoll({
      ...options,
      group: GATEWAY_GROUP,
      onServed: (served) => this.#follow(served),
    });
  }

  /** Whether it is known what there is, and all of it is in the snapshot or was waited for in vain. */
  get settled(): boolean {
    return this.#served !== null && (this.#late || !this.#isAnyHeld());
  }

  /** The API server's words while it does not say what it serves. */
  get forbidden(): string | null {
    return this.#poll.forbidden;
  }

  /** The kinds that are in the snapshot. */
  joined(): readonly Resource[] {
    return [...this.#kinds.values()].filter(({ held }) => held === null).map(({ resource }) => resource);
  }

  /** Those of the kinds that are in the snapshot. */
  reflectors(): readonly Reflector[] {
    return [...this.#kinds.values()].flatMap(({ held, reflectors }) => (held === null ? reflectors : []));
  }

  /** The API server answers again: nothing need wait for the end of its back-off. */
  wake(): void {
    this.#poll.wake();
    for (const { reflectors } of this.#kinds.values()) for (const reflector of reflectors) reflector.wake();
  }

  async stop(): Promise<void> {
    this.#cancel();
    const all = [...this.#kinds.values()].flatMap(({ reflectors }) => reflectors);
    await Promise.all([this.#poll.stop(), ...all.map((reflector) => reflector.stop())]);
  }

  #follow(resources: ServedResources): void {
    const { watchesNamespaces } = this.#options;
    const wanted = gatewayResources(resources).filter(
      ({ kind }) => watchesNamespaces || kind !== 'Namespace',
    );
    const served = new Map(wanted.map((resource) => [resource.kind, resource]));
    this.#served = served;
    const added = [...served.values()].filter(
      ({ kind, version }) => this.#kinds.get(kind)?.resource.version !== version,
    );
    for (const resource of added) this.#start(resource);
    if (added.length > 0) {
      this.#options.log('info', `Gateway API is installed: watching ${versionsOf(added)}`);
      this.#late = false;
      this.#cancel();
      this.#cancel = this.#options.clock.setTimeout(() => this.#joinLate(), JOIN_WITHIN_MS);
    }
    this.#removeMissing();
    this.#options.onStateChange();
  }

  #start(resource: Resource): void {
    const before = this.#kinds.get(resource.kind);
    // Under another version: what there is replaces what there was in one step.
    const kind: WatchedKind = { resource, reflectors: [], held: before ? [...drop(before)] : [] };
    this.#kinds.set(resource.kind, kind);
    const isCurrent = (): boolean => this.#kinds.get(resource.kind) === kind;
    kind.reflectors = this.#options.watch(resource, {
      onChanges: (changes) => {
        if (!isCurrent()) return;
        if (kind.held) kind.held.push(...changes);
        else this.#options.onChanges(changes);
      },
      onListed: () => isCurrent() && this.#join(),
      onStateChange: () => {
        if (!isCurrent()) return;
        if (kind.reflectors.some(({ missing }) => missing)) this.#onMissing();
        this.#options.onStateChange();
      },
    });
  }

  #joinLate(): void {
    this.#late = true;
    this.#join();
    const late = [...this.#kinds.values()].filter(({ held }) => held !== null);
    if (late.length === 0) return;
    const seconds = JOIN_WITHIN_MS / 1000;
    const names = versionsOf(late.map(({ resource }) => resource));
    this.#options.log(
      'warn',
      `${names} could not be listed for ${seconds} s: the other kinds are served now`,
    );
  }

  /** Adds to the snapshot what was held, when nothing else has to be waited for. */
  #join(): void {
    const waiting = [...this.#kinds.values()].filter(({ held }) => held !== null);
    const listed = waiting.filter(({ reflectors }) => reflectors.every((reflector) => reflector.listed));
    if (listed.length < waiting.length && !this.#late) return;
    if (listed.length === waiting.length) this.#cancel();
    const changes = listed.flatMap(({ held }) => held ?? []);
    for (const kind of listed) kind.held = null;
    if (changes.length > 0) this.#options.onChanges(changes);
    this.#options.onStateChange();
  }

  /** A watch was told that there is no such kind: whether that is so, discovery says. */
  #onMissing(): void {
    if (!this.#removeMissing()) this.#poll.wake();
  }

  /**
   * Takes away the kinds that are gone. Two must say so, the watch and discovery: a proxy in between may answer 404 to
   * anything, and one of several API servers may be behind.
   */
  #removeMissing(): boolean {
    const isGone = ({ resource, reflectors }: WatchedKind): boolean =>
      this.#served?.has(resource.kind) === false && reflectors.some(({ missing }) => missing);
    const gone = [...this.#kinds.values()].filter(isGone);
    const left = [...this.#kinds.values()].filter((kind) => !gone.includes(kind));
    // Namespaces are there for the others.
    if (left.every(({ resource }) => !resource.custom)) gone.push(...left);
    if (gone.length === 0) return false;
    const changes = gone.flatMap((kind) => [...(kind.held ?? []), ...drop(kind)]);
    for (const { resource } of gone) this.#kinds.delete(resource.kind);
    this.#options.log('info', `no longer installed: ${versionsOf(gone.map(({ resource }) => resource))}`);
    if (changes.length > 0) this.#options.onChanges(changes);
    this.#join();
    return true;
  }

  #isAnyHeld(): boolean {
    return [...this.#kinds.values()].some(({ held }) => held !== null);
  }
}

/** Ends the watches of a kind; gives the changes that take its objects out of the snapshot. */
function drop({ reflectors }: WatchedKind): readonly ObjectChange[] {
  for (const reflector of reflectors) void reflector.stop();
  return reflectors.flatMap((reflector) => reflector.drop());
}

/** `Gateway v1, TCPRoute v1alpha2` */
function versionsOf(resources: readonly Resource[]): string {
  return resources.map(({ kind, version }) => `${kind} ${version}`).join(', ');
}
