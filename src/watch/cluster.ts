import { type Kind, type Kinds } from '../model/objects.ts';
import type { Problem } from '../model/problem.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, type Snapshot, applyChanges } from '../model/snapshot.ts';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import { RESYNC_WITHIN_MS, startResyncGate } from './resync-gate.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { advanceEndpoints } from './hold-off.ts';
import type { Log } from '../kubernetes/log.ts';
import { Reflector } from './reflector.ts';
import { RESOURCES, missingRight } from '../kubernetes/resources.ts';
import type { Source, SourceEvent, WatchState } from './source.ts';

export interface ClusterSourceOptions {
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
 * changed, for the first time when everything has been listed once; before that a snapshot is half a truth. So it is
 * while kinds come back from an outage: then the snapshot keeps its routes, and only its endpoints advance.
 */
export function startClusterSource(
  options: ClusterSourceOptions,
  onDirty: (what: SourceEvent) => void,
): Source {
  const { api, clock, random, namespaces, watchNamespaces, onUnreachable = () => {} } = options;
  const log = once(options.log, clock);
  /** Everything that is known, and of that what may be served. */
  let known = BEFORE_LISTING;
  let snapshot = known;
  let synced = false;
  const { promise, resolve } = Promise.withResolvers<void>();

  const tell = (what: SourceEvent): void => {
    try {
      onDirty(what);
    } catch (error) {
      log('error', 'a listener of the watch failed; watching continues', { err: error });
    }
  };

  const onChanges = (changes: readonly ObjectChange[]): void => {
    const next = applyChanges(known, changes);
    if (next === known) return;
    known = next;
    const routes = changes.some(({ kind }) => kind !== 'EndpointSlice');
    const before = snapshot;
    const waits = synced && (routes ? !gate.ready() : gate.waiting());
    snapshot = waits ? advanceEndpoints(snapshot, known) : known;
    if (synced && snapshot !== before) tell(routes ? 'routes' : 'endpoints');
  };

  const gate = startResyncGate({
    clock,
    current: () => reflectors.every(({ current }) => current),
    onRelease(late) {
      snapshot = known;
      if (late) log('warn', `${behind(reflectors)}: the changes of the other kinds are served now`);
      tell('routes');
    },
  });

  const onListed = (): void => {
    // The first reflectors may be listed before the last one is made.
    if (synced || reflectors.length < wanted.length || !reflectors.every(({ listed }) => listed)) return;
    synced = true;
    log('info', `everything is listed from ${api.server}`, { objects: objectsOf(snapshot) });
    resolve();
    tell('routes');
  };

  const wanted = RESOURCES.flatMap((resource) =>
    (resource.namespaced && namespaces ? [...new Set(namespaces)] : [undefined]).map((namespace) => ({
      resource,
      namespace,
      wanted: (place: string) => !resource.namespaced || watchNamespaces(place),
    })),
  );
  const reflectors: Reflector[] = [];
  let forbidden = '';
  const onStateChange = (): void => {
    gate.reconcile();
    // A right that comes or goes changes what is said of every object that needs it.
    const now = reflectors.map((reflector) => reflector.forbidden !== null).join();
    const changed = now !== forbidden;
    forbidden = now;
    if (synced && changed) tell('routes');
  };
  const onAnswered = (): void => reflectors.forEach((reflector) => reflector.wake());
  const common = { api, clock, random, log, onChanges, onListed, onUnreachable, onAnswered, onStateChange };
  for (const what of wanted) reflectors.push(new Reflector({ ...common, ...what }));

  return {
    synced: promise,
    snapshot: () => snapshot,
    problems: () => reflectors.flatMap(problemsOf),
    states: () =>
      RESOURCES.map(({ kind }) =>
        stateOf(
          kind,
          reflectors.filter(({ resource }) => resource.kind === kind),
        ),
      ),
    async stop() {
      gate.stop();
      await Promise.all(reflectors.map((reflector) => reflector.stop()));
    },
  };
}

/** What five kinds say within ten seconds is said aloud by the first of them. */
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
