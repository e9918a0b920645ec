import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Route } from '../../routing/table.ts';
import type { EngineContext } from '../engine.ts';
import type { Arrival } from '../forwarded.ts';
import { type ConnectFailure, NO_FAILURES } from '../upstream/connect-failure.ts';

/** What becomes known of an exchange while it runs; accounted once, when it is over. */
export interface Ledger {
  clientAddress: string;
  /** What the client speaks, to us or to a trusted proxy in front of us. */
  scheme: string;
  route: Route | null;
  endpoint: string;
  attempts: number;
  connectFailures: readonly ConnectFailure[];
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
    scheme: arrival.scheme,
    route: null,
    endpoint: '',
    attempts: 0,
    connectFailures: NO_FAILURES,
    requestBytes: 0,
    responseBytes: 0,
    requestId: '',
    detail: '',
    close(status) {
      if (closed) return;
      closed = true;
      const { clientAddress, route, endpoint, attempts, connectFailures } = ledger;
      const { requestBytes, responseBytes, requestId, detail } = ledger;
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
        connectFailures,
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

/** Keeps where a connection comes from, for as long as it is there. */
export function noteArrival(socket: Socket, arrival: Arrival): void {
  arrivals.set(socket, arrival);
}

/** Where a connection comes from; every one was noted when it came. */
export function arrivalOf(socket: Socket): Arrival {
  const arrival = arrivals.get(socket);
  if (!arrival) throw new Error('a connection came by another way than the listener');
  return arrival;
}
