import { type Kind, type Kinds } from '../model/objects.ts';
import type { Problem } from '../model/problem.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, type Snapshot, applyChanges } from '../model/snapshot.ts';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import { RESYNC_WITHIN_MS, type ResyncGate, startResyncGate } from './resync-gate.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { advanceEndpoints } from './hold-off.ts';
import type { Log } from '../kubernetes/log.ts';
import { Reflector } from './reflector.ts';
import { RESOURCES, missingRight } from '../kubernetes/resources.ts';
import type { Source, SourceEvent, WatchState } from './source.ts';

export interface ClusterSourceOptions {
  /** Closed when the source stops. */
  readonly api: ApiConnection;
  /** Whether objects of a namespace are wanted (`--watch-namespace`). */
  readonly watchNamespaces: (namespace: string) => boolean;
  /** The namespaces themselves when no glob is involved: each is then listed alone, so that Roles suffice. */
  readonly namespaces?: readonly string[] | undefined;
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

/**
 * Watches a cluster: one reflector per kind (and namespace), one snapshot. `onDirty` is called after the snapshot
 * changed, for the first time when everything has been listed once; before that a snapshot is incomplete. While kinds
 * come back from an outage the snapshot keeps its routes, and only its endpoints advance.
 */
export class ClusterSource implements Source {
  readonly synced: Promise<void>;

  readonly #api: ApiConnection;
  readonly #log: Log;
  readonly #onDirty: (what: SourceEvent) => void;
  readonly #reflectors: readonly Reflector[];
  readonly #gate: ResyncGate;
  readonly #resolveSynced: () => void;
  /** Everything that is known. */
  #known = BEFORE_LISTING;
  /** Of that, what may be served. */
  #snapshot = BEFORE_LISTING;
  #isSynced = false;
  /** Which reflectors lacked a right when that was last looked at. */
  #forbidden = '';

  constructor(options: ClusterSourceOptions, onDirty: (what: SourceEvent) => void) {
    const { api, clock, random, namespaces, watchNamespaces, onUnreachable = () => {} } = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
    this.#api = api;
    this.#onDirty = onDirty;
    this.#log = once(options.log, clock);
    this.#gate = startResyncGate({
      clock,
      current: () => this.#reflectors.every(({ current }) => current),
      onRelease: (late) => this.#onRelease(late),
    });
    const common = {
      ...{ api, clock, random, onUnreachable },
      log: this.#log,
      onChanges: (changes: readonly ObjectChange[]) => this.#onChanges(changes),
      onListed: () => this.#onListed(),
      onAnswered: () => this.#reflectors.forEach((reflector) => reflector.wake()),
      onStateChange: () => this.#onStateChange(),
    };
    // None calls back before all are made: each waits for the API server first.
    this.#reflectors = RESOURCES.flatMap((resource) =>
      (resource.namespaced && namespaces ? [...new Set(namespaces)] : [undefined]).map(
        (namespace) =>
          new Reflector({
            ...common,
            resource,
            namespace,
            wanted: (place) => !resource.namespaced || watchNamespaces(place),
          }),
      ),
    );
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  problems(): readonly Problem[] {
    return this.#reflectors.flatMap(problemsOf);
  }

  states(): readonly WatchState[] {
    return RESOURCES.map(({ kind }) =>
      stateOf(
        kind,
        this.#reflectors.filter(({ resource }) => resource.kind === kind),
      ),
    );
  }

  /** Ends the watches and closes the connection to the API server. */
  async stop(): Promise<void> {
    this.#gate.stop();
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
    this.#api.close();
  }

  #tell(what: SourceEvent): void {
    try {
      this.#onDirty(what);
    } catch (error) {
      this.#log('error', 'a listener of the watch failed; watching continues', { err: error });
    }
  }

  #onChanges(changes: readonly ObjectChange[]): void {
    const next = applyChanges(this.#known, changes);
    if (next === this.#known) return;
    this.#known = next;
    const routes = changes.some(({ kind }) => kind !== 'EndpointSlice');
    const before = this.#snapshot;
    const waits = this.#isSynced && (routes ? !this.#gate.ready() : this.#gate.waiting());
    this.#snapshot = waits ? advanceEndpoints(before, next) : next;
    if (this.#isSynced && this.#snapshot !== before) this.#tell(routes ? 'routes' : 'endpoints');
  }

  #onListed(): void {
    if (this.#isSynced || !this.#reflectors.every(({ listed }) => listed)) return;
    this.#isSynced = true;
    this.#log('info', `everything is listed from ${this.#api.server}`, {
      objects: objectsOf(this.#snapshot),
    });
    this.#resolveSynced();
    this.#tell('routes');
  }

  #onRelease(late: boolean): void {
    this.#snapshot = this.#known;
    if (late) this.#log('warn', `${behind(this.#reflectors)}: the changes of the other kinds are served now`);
    this.#tell('routes');
  }

  #onStateChange(): void {
    this.#gate.reconcile();
    // A right that comes or goes changes the problems of every object that needs it.
    const now = this.#reflectors.map((reflector) => reflector.forbidden !== null).join();
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

function objectsOf({ ingresses, ingressClasses, services, endpointSlices, secrets }: Snapshot) {
  return {
    Ingress: ingresses.size,
    IngressClass: ingressClasses.size,
    Service: services.size,
    EndpointSlice: endpointSlices.size,
    Secret: secrets.size,
  } satisfies Record<keyof Kinds, number>;
}

function problemsOf({ resource, namespace, forbidden }: Reflector): Problem[] {
  if (forbidden === null) return [];
  return [
    {
      code: 'ListForbidden',
      severity: resource.required ? 'error' : 'warning',
      object: { kind: resource.kind, name: '*', ...(namespace === undefined ? {} : { namespace }) },
      field: '',
      message: `${missingRight(resource, namespace)} Meanwhile ${resource.consequence}. (${forbidden})`,
    },
  ];
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
        : `${missingRight(failing.resource, failing.namespace)} (${failing.forbidden})`
      : null,
  };
}
