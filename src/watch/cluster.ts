import {
  type ConfigMap,
  type Kind,
  type ObjectKey,
  type Reference,
  namespaceOf,
  referenceParts,
} from '../model/objects.ts';
import type { Problem } from '../model/problem.ts';
import { get } from '../model/sharded-map.ts';
import {
  EMPTY_SNAPSHOT,
  type ObjectChange,
  type Snapshot,
  type Unreadable,
  applyChanges,
  applyUnreadable,
  objectCounts,
} from '../model/snapshot.ts';
import { namedByOptions } from '../policies/named-by-annotations.ts';
import { readGlobalOptions } from '../routing/global-options.ts';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import { RESYNC_WITHIN_MS, type ResyncGate, startResyncGate } from './resync-gate.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { DiscoveredKinds } from './discovered-kinds.ts';
import { advanceEndpoints } from './hold-off.ts';
import type { Log } from '../kubernetes/log.ts';
import { type NamingSettings, isDeciding, namedBy, namingObjects } from './named-by.ts';
import { NamedObjects } from './named-objects.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import {
  GATEWAY_GROUP,
  NAMESPACES,
  RESOURCES,
  type Resource,
  missingRight,
  namedResource,
} from '../kubernetes/resources.ts';
import type { Source, SourceEvent, WatchState } from './source.ts';

export interface ClusterSourceOptions {
  /** Closed when the source stops. */
  readonly api: ApiConnection;
  /** Whether objects of a namespace are wanted (`--watch-namespace`). */
  readonly watchNamespaces: (namespace: string) => boolean;
  /** The namespaces themselves when no glob is involved: each is then listed alone, so that Roles suffice. */
  readonly namespaces?: readonly string[] | undefined;
  /**
   * Which objects are ours: what they name is watched, too. Without it nothing of that kind is, nor the kinds of Gateway
   * API, which are watched where they are installed if there is a `gatewayController`.
   */
  readonly naming?: NamingSettings | undefined;
  /** For the watches of single objects, which are many; `api` unless said. */
  readonly namedApi?: ApiConnection;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  /** A list or a watch failed for another reason than missing rights. */
  readonly onUnreachable?: () => void;
}

/** Counted on from a snapshot that was restored from a file, whose generation is 1. */
const BEFORE_LISTING: Snapshot = { ...EMPTY_SNAPSHOT, generation: 2 };

const REPEATED_WITHIN_MS = 10_000;
/** How long the first snapshot waits to hear whether Gateway API is installed, when all else is listed. */
const DISCOVERED_WITHIN_MS = 10_000;

/**
 * Watches a cluster: one reflector per kind (and namespace), one snapshot. `onDirty` is called after the snapshot
 * changed, for the first time when everything has been listed once; before that a snapshot is incomplete. Kinds of
 * Gateway API come and go. While kinds come back from an outage the snapshot keeps its routes, and only its endpoints
 * advance.
 */
export class ClusterSource implements Source {
  readonly synced: Promise<void>;

  readonly #api: ApiConnection;
  readonly #namedApi: ApiConnection;
  readonly #log: Log;
  readonly #onDirty: (what: SourceEvent) => void;
  /** Of the kinds that are always there. */
  /** The kinds that are watched whatever there is. */
  readonly #resources: readonly Resource[];
  readonly #builtIn: readonly Reflector[];
  /** Null when Gateway API is not wanted. */
  readonly #discovered: DiscoveredKinds | null;
  /** What annotations name. */
  readonly #named: NamedObjects;
  readonly #gate: ResyncGate;
  readonly #resolveSynced: () => void;
  readonly #configMapKey: ObjectKey | null;
  /** The ConfigMap of ingress-nginx as it was last read, and what decides with it. */
  #configMap: ConfigMap | undefined = undefined;
  readonly #isAllowedByFlag: boolean;
  /** Ends the wait for discovery; null while nothing waits. */
  #cancelDiscovery: (() => void) | null = null;
  /** Whether discovery was waited for in vain. */
  #isDiscoveryLate = false;
  readonly #clock: Clock;
  #naming: NamingSettings | undefined;
  /** Everything that is known. */
  #known = BEFORE_LISTING;
  /** Of that, what may be served. */
  #snapshot = BEFORE_LISTING;
  /** Whether every kind is listed, so that it is known which Ingresses are ours and what they name. */
  #isListed = false;
  /** Whether that is known, too. */
  #isSynced = false;
  /** Which reflectors lacked a right when that was last looked at. */
  #forbidden = '';

