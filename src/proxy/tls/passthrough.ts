import type { Socket } from 'node:net';
import { get } from '../../model/sharded-map.ts';
import { normalizeHost, routesFor } from '../../routing/match.ts';
import type { Backend, RouteTable } from '../../routing/table.ts';
import type { Streams } from '../stream/streams.ts';

/** The hosts whose TLS ends at their Pods, by the newest table. */
export interface Passthrough {
  /** Whether there is any such host, so that nobody else's handshake is looked at. */
  any(): boolean;
  /** By the name that the client gives (SNI), or none; null where TLS ends here. */
  backendOf(serverName: string | null): Backend | 'unavailable' | null;
  /** Takes the connection over, of which no byte is taken yet. */
  relay(raw: Socket, backend: Backend | 'unavailable', clientAddress: string): void;
}

export function passthrough(newest: () => RouteTable, streams: Streams): Passthrough {
  return {
    any: () => newest().passthroughs.size > 0,
    backendOf(serverName) {
      const table = newest();
      if (table.passthroughs.size === 0) return null;
      const key = routesFor(table, normalizeHost(serverName ?? '') ?? '')?.passthrough;
      if (key === undefined) return null;
      const backend = get(table.backends, key);
      return !backend || backend.unavailable ? 'unavailable' : backend;
    },
    relay(raw, backend, clientAddress) {
      if (backend === 'unavailable') raw.resetAndDestroy();
      else streams.relay(raw, backend, clientAddress);
    },
  };
}
