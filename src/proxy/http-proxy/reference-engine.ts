import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import './util-extend.ts';
import httpProxy from 'http-proxy';
import type { EngineFactory } from '../engine.ts';
import type { ConnectionInfo } from '../../http/connection-info.ts';
import { type Listener, openListener } from '../listener/listener.ts';
import { type Expects, type Surroundings, serveExchange } from './reference-exchange.ts';
import { noteConnectionInfo, valuesOf } from './reference-record.ts';

import { createPool } from './reference-pool.ts';
import { isClosing, serveNoMore } from './last-response.ts';
import { answerSocket, clientFault } from './socket-answer.ts';
import { serveTunnel, wantsTunnel } from './reference-tunnel.ts';

const LOOK_EVERY_MS = 20;
/** After the close of a WebSocket its client and its pod have this long to read it and end. */
const FAREWELL_MS = 500;

/**
 * The reference engine: http-proxy over node:http, with what is unsafe about the two kept in check. Slower than
 * the relay and there to be compared with; `test/support/deviations.ts` lists where it cannot do as it should.
 */
export const httpProxyEngine: EngineFactory = (context) => {
  const { limits } = context;
  const proxy = httpProxy.createProxyServer();
  // deleteLength takes the chunked coding off a DELETE and leaves its body to be read as the next request.
  const passes = proxy as unknown as { webPasses: { name: string }[] };
  passes.webPasses = passes.webPasses.filter(({ name }) => name !== 'deleteLength');

  const around: Surroundings = {
    context,
    pool: createPool(limits, (host) => context.endpoints.nameOf(host)),
    proxy,
    draining: false,
    connecting: new Set(),
    live: new Set(),
    readers: new WeakMap(),
  };
  const tunnels = new Set<() => void>();
  /** With the requests each has carried. */
  const connections = new Map<Socket, number>();

  const server: Server = createServer({
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
  // It is given its connections rather than listening for them; this starts its checks of their heads' time.
  server.emit('listening');
  const listeners: Listener[] = [];
  let refused = 0;
  const accept = (socket: Socket, connectionInfo: ConnectionInfo): void => {
    if (connections.size >= limits.connections) {
      refused++;
      return void socket.destroy();
    }
    noteConnectionInfo(socket, connectionInfo);
    connections.set(socket, 0);
    socket.once('close', () => connections.delete(socket));
    server.emit('connection', socket);
  };
  const serve = (request: IncomingMessage, response: ServerResponse, expects: Expects): void => {
    if (isClosing(request.socket)) return;
    const count = (connections.get(request.socket) ?? 0) + 1;
    connections.set(request.socket, count);
    // Node's own count would say `close` and leave the connection open.
    if (count >= limits.requestsPerConnection) response.shouldKeepAlive = false;
    serveExchange(around, request, response, expects);
  };
  server.on('request', (request, response) => serve(request, response, 'nothing'));
  server.on('checkContinue', (request, response) => {
    // Node looks for it in whatever the fields say.
    const isAll = valuesOf(request.rawHeaders, 'expect').every((value) => /^100-continue$/i.test(value));
    serve(request, response, isAll ? 'continue' : 'unknown');
  });
  server.on('checkExpectation', (request, response) => serve(request, response, 'unknown'));
  server.on('connect', (request: IncomingMessage) => {
    if (isClosing(request.socket)) return;
    answerSocket(context, request.socket, 'method-not-allowed', request);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (isClosing(request.socket)) return;
    serveTunnel(around, tunnels, request, socket, head);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (isClosing(socket)) return;
    // It asks for more on a connection that it said it would close: what it asked before is answered.
    if (error.code === 'HPE_CLOSED_CONNECTION') return serveNoMore(socket);
    const reason = clientFault(error);
    const refuse = around.readers.get(socket);
    if (reason === null) socket.destroy();
    else if (refuse) refuse(reason);
    else answerSocket(context, socket, reason, null);
  });

  return {
    async listen(address) {
      const listener = await openListener(address, context, accept);
      listeners.push(listener);
      return listener.port;
    },

    close(endpointKeys) {
      const gone = new Set(endpointKeys);
      around.pool.retire(gone);
      for (const attempt of [...around.connecting]) {
        if (gone.has(attempt.endpoint.key)) attempt.fail({ kind: 'endpoint-gone' });
      }
    },

    async drain(timeoutMs) {
      const deadline = performance.now() + timeoutMs;
      around.draining = true;
      for (const listener of listeners) listener.close();
      server.close();
      const isBusy = (): boolean => connections.size > 0 || listeners.some(({ pending }) => pending > 0);
      while (isBusy() && performance.now() < deadline) {
        await sleep(LOOK_EVERY_MS);
        server.closeIdleConnections();
      }
      const cutCount = around.live.size + tunnels.size;
      for (const cut of [...around.live, ...tunnels]) cut();
      const farewell = performance.now() + FAREWELL_MS;
      while (tunnels.size > 0 && performance.now() < farewell) await sleep(LOOK_EVERY_MS);
      for (const socket of connections.keys()) socket.destroy();
      around.pool.destroy();
      return cutCount;
    },

    gauges: () => ({
      clientConnections: connections.size,
      upstreamConnections: around.pool.open(),
      inFlight: around.live.size,
      tunnels: tunnels.size,
      heldBytes: 0,
      evicted: 0,
      refused,
      shed: 0,
      descriptorFailures: 0,
    }),
  };
};
