import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import './util-extend.ts';
import httpProxy from 'http-proxy';
import type {
  Engine,
  EngineContext,
  EngineFactory,
  EngineGauges,
  ListenAddress,
  ListeningPort,
} from '../engine.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';
import { type OpenListener, openListener } from '../listener/listener.ts';
import { PendingConnections } from '../listener/pending-connections.ts';
import { type Expects, ReferenceExchange, type ReferenceState } from './reference-exchange.ts';
import { connectionInfoOf, noteConnectionInfo, valuesOf } from './reference-record.ts';
import { ReferencePool } from './reference-pool.ts';
import { isClosing, serveNoMore } from './last-response.ts';
import { answerSocket, clientFault } from './socket-answer.ts';
import { ReferenceTunnel, wantsTunnel } from './reference-tunnel.ts';

const CHECK_EVERY_MS = 20;
/** After the close of a WebSocket its client and its upstream have this long to read it and end. */
const FAREWELL_MS = 500;

/**
 * The reference engine: http-proxy over node:http, with what is unsafe about the two kept in check. Slower than
 * the relay and there to be compared with; `test/support/deviations.ts` lists where it cannot do as it should.
 */
export const httpProxyEngine: EngineFactory = (context) => new ReferenceEngine(context);

class ReferenceEngine implements Engine {
  readonly #shared: ReferenceState;
  /** With the requests each has carried. */
  readonly #connections = new Map<Socket, number>();
  /** Each with a server of its own, which knows what is idle on the connections that were accepted there. */
  readonly #listeners = new Map<OpenListener, Server>();
  readonly #pending: PendingConnections;
  #refused = 0;

