import { type SecureContext, createSecureContext } from 'node:tls';
import { isIP } from 'node:net';
import type {
  Subrequest,
  SubrequestBackend,
  SubrequestFailure,
  SubrequestOutcome,
  SubrequestTarget,
} from '../../http/subrequest.ts';
import { type NameRules, refusedName } from '../../model/refused-addresses.ts';
import { endpointState } from '../balance/endpoint-state.ts';
import type { ExternalNames } from '../balance/external-names.ts';
import { DeadlineLists, Deadlines } from '../deadlines.ts';
import type { Leniency } from '../http1/leniency.ts';
import type { Limits } from '../limits.ts';
import { acquireUpstream } from '../upstream/acquire-upstream.ts';
import { UpstreamPool } from '../upstream/upstream-pool.ts';
import type { UpstreamTls } from '../upstream/tls-terms.ts';
import type { UpstreamTransport } from '../upstream/upstream-transport.ts';
import { UpstreamSessions } from '../upstream/http2/upstream-sessions.ts';
import { NodeSockets, type Sockets } from '../sockets/sockets.ts';
import { WriteBuffer } from '../write-buffer.ts';
import { AskedNames } from './asked-names.ts';
import { FairPlaces } from '../fair-places.ts';
import { HeldBytes } from './held-bytes.ts';
import { type Hop, type SubrequestConnections, SubrequestExchange } from './subrequest-exchange.ts';
import { subrequestHead } from './subrequest-head.ts';

export interface SubrequestsSettings {
  readonly names: ExternalNames;
  readonly rules: NameRules;
  /** What connections are made of; sockets of Node when absent. */
  readonly sockets?: Sockets;
  /** An endpoint of a backend of the table, and how it is spoken to; null when there is none. */
  chooseEndpoint?(to: SubrequestBackend): Hop | null;
  /** Milliseconds, from any moment on. */
  readonly now: () => number;
  /** What one upstream may cost. */
  readonly upstreams: Limits;
  /** How responses are read. */
  readonly leniency: Leniency;
  readonly onFault: (fault: unknown) => void;
  readonly limits?: Partial<SubrequestLimits>;
}

/** Of one data-plane thread. */
export interface SubrequestLimits {
  /** Under way at a time. */
  readonly perNamespace: number;
  readonly total: number;
  /** The same of those that nobody waits for. */
  readonly background: { readonly perServer: number; readonly perNamespace: number; readonly total: number };
  readonly idleConnections: { readonly perServer: number; readonly total: number };
  /**
   * Names of servers of one namespace. One that was not asked for in `giveWayMs` gives way to another when there are so
   * many, and is forgotten after `forgetMs`.
   */
  readonly names: number;
  readonly giveWayMs: number;
  readonly forgetMs: number;
  /** What is sent and what came, of all namespaces: see `HeldBytes`. */
  readonly heldBytes: number;
}

const DEFAULT_LIMITS: SubrequestLimits = {
  perNamespace: 256,
  total: 1_024,
  background: { perServer: 32, perNamespace: 64, total: 256 },
  idleConnections: { perServer: 64, total: 1_024 },
  names: 100,
  giveWayMs: 10_000,
  forgetMs: 600_000,
  heldBytes: 16 * 1024 * 1024,
};

const COARSEST_SWEEP_MS = 500;
/** For a body that nobody waits for. */
const DISCARD_MS = 10_000;

/**
 * Sends the requests of policies, over connections that are kept for each namespace by itself: none uses those of another,
 * or takes the room of all. What names lead to comes from the control thread, checked as for ExternalNames.
 */
export class Subrequests {
  readonly #settings: SubrequestsSettings;
  readonly #names: AskedNames;
  readonly #pool: UpstreamPool;
  readonly #sessions: UpstreamSessions;
  readonly #deadlines: Deadlines;
  readonly #connections: SubrequestConnections;
  readonly #perServer: number;
  readonly #awaited: FairPlaces<SubrequestExchange>;
  readonly #inBackground: FairPlaces<SubrequestExchange>;
  /** Those in background, by namespace and server. */
  readonly #toServers = new Map<string, number>();
  /** Requests that nobody waits for, and that were left out or broken off because their server is behind. */
  dropped = 0;

