import type { Socket } from 'node:net';
import { get, values } from '../../model/sharded-map.ts';
import { type ArrivalPort, routesAt } from '../../routing/gateway-routes.ts';
import { normalizeHost } from '../../routing/match.ts';
import { type StreamTarget, routeTarget } from '../../routing/stream-backend.ts';
import type { BackendKey, GatewayHost, GatewayPort, RouteTable } from '../../routing/table.ts';
import type { Streams } from '../stream/streams.ts';
import type { UpstreamTls } from '../upstream/tls-terms.ts';

/** What becomes of a TLS connection that carries no requests of ours. */
export type TlsStream =
  /** It goes to this backend of an Ingress without being decrypted. */
  | { readonly mode: 'passthrough'; readonly backend: BackendKey }
  /** It goes to one of the backends of a TLSRoute, decrypted or not. */
  | NonNullable<GatewayHost['tls']>;

/** The hosts whose TLS connections are relayed, by the newest table. */
export interface TlsStreams {
  /** Whether Ingresses have any such host, so that nobody else's handshake is looked at. */
  any(): boolean;
  /** Whether nothing else comes in there: a name that no listener has is then no HTTP client's. */
  only(arrival: ArrivalPort): boolean;
  /** By the name that the client gives (SNI), or none; null where requests follow. */
  of(serverName: string | null, arrival: ArrivalPort): TlsStream | null;
  /** Takes the connection over: no byte of it is taken yet, or its handshake is done. Without a backend it is reset. */
  relay(socket: Socket, stream: TlsStream, clientAddress: string): void;
}

export function tlsStreams(
  newest: () => RouteTable,
  streams: Streams,
  tlsTo: (target: StreamTarget) => UpstreamTls | null,
): TlsStreams {
  const targetOf = (stream: TlsStream): StreamTarget | null => {
    const table = newest();
    if ('route' in stream) return routeTarget(table, stream.route, Math.random());
    const backend = get(table.backends, stream.backend);
    return backend && !backend.unavailable ? { backend, route: null } : null;
  };
  return {
    any: () => newest().passthroughs.size > 0,
    only({ portKey }) {
      const port = portKey === undefined ? undefined : get(newest().ports, portKey);
      return port !== undefined && hasOnlyStreams(port);
    },
    of(serverName, arrival) {
      const table = newest();
      if (table.passthroughs.size === 0 && table.ports.size === 0) return null;
      const routes = routesAt(table, arrival, normalizeHost(serverName ?? '') ?? '');
      if (routes?.passthrough !== undefined) return { mode: 'passthrough', backend: routes.passthrough };
      return routes?.gateway?.tls ?? null;
    },
    relay(socket, stream, clientAddress) {
      const target = targetOf(stream);
      const tls = target !== null && stream.mode === 'terminate' ? tlsTo(target) : null;
      const source = { protocol: 'tls', port: 0, clientAddress } as const;
      streams.relay(socket, target?.backend ?? null, source, { tls });
    },
  };
}

/** Looked for once in a port, which may have many hosts. */
const onlyStreams = new WeakMap<GatewayPort, boolean>();

function hasOnlyStreams(port: GatewayPort): boolean {
  let only = onlyStreams.get(port);
  if (only === undefined) {
    only = values(port.hosts).every(({ gateway }) => gateway?.tls !== undefined);
    onlyStreams.set(port, only);
  }
  return only;
}