  constructor(context: EngineContext) {
    const { limits } = context;
    this.#pending = new PendingConnections(limits.handshakes);
    const proxy = httpProxy.createProxyServer();
    // deleteLength takes the chunked coding off a DELETE and leaves its body to be read as the next request.
    const passes = proxy as unknown as { webPasses: { name: string }[] };
    passes.webPasses = passes.webPasses.filter(({ name }) => name !== 'deleteLength');
    this.#shared = {
      context,
      pool: new ReferencePool(limits, (host) => context.endpoints.nameOf(host)),
      proxy,
      draining: false,
      closingListeners: new Set(),
      connecting: new Set(),
      live: new Set(),
      tunnels: new Set(),
      readers: new WeakMap(),
    };
  }

  #createServer(): Server {
    const { limits } = this.#shared.context;
    const server = createServer({
      maxHeaderSize: limits.headBytes,
      headersTimeout: limits.clientHeadTimeoutMs,
      // The time for a body is counted from its last byte, by the exchange.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(1_000, Math.max(10, limits.clientHeadTimeoutMs / 2)),
      keepAliveTimeout: limits.keepAliveIdleTimeoutMs,
      keepAliveTimeoutBuffer: 0,
      // Node's own answers would not be ours.
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: wantsTunnel,
    });
    server.maxHeadersCount = 0;
    this.#subscribe(server);
    // It is given its connections rather than listening for them; this starts its checks of their heads' time.
    server.emit('listening');
    return server;
  }

  async listen(address: ListenAddress): Promise<ListeningPort> {
    const server = this.#createServer();
    const listener = await openListener(
      address,
      this.#shared.context,
      this.#pending,
      (socket, connectionInfo) => this.#accept(server, socket, connectionInfo),
    );
    this.#listeners.set(listener, server);
    return { port: listener.port, close: () => this.#closeListener(listener, server) };
  }

  #closeListener(listener: OpenListener, server: Server): void {
    if (!this.#listeners.delete(listener)) return;
    const { closingListeners } = this.#shared;
    closingListeners.add(listener.id);
    listener.close();
    server.close();
    const timer = setInterval(() => {
      server.closeIdleConnections();
      const isEmpty = ![...this.#connections.keys()].some(
        (socket) => connectionInfoOf(socket).listener === listener.id,
      );
      if (!isEmpty || listener.pending > 0) return;
      clearInterval(timer);
      closingListeners.delete(listener.id);
    }, CHECK_EVERY_MS).unref();
  }

  close(endpointKeys: Iterable<string>): void {
    const gone = new Set(endpointKeys);
    this.#shared.pool.retire(gone);
    for (const attempt of [...this.#shared.connecting]) {
      if (gone.has(attempt.endpoint.key)) attempt.fail({ kind: 'endpoint-gone' });
    }
  }

  async drain(timeoutMs: number): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    const { live, tunnels, pool } = this.#shared;
    this.#shared.draining = true;
    for (const [listener, server] of this.#listeners) {
      listener.close();
      server.close();
    }
    while (this.#isBusy() && performance.now() < deadline) {
      await sleep(CHECK_EVERY_MS);
      for (const server of this.#listeners.values()) server.closeIdleConnections();
    }
    const aborted = live.size + tunnels.size;
    for (const abort of [...live, ...tunnels]) abort();
    const farewell = performance.now() + FAREWELL_MS;
    while (tunnels.size > 0 && performance.now() < farewell) await sleep(CHECK_EVERY_MS);
    for (const socket of this.#connections.keys()) socket.destroy();
    pool.destroy();
    return aborted;
  }

  gauges(): EngineGauges {
    return {
      clientConnections: this.#connections.size,
      upstreamConnections: this.#shared.pool.open(),
      inFlight: this.#shared.live.size,
      tunnels: this.#shared.tunnels.size,
      heldBytes: 0,
      evicted: 0,
      refused: this.#refused,
      shed: 0,
      descriptorFailures: 0,
    };
  }

  #isBusy(): boolean {
    return this.#connections.size > 0 || [...this.#listeners.keys()].some(({ pending }) => pending > 0);
  }

  #subscribe(server: Server): void {
    const { context, readers } = this.#shared;
    server.on('request', (request, response) => this.#serve(request, response, 'nothing'));
    server.on('checkContinue', (request, response) => {
      // Node looks for it in whatever the fields say.
      const isAll = valuesOf(request.rawHeaders, 'expect').every((value) => /^100-continue$/i.test(value));
      this.#serve(request, response, isAll ? 'continue' : 'unknown');
    });
    server.on('checkExpectation', (request, response) => this.#serve(request, response, 'unknown'));
    server.on('connect', (request: IncomingMessage) => {
      if (isClosing(request.socket)) return;
      answerSocket(context, request.socket, 'method-not-allowed', request);
    });
    server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (isClosing(request.socket)) return;
      new ReferenceTunnel(this.#shared, request, socket, head).start();
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      if (isClosing(socket)) return;
      // It asks for more on a connection that it said it would close: what it asked before is answered.
      if (error.code === 'HPE_CLOSED_CONNECTION') return serveNoMore(socket);
      const reason = clientFault(error);
      const refuse = readers.get(socket);
      if (reason === null) socket.destroy();
      else if (refuse) refuse(reason);
      else answerSocket(context, socket, reason, null);
    });
  }

  #accept(server: Server, socket: Socket, connectionInfo: ConnectionInfo): void {
    if (this.#connections.size >= this.#shared.context.limits.connections) {
      this.#refused++;
      return void socket.destroy();
    }
    noteConnectionInfo(socket, connectionInfo);
    this.#connections.set(socket, 0);
    socket.once('close', () => this.#connections.delete(socket));
    server.emit('connection', socket);
  }

  #serve(request: IncomingMessage, response: ServerResponse, expects: Expects): void {
    if (isClosing(request.socket)) return;
    const count = (this.#connections.get(request.socket) ?? 0) + 1;
    this.#connections.set(request.socket, count);
    // Node's own count would say `close` and leave the connection open.
    if (count >= this.#shared.context.limits.requestsPerConnection) response.shouldKeepAlive = false;
    new ReferenceExchange(this.#shared, request, response, expects).start();
  }
}
