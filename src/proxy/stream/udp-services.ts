import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { plainAddress } from '../../http/address.ts';
import { namespaceOf } from '../../model/objects.ts';
import { difference, emptyMap, get } from '../../model/sharded-map.ts';
import type { BackendKey, RouteTable, StreamRoute } from '../../routing/table.ts';
import { type EndpointState, attemptEnded, attemptStarted } from '../balance/endpoint-state.ts';
import { contained } from '../contained.ts';
import { Deadline, type DeadlineList, Deadlines } from '../deadlines.ts';
import { isOutOfDescriptors } from '../descriptors.ts';
import { StreamAccount } from './stream-counters.ts';
import { type StreamHops, isLoop } from './stream-hops.ts';
import { type StreamHolder, StreamPlaces } from './stream-places.ts';
import { type StreamOutcome, streamRecord } from './stream-record.ts';
import type { StreamContext } from './streams.ts';
import { PORT_RETRY_MS, type ReportPort } from '../listener/port-state.ts';
import { isSamePlace, mayReach, streamBackend } from '../../routing/stream-backend.ts';
import type { StreamPlace } from './tcp-services.ts';

/** A client that sends nothing and gets nothing for this long begins anew, perhaps with another endpoint. */
const IDLE_MS = 60_000;
const SWEEP_MS = 1_000;
const LAST_MOMENT_MS = 1_000;
/** Of a thread, for all ports: each has a socket of its own. */
const MAX_SESSIONS = 4_096;

/** Datagrams that wait for the socket to an endpoint, which takes a turn of the loop. */
const MAX_WAITING = 16;

/** The datagrams of one client address and port on one service, and what an endpoint answers. */
class Session implements StreamHolder {
  readonly namespace: string;
  readonly service: string;
  readonly backend: BackendKey;
  readonly client: string;
  readonly state: EndpointState;
  readonly account: StreamAccount;
  readonly deadline = new Deadline<Session>(this);
  isAnswered = false;
  readonly begunAt = performance.now();
  readonly evict: () => void;
  #upstream: Socket | null = null;
  #forgetHops: (() => void) | null = null;
  /** Null when the socket is connected, which keeps what anybody else sends from the client. */
  #waiting: Buffer[] | null = [];

  constructor(
    service: string,
    backend: BackendKey,
    client: string,
    state: EndpointState,
    account: StreamAccount,
    evict: () => void,
  ) {
    this.namespace = namespaceOf(backend);
    this.service = service;
    this.backend = backend;
    this.client = client;
    this.state = state;
    this.account = account;
    this.evict = evict;
  }

  get silentSince(): number {
    return this.deadline.since;
  }

