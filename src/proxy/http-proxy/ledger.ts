import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Route } from '../../routing/table.ts';
import { plainAddress } from '../address.ts';
import type { EngineContext } from '../engine.ts';
import type { Arrival } from '../forwarded.ts';

/** What becomes known of an exchange while it runs; accounted once, when it is over. */
export interface Ledger {
  clientAddress: string;
  route: Route | null;
  endpoint: string;
  attempts: number;
  requestBytes: number;
  responseBytes: number;
  requestId: string;
  detail: string;
  /** Accounts the exchange; again does nothing. */
  close(status: number): void;
}

export function openLedger(
  context: EngineContext,
  request: IncomingMessage | null,
  arrival: Arrival,
): Ledger {
  const startedAt = context.now();
  // Kept now: what goes to the upstream takes the place of the request's fields later.
  const host = request?.headers.host ?? '';
  let closed = false;
  const ledger: Ledger = {
    clientAddress: arrival.peer,
    route: null,
    endpoint: '',
    attempts: 0,
    requestBytes: 0,
    responseBytes: 0,
    requestId: '',
    detail: '',
    close(status) {
      if (closed) return;
      closed = true;
      const { clientAddress, route, endpoint, attempts, requestBytes, responseBytes, requestId, detail } =
        ledger;
      context.account({
        startedAt,
        durationMs: context.now() - startedAt,
        clientAddress,
        method: request?.method ?? '',
        host,
        target: request?.url ?? '',
        httpVersion: request?.httpVersion ?? '',
        status,
        route,
        endpoint,
        attempts,
        requestBytes,
        responseBytes,
        requestId,
        detail,
      });
    },
  };
  return ledger;
}

const arrivals = new WeakMap<Socket, Arrival>();

/** Where a connection comes from; found out once for each. */
export function arrivalOf(socket: Socket, context: EngineContext): Arrival {
  let arrival = arrivals.get(socket);
  if (!arrival) {
    const peer = plainAddress(socket.remoteAddress);
    arrival = {
      peer,
      trusted: context.trustedProxies.includes(peer),
      port: socket.localPort ?? 0,
      scheme: 'http',
    };
    arrivals.set(socket, arrival);
  }
  return arrival;
}
