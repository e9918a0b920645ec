import { type Server, type Socket, createServer } from 'node:net';
import { plainAddress } from '../../http/address.ts';
import { difference, emptyMap, get } from '../../model/sharded-map.ts';
import type { Backend, RouteTable, StreamRoute } from '../../routing/table.ts';
import type { Limits } from '../limits.ts';
import { type ProxySource, composeProxyHeader, readProxyHeader } from '../listener/proxy-protocol.ts';
import { PORT_RETRY_MS, type ReportPort } from '../listener/port-state.ts';
import { isSamePlace, streamBackend } from '../../routing/stream-backend.ts';
import type { Streams } from './streams.ts';

/** Where TCP services listen. */
export interface StreamPlace {
  /** An IP address; undefined listens on all, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** Share the port with other threads and processes (SO_REUSEPORT). */
  readonly reusePort: boolean;
}

const BACKLOG = 4096;

/**
 * The TCP ports of the table's stream routes, one listener for each. A new table opens and closes listeners and changes
 * where new connections go; it touches no connection that is there.
 */
export class TcpServices {
  readonly #place: StreamPlace;
  readonly #limits: Limits;
  readonly #streams: Streams;
  readonly #report: ReportPort;
  /** By the key of the route; one whose port is taken by someone else waits to try again. */
  readonly #servers = new Map<string, Server>();
  #table: RouteTable | null = null;

  constructor(place: StreamPlace, limits: Limits, streams: Streams, report: ReportPort) {
    this.#place = place;
    this.#limits = limits;
    this.#streams = streams;
    this.#report = report;
  }

  adopt(table: RouteTable): void {
    const before = this.#table;
    this.#table = table;
    for (const [key, route] of difference(before?.streams ?? emptyMap<StreamRoute>(), table.streams)) {
      const old = before ? get(before.streams, key) : undefined;
      if (old?.protocol === 'tcp' && !isSamePlace(old, route)) {
        this.#close(key);
        this.#report(key, { kind: 'closed' });
      }
      if (route === undefined) continue;
      if (route.protocol === 'tcp' && !this.#servers.has(key)) this.#listen(key, route);
    }
  }

  /** Accepts no more; the connections that are there go on. */
  close(): void {
    this.#table = null;
    for (const key of [...this.#servers.keys()]) this.#close(key);
  }

  #listen(key: string, { port, gateway }: StreamRoute): void {
    const { reusePort } = this.#place;
    const host = gateway?.address || this.#place.host;
    const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      this.#streams.guarded(socket, () => this.#accept(key, socket))();
    });
    this.#servers.set(key, server);
    server.once('error', (error: NodeJS.ErrnoException) => {
      server.close();
      if (this.#servers.get(key) !== server) return;
      this.#report(key, { kind: 'failed', code: error.code ?? '' });
      setTimeout(() => this.#listenAgain(key, server), PORT_RETRY_MS).unref();
    });
    server.listen({ ...(host !== undefined && { host }), port, reusePort, backlog: BACKLOG }, () => {
      server.removeAllListeners('error');
      if (this.#servers.get(key) === server) this.#report(key, { kind: 'bound' });
      // A failing accept (no file descriptors left) must not end the thread; the listener goes on.
      server.on('error', () => undefined);
    });
  }

  #listenAgain(key: string, failed: Server): void {
    const route = this.#table && get(this.#table.streams, key);
    if (this.#servers.get(key) !== failed) return;
    this.#servers.delete(key);
    if (route) this.#listen(key, route);
  }

  #close(key: string): void {
    this.#servers.get(key)?.close();
    this.#servers.delete(key);
  }

  #accept(key: string, socket: Socket): void {
    const route = this.#table && get(this.#table.streams, key);
    const backend = route && this.#table ? streamBackend(this.#table, route, Math.random()) : null;
    if (!route) return void socket.resetAndDestroy();
    const peer = plainAddress(socket.remoteAddress);
    if (backend === null)
      return this.#streams.relay(socket, null, { protocol: 'tcp', port: route.port, clientAddress: peer });
    const direct = { source: peer, sourcePort: socket.remotePort ?? 0, destinationPort: route.port };
    if (!route.acceptsProxyProtocol) return this.#relay(socket, route, backend, direct);
    readProxied(this.#streams, socket, this.#limits.handshakeTimeoutMs, (proxied) => {
      this.#relay(socket, route, backend, proxied ?? direct);
    });
  }

  #relay(socket: Socket, route: StreamRoute, backend: Backend, from: ProxySource): void {
    const preface = route.sendsProxyProtocol
      ? composeProxyHeader(from, plainAddress(socket.localAddress))
      : null;
    const source = { protocol: 'tcp', port: route.port, clientAddress: from.source } as const;
    this.#streams.relay(socket, backend, source, { preface });
  }
}

/** Reads the PROXY header at the beginning of a connection, if there is one; a bad one or none in time ends it. */
function readProxied(
  streams: Streams,
  socket: Socket,
  timeoutMs: number,
  goOn: (source: ProxySource | null) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const destroy = (): void => void socket.destroy();
  const timer = setTimeout(destroy, timeoutMs);
  const ignore = (): void => undefined;
  const look = streams.guarded(socket, () => {
    for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    }
    if (bytes.length === 0) return;
    const header = readProxyHeader(bytes);
    if (header.kind === 'more') return;
    clearTimeout(timer);
    socket.off('readable', look);
    socket.off('end', destroy);
    socket.off('error', ignore);
    if (header.kind === 'bad') return destroy();
    const rest = header.kind === 'header' ? bytes.subarray(header.length) : bytes;
    if (rest.length > 0) socket.unshift(rest);
    goOn(header.kind === 'header' ? header.addresses : null);
  });
  socket.on('error', ignore);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', destroy);
  socket.on('readable', look);
}