  /** Gives the socket to the endpoint; what comes from it has `hops` behind it. */
  open(hops: StreamHops, hopsBehind: number): Socket {
    const { address, port } = this.state.endpoint;
    const upstream = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#upstream = upstream;
    upstream.connect(port, address);
    upstream.once('connect', () => {
      const own = upstream.address();
      this.#forgetHops = hops.note(own.address, own.port, hopsBehind + 1);
      for (const datagram of this.#waiting ?? []) upstream.send(datagram);
      this.#waiting = null;
    });
    return upstream;
  }

  send(datagram: Buffer): void {
    this.account.datagramReceived(datagram.length);
    if (this.#waiting === null) this.#upstream?.send(datagram);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(datagram);
  }

  close(): void {
    this.#forgetHops?.();
    this.#upstream?.close();
  }
}

/** The UDP ports of the table's stream routes. Datagrams of one client go to one endpoint as long as they come. */
export class UdpServices {
  readonly #place: StreamPlace;
  readonly #context: StreamContext;
  readonly #report: ReportPort;
  readonly #deadlines: Deadlines;
  readonly #idling: DeadlineList<Session>;
  readonly #sockets = new Map<string, Socket>();
  /** The routes whose port could not be had, until the next try. */
  readonly #retries = new Map<string, NodeJS.Timeout>();
  /** By service, and the address and port of the client. */
  readonly #sessions = new Map<string, Session>();
  readonly #places: StreamPlaces<Session>;
  #table: RouteTable | null = null;

  constructor(place: StreamPlace, context: StreamContext, report: ReportPort) {
    this.#place = place;
    this.#context = context;
    this.#report = report;
    this.#deadlines = new Deadlines(SWEEP_MS, context.onFault);
    this.#idling = this.#deadlines.list(IDLE_MS, (session: Session) => this.#end(session, 'closed'));
    const silent = (count: number): readonly Session[] =>
      this.#idling.oldest(count).map(({ owner }) => owner);
    const now = (): number => this.#deadlines.now;
    this.#places = new StreamPlaces(Math.min(MAX_SESSIONS, context.places), silent, now);
  }

  /** `gone` are the endpoints that the table does not have any more: their clients go to others from now on. */
  adopt(table: RouteTable, gone: Iterable<string>): void {
    const keys = new Set(gone);
    if (keys.size > 0) this.#endAll(({ state }) => keys.has(state.key), 'service-changed');
    const before = this.#table;
    this.#table = table;
    for (const [key, route] of difference(before?.streams ?? emptyMap<StreamRoute>(), table.streams)) {
      const old = before ? get(before.streams, key) : undefined;
      if (old?.protocol === 'udp' && !isSamePlace(old, route)) {
        this.#close(key);
        this.#report(key, { kind: 'closed' });
      }
      if (route === undefined) continue;
      if (old)
        this.#endAll(
          ({ service, backend }) => service === key && !mayReach(route, backend),
          'service-changed',
        );
      if (route.protocol === 'udp' && !this.#sockets.has(key) && !this.#retries.has(key))
        this.#listen(key, route);
    }
  }

  /** Ends; answers that are under way have a moment to come. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#sessions.size > 0) await sleep(Math.min(LAST_MOMENT_MS, timeoutMs));
    this.#table = null;
    for (const key of [...this.#sockets.keys(), ...this.#retries.keys()]) this.#close(key);
    this.#deadlines.stop();
  }

  #listen(key: string, { port, gateway }: StreamRoute): void {
    const { reusePort } = this.#place;
    const host = gateway?.address || this.#place.host;
    const socket = createSocket({ type: host !== undefined && !isIPv6(host) ? 'udp4' : 'udp6', reusePort });
    this.#sockets.set(key, socket);
    let isBound = false;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Of one datagram that could not be sent, or of a socket that was given up.
      if (isBound || this.#sockets.get(key) !== socket) return;
      this.#sockets.delete(key);
      socket.close();
      this.#retries.set(key, setTimeout(() => this.#listenAgain(key), PORT_RETRY_MS).unref());
      this.#report(key, { kind: 'failed', code: error.code ?? '' });
    });
    socket.on('message', (datagram, from) => {
      try {
        this.#receive(key, socket, datagram, from);
      } catch (fault) {
        this.#context.onFault(fault);
      }
    });
    socket.bind({ port, ...(host !== undefined && { address: host }) }, () => {
      isBound = true;
      if (this.#sockets.get(key) === socket) this.#report(key, { kind: 'bound' });
    });
  }

  #listenAgain(key: string): void {
    this.#retries.delete(key);
    const route = this.#table && get(this.#table.streams, key);
    if (route) this.#listen(key, route);
  }

  #close(key: string): void {
    clearTimeout(this.#retries.get(key));
    this.#retries.delete(key);
    const socket = this.#sockets.get(key);
    if (!socket) return;
    this.#sockets.delete(key);
    this.#endAll((session) => session.service === key, this.#table === null ? 'draining' : 'service-changed');
    socket.close();
  }

  #receive(service: string, listener: Socket, datagram: Buffer, from: RemoteInfo): void {
    const client = `${service} ${from.address} ${from.port}`;
    const session = this.#sessions.get(client) ?? this.#begin(service, client, listener, from);
    if (!session) return;
    session.deadline.arm(this.#idling);
    session.send(datagram);
  }

  /** Null when there is no endpoint or no place: the datagram is lost, as any may be. */
  #begin(service: string, client: string, listener: Socket, from: RemoteInfo): Session | null {
    const route = this.#table && get(this.#table.streams, service);
    const backend = route && this.#table ? streamBackend(this.#table, route, Math.random()) : null;
    if (backend === null || backend.externalName) return null;
    const { endpoints, now, onOutOfDescriptors } = this.#context;
    const balance = backend.affinity === 'client-ip' ? 'consistent-hash' : 'round-robin';
    const state = endpoints.choose(backend, balance, [], plainAddress(from.address), now());
    if (!state) return null;
    const source = {
      protocol: 'udp',
      port: route?.port ?? 0,
      clientAddress: plainAddress(from.address),
    } as const;
    const { counters, onStreamEnd, hops } = this.#context;
    const record = streamRecord(source, backend.key, now());
    const account = new StreamAccount(record, counters.of(source), now, onStreamEnd);
    const hopsBehind = hops.udp.behind(from.address, from.port);
    if (isLoop(hopsBehind)) {
      account.end('loop-detected');
      return null;
    }
    const evict = (): void => this.#end(session, 'evicted');
    const session = new Session(service, backend.key, client, state, account, evict);
    if (!this.#places.take(session)) {
      account.end('too-many');
      return null;
    }
    account.tried(state.key);
    const end = contained(() => this.#end(session, 'fault'), this.#context.onFault);
    const onFault = (fault: unknown): void => {
      this.#context.onFault(fault);
      end();
    };
    const onError = contained((error: NodeJS.ErrnoException) => {
      const isOut = isOutOfDescriptors(error.code);
      if (isOut) onOutOfDescriptors();
      this.#end(session, isOut ? 'out-of-descriptors' : 'upstream-reset');
    }, onFault);
    const onAnswer = contained((answer: Buffer) => {
      session.deadline.arm(this.#idling);
      session.isAnswered = true;
      account.datagramSent(answer.length);
      listener.send(answer, from.port, from.address);
    }, onFault);
    attemptStarted(state);
    this.#sessions.set(client, session);
    const upstream = session.open(hops.udp, hopsBehind);
    upstream.on('error', onError);
    upstream.on('message', onAnswer);
    return session;
  }

  #endAll(isOver: (session: Session) => boolean, end: StreamOutcome): void {
    for (const session of [...this.#sessions.values()]) if (isOver(session)) this.#end(session, end);
  }

  #end(session: Session, end: StreamOutcome): void {
    if (!this.#sessions.delete(session.client)) return;
    this.#places.release(session);
    session.deadline.clear();
    attemptEnded(session.state);
    session.close();
    session.account.end(end);
  }
}