  constructor(options: ClusterSourceOptions, onDirty: (what: SourceEvent) => void) {
    const { api, clock, random, namespaces, watchNamespaces, onUnreachable = () => {} } = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
    this.#api = api;
    this.#clock = clock;
    this.#namedApi = options.namedApi ?? api;
    this.#onDirty = onDirty;
    this.#configMapKey = options.naming?.ingressNginxConfigMap ?? null;
    this.#naming = options.naming;
    this.#isAllowedByFlag = options.naming?.allowCrossNamespaceReferences ?? false;
    this.#log = once(options.log, clock);
    this.#gate = startResyncGate({
      clock,
      current: () => this.#reflectors().every(({ current }) => current),
      onRelease: (late) => this.#onRelease(late),
    });
    const common = {
      ...{ api, clock, random, onUnreachable },
      log: this.#log,
      onChanges: (changes: readonly ObjectChange[]) => this.#onChanges(changes),
      onListed: () => this.#onListed(),
      onAnswered: () => {
        this.#discovered?.wake();
        for (const each of [...this.#builtIn, ...this.#named.reflectors()]) each.wake();
      },
      onStateChange: () => this.#onStateChange(),
    };
    this.#named = new NamedObjects({
      clock,
      namedBy: (change) => (this.#naming ? namedBy(change, this.#known, this.#naming) : []),
      watch: (reference, told) => new Reflector({ ...common, ...told, ...namedWatch(reference, options) }),
      onChanges: (changes) => this.#onChanges(changes),
      onUnreadable: (reference, reason) => this.#onUnreadable(reference, reason),
    });
    // None calls back before all are made: each waits for the API server first.
    const watch = (resource: Resource, told: Partial<ReflectorOptions> = {}): readonly Reflector[] =>
      (resource.namespaced && namespaces ? [...new Set(namespaces)] : [undefined]).map(
        (namespace) =>
          new Reflector({
            ...common,
            ...told,
            resource,
            namespace,
            wanted: (place) => !resource.namespaced || watchNamespaces(place),
          }),
      );
    this.#resources = options.naming?.namespaceSelector ? [...RESOURCES, NAMESPACES] : RESOURCES;
    this.#builtIn = this.#resources.flatMap((resource) => watch(resource));
    this.#discovered = options.naming?.gatewayController
      ? new DiscoveredKinds({
          ...{ api, clock, random, watch },
          watchesNamespaces: !this.#resources.includes(NAMESPACES),
          log: this.#log,
          onChanges: (changes) => this.#onChanges(changes),
          onStateChange: () => {
            this.#onListed();
            this.#onStateChange();
          },
        })
      : null;
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  problems(): readonly Problem[] {
    return [...rightProblems(this.#reflectors()), ...discoveryProblems(this.#discovered)];
  }

  states(): readonly WatchState[] {
    const kinds = [...this.#resources, ...(this.#discovered?.joined() ?? [])].map(({ kind }) => kind);
    return kinds.map((kind) =>
      stateOf(
        kind,
        this.#reflectors().filter(({ resource }) => resource.kind === kind),
      ),
    );
  }

  /** Ends the watches and closes the connections to the API server. */
  async stop(): Promise<void> {
    this.#gate.stop();
    this.#cancelDiscovery?.();
    await Promise.all([
      this.#discovered?.stop(),
      this.#named.stop(),
      ...this.#builtIn.map((reflector) => reflector.stop()),
    ]);
    this.#api.close();
    this.#namedApi.close();
  }

  /** Of the kinds that the snapshot has. */
  #reflectors(): readonly Reflector[] {
    return [...this.#builtIn, ...(this.#discovered?.reflectors() ?? [])];
  }

  #tell(what: SourceEvent): void {
    try {
      this.#onDirty(what);
    } catch (error) {
      this.#log('error', 'a listener of the watch failed; watching continues', { err: error });
    }
  }

  #onChanges(changes: readonly ObjectChange[]): void {
    const before = this.#known;
    // Classes come first: they decide whose objects may name others.
    const deciding = changes.filter(({ kind }) => isDeciding(kind, this.#naming));
    const others =
      deciding.length > 0 ? changes.filter(({ kind }) => !isDeciding(kind, this.#naming)) : changes;
    this.#known = applyChanges(before, deciding);
    const isOtherClass = this.#known !== before;
    const ready = this.#isListed ? this.#named.admit(others) : others;
    this.#known = applyChanges(this.#known, ready);
    if (this.#known === before) return;
    const haveNamesChanged = this.#readConfigMap() || isOtherClass;
    if (haveNamesChanged && this.#isListed) this.#followNames();
    const isOfRoutes = isOtherClass || ready.some(({ kind }) => kind !== 'EndpointSlice');
    this.#advance(isOfRoutes ? 'routes' : 'endpoints');
  }

  #onUnreadable(reference: Reference, reason: Unreadable | null): void {
    const next = applyUnreadable(this.#known, reference, reason);
    if (next === this.#known) return;
    this.#known = next;
    this.#advance('routes');
  }

  /** Watches what the objects that are ours by the classes of now name. */
  #followNames(): void {
    const key = this.#configMapKey;
    const kept = [
      ...configMapsOf(this.#naming).map((each) => `ConfigMap ${each}` as const),
      ...(key === null ? [] : namedByOptions(key, this.#configMap)),
    ];
    const gone = [...this.#named.keep(kept), ...this.#named.follow(namingObjects(this.#known))];
    this.#known = applyChanges(this.#known, gone);
  }

  /** Whether the ConfigMap of ingress-nginx is another one, so that other objects may be named. */
  #readConfigMap(): boolean {
    const key = this.#configMapKey;
    const configMap = key === null ? undefined : get(this.#known.configMaps, key);
    if (key === null || !this.#naming || configMap === this.#configMap) return false;
    this.#configMap = configMap;
    const allowed = configMap && readGlobalOptions(key, configMap).options.allowCrossNamespaceReferences;
    this.#naming = { ...this.#naming, allowCrossNamespaceReferences: allowed ?? this.#isAllowedByFlag };
    return true;
  }

  /** Serves what is known, unless it has to wait. */
  #advance(what: SourceEvent): void {
    const before = this.#snapshot;
    const waits = this.#isSynced && (what === 'routes' ? !this.#gate.ready() : this.#gate.waiting());
    this.#snapshot = waits ? advanceEndpoints(before, this.#known) : this.#known;
    if (this.#isSynced && this.#snapshot !== before) this.#tell(what);
  }

  #onListed(): void {
    if (this.#isListed || !this.#builtIn.every(({ listed }) => listed)) return;
    if (this.#discovered?.settled === false && !this.#isDiscoveryLate) {
      this.#cancelDiscovery ??= this.#clock.setTimeout(() => {
        this.#isDiscoveryLate = true;
        this.#onListed();
      }, DISCOVERED_WITHIN_MS);
      return;
    }
    this.#cancelDiscovery?.();
    this.#isListed = true;
    this.#followNames();
    void this.#named.allKnown().then(() => {
      this.#isSynced = true;
      this.#snapshot = this.#known;
      const objects = objectCounts(this.#snapshot);
      this.#log('info', `everything is listed from ${this.#api.server}`, { objects });
      this.#resolveSynced();
      this.#tell('routes');
    });
  }

  #onRelease(late: boolean): void {
    this.#snapshot = this.#known;
    if (late)
      this.#log('warn', `${behind(this.#reflectors())}: the changes of the other kinds are served now`);
    this.#tell('routes');
  }

  #onStateChange(): void {
    this.#gate.reconcile();
    // A right that comes or goes changes the problems of every object that needs it.
    const reflectors = this.#reflectors().map(({ forbidden }) => forbidden !== null);
    const now = [...reflectors, (this.#discovered?.forbidden ?? null) !== null].join();
    const changed = now !== this.#forbidden;
    this.#forbidden = now;
    if (this.#isSynced && changed) this.#tell('routes');
  }
}

/** What several kinds log within ten seconds is logged above `debug` by the first of them. */
function once(log: Log, clock: Clock): Log {
  let last = { message: '', at: -Infinity };
  return (level, message, fields) => {
    const repeated = message === last.message && clock.wallMs() - last.at < REPEATED_WITHIN_MS;
    if (!repeated) last = { message, at: clock.wallMs() };
    log(repeated && level !== 'error' ? 'debug' : level, message, fields);
  };
}

/** `Service, Secret could not be read again for 60 s` */
function behind(reflectors: readonly Reflector[]): string {
  const kinds = new Set(reflectors.filter(({ current }) => !current).map(({ resource }) => resource.kind));
  return `${[...kinds].join(', ')} could not be read again for ${RESYNC_WITHIN_MS / 1000} s`;
}

/** Those that flags name. */
function configMapsOf(naming: NamingSettings | undefined): readonly ObjectKey[] {
  const { ingressNginxConfigMap, tcpServicesConfigMap, udpServicesConfigMap } = naming ?? {};
  return [ingressNginxConfigMap, tcpServicesConfigMap, udpServicesConfigMap].flatMap((key) => key ?? []);
}

function namedWatch(
  reference: Reference,
  { namedApi, api, naming, watchNamespaces }: ClusterSourceOptions,
): Pick<ReflectorOptions, 'api' | 'resource' | 'namespace' | 'wanted'> {
  const { kind, key } = referenceParts(reference);
  const namespace = namespaceOf(key);
  const resource = namedResource(kind, key.slice(namespace.length + 1));
  const homes = new Set(configMapsOf(naming).map(namespaceOf));
  const wanted = (place: string): boolean => homes.has(place) || watchNamespaces(place);
  return { api: namedApi ?? api, resource, namespace, wanted };
}

/** What may not be read: a line for each kind, but one for all kinds of Gateway API, which are granted together. */
function rightProblems(reflectors: readonly Reflector[]): Problem[] {
  const forbidden = reflectors.filter((reflector) => reflector.forbidden !== null);
  const groups = Map.groupBy(forbidden, ({ resource, namespace = '' }) =>
    resource.custom ? namespace : `${resource.kind} ${namespace}`,
  );
  return [...groups.values()].flatMap((group): Problem[] => {
    const [first] = group;
    if (!first) return [];
    const { resource, namespace } = first;
    const right = missingRight(
      group.map((each) => each.resource),
      namespace,
    );
    // Without Gateways nothing else of Gateway API matters.
    const isAll = ['GatewayClass', 'Gateway'].includes(resource.kind);
    const consequences = new Set((isAll ? [first] : group).map((each) => each.resource.consequence));
    return [
      {
        code: 'ListForbidden',
        severity: resource.required ? 'error' : 'warning',
        object: { kind: resource.kind, name: '*', ...(namespace === undefined ? {} : { namespace }) },
        field: '',
        message: `${right} Meanwhile ${[...consequences].join(', and ')}. (${first.forbidden})`,
      },
    ];
  });
}

function discoveryProblems(discovered: DiscoveredKinds | null): Problem[] {
  const forbidden = discovered?.forbidden ?? null;
  if (forbidden === null) return [];
  const right =
    'bind the ClusterRole system:discovery to its ServiceAccount, or give Portico --gateway-api false';
  const message = `Portico may not ask what the API server serves: ${right}. Meanwhile no Gateway is served. (${forbidden})`;
  const object = { kind: 'APIGroup', name: GATEWAY_GROUP };
  return [{ code: 'DiscoveryForbidden', severity: 'warning', object, field: '', message }];
}

function stateOf(kind: Kind, reflectors: readonly Reflector[]): WatchState {
  const sum = (of: (reflector: Reflector) => number): number =>
    reflectors.reduce((total, reflector) => total + of(reflector), 0);
  const heard = reflectors.map(({ lastEventAt }) => lastEventAt).filter((at) => at !== null);
  const failing = reflectors.find(({ lastError }) => lastError !== null);
  return {
    kind,
    synced: reflectors.every(({ listed }) => listed),
    connected: reflectors.every(({ listed, lastError }) => listed && lastError === null),
    objects: sum(({ objects }) => objects),
    lastEventAt: heard.length > 0 ? Math.max(...heard) : null,
    relists: sum(({ relists }) => relists),
    errors: sum(({ errors }) => errors),
    lastError: failing
      ? failing.forbidden === null
        ? failing.lastError
        : `${missingRight([failing.resource], failing.namespace)} (${failing.forbidden})`
      : null,
  };
}