  constructor(settings: SubrequestsSettings) {
    const limits = { ...DEFAULT_LIMITS, ...settings.limits };
    const { upstreams, leniency, now, onFault, sockets = new NodeSockets() } = settings;
    this.#settings = settings;
    this.#names = new AskedNames(settings.names, limits);
    const { background } = limits;
    const evict = ([oldest]: ReadonlySet<SubrequestExchange>): void => oldest?.fail('too-many');
    this.#perServer = background.perServer;
    this.#awaited = new FairPlaces(limits.total, limits.perNamespace, evict);
    this.#inBackground = new FairPlaces(background.total, background.perNamespace, (exchanges) => {
      this.dropped++;
      evict(exchanges);
    });
    const deadlines = new Deadlines(COARSEST_SWEEP_MS, onFault);
    this.#deadlines = deadlines;
    // A write buffer of its own: a request of a client may be half put together in the other one.
    const output = new WriteBuffer();
    const pool = new UpstreamPool(upstreams, leniency, deadlines, output, sockets, limits.idleConnections);
    this.#pool = pool;
    const sessions = new UpstreamSessions(upstreams, deadlines, sockets);
    this.#sessions = sessions;
    const expire = (exchange: SubrequestExchange): void => exchange.timedOut();
    const timeouts = new DeadlineLists(deadlines, expire);
    this.#connections = {
      acquire: (state, transport, fresh, user) =>
        acquireUpstream({ pool, sessions }, state, transport, fresh, upstreams.connectTimeoutMs, user),
      timeout: (timeoutMs) => timeouts.of(timeoutMs),
      discards: deadlines.list(DISCARD_MS, expire),
      held: new HeldBytes(limits.heldBytes),
      now,
      onFault,
    };
  }

  /** Never rejects. */
  send(request: Subrequest): Promise<SubrequestOutcome> {
    const head = subrequestHead(request);
    if (head === null) {
      request.body?.drop();
      return failed('protocol-error');
    }
    const { promise, resolve } = Promise.withResolvers<SubrequestOutcome>();
    const tell = (outcome: SubrequestOutcome): void => {
      if (outcome.kind === 'failed' && outcome.reason === 'behind') this.dropped++;
      resolve(outcome);
    };
    const onOver = (): void => this.#release(request, exchange);
    const exchange = new SubrequestExchange(this.#connections, request, head, tell, onOver);
    exchange.begin(() => {
      try {
        if (this.#take(request, exchange)) this.#route(request, exchange);
        else exchange.fail('too-many');
      } catch (fault) {
        exchange.onFault(fault);
      }
    });
    return promise;
  }

  /** Endpoints left the table: nothing more is sent to them. */
  retire(endpointKeys: Iterable<string>): void {
    for (const key of endpointKeys) {
      this.#pool.retire(key);
      this.#sessions.retire(key);
    }
  }

  /** No file descriptor is left: closes some idle connections. */
  closeOldestIdle(): void {
    this.#pool.closeOldestIdle();
  }

  /** Closes all connections. */
  close(): void {
    this.#pool.destroy();
    this.#sessions.destroy();
    this.#names.close();
    this.#deadlines.stop();
  }

  /** Whether there is a place for it. */
  #take({ namespace, background }: Subrequest, exchange: SubrequestExchange): boolean {
    if (background === undefined) return this.#awaited.take(namespace, exchange);
    const server = `${namespace} ${background}`;
    const toServer = this.#toServers.get(server) ?? 0;
    if (toServer >= this.#perServer || !this.#inBackground.take(namespace, exchange)) {
      this.dropped++;
      return false;
    }
    this.#toServers.set(server, toServer + 1);
    return true;
  }

  #release({ namespace, background }: Subrequest, exchange: SubrequestExchange): void {
    if (background === undefined) return void this.#awaited.release(namespace, exchange);
    if (!this.#inBackground.release(namespace, exchange)) return;
    const server = `${namespace} ${background}`;
    const left = (this.#toServers.get(server) ?? 1) - 1;
    if (left > 0) this.#toServers.set(server, left);
    else this.#toServers.delete(server);
  }

  #route({ to, namespace }: Subrequest, exchange: SubrequestExchange): void {
    if ('backend' in to) {
      const hop = this.#settings.chooseEndpoint?.(to) ?? null;
      return hop === null ? exchange.fail('no-endpoint') : exchange.start(hop);
    }
    const { names, rules, now } = this.#settings;
    if (refusedName(to.host, namespace, rules) !== null) return exchange.fail('host-refused');
    if (isIP(to.host) !== 0) return exchange.start(hopTo(to, namespace));
    if (!this.#names.keep(to.host, namespace, now())) return exchange.fail('too-many');
    const start = (): void => {
      const name = names.get(to.host, namespace);
      if (name === undefined || name.addresses.length === 0) return exchange.fail('host-unresolved');
      exchange.start(hopTo(to, namespace, name));
    };
    const pending = names.pendingFor(to.host, namespace);
    if (pending === null) return start();
    pending.then(start).catch((fault: unknown) => exchange.onFault(fault));
  }
}

function failed(reason: SubrequestFailure): Promise<SubrequestOutcome> {
  return Promise.resolve({ kind: 'failed', reason });
}

/** A name in another namespace is another one: they share no connection. */
function hopTo(to: SubrequestTarget, namespace: string, name?: Parameters<typeof endpointState>[1]): Hop {
  const { host, port, scheme } = to;
  const state = { ...endpointState({ address: host, port }, name), key: `${namespace} ${host} ${port}` };
  return { state, transport: scheme === 'https' ? overTls(to) : CLEAR_TEXT };
}

const CLEAR_TEXT: UpstreamTransport = { http2: false, grpc: false, tls: null };

/** With the CAs that come with Node, which take long to load. */
let publicCas: SecureContext | null = null;

function overTls({ host, verify }: SubrequestTarget): UpstreamTransport {
  publicCas ??= createSecureContext();
  const tls: UpstreamTls = {
    id: `${verify ? 'verified' : 'unverified'} ${host}`,
    options: {
      rejectUnauthorized: verify,
      secureContext: publicCas,
      ...(isIP(host) === 0 && { servername: host }),
    },
  };
  return { http2: false, grpc: false, tls };
}
