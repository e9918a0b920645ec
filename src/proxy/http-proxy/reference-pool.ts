import { Agent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { type Socket, isIP } from 'node:net';
import { NameAddresses } from '../balance/name-addresses.ts';
import { endpointKey } from '../balance/endpoint-state.ts';
import type { Limits } from '../limits.ts';

/** The connections to upstreams. */
export interface ReferencePool {
  readonly plain: Agent;
  readonly tls: TlsAgent;
  /** For upgrades: never reused, and either side may end its half. */
  readonly tunnels: Agent;
  open(): number;
  /** Closes idle connections to these endpoints; those in flight close when they fall idle. */
  retire(keys: Iterable<string>): void;
  /** An endpoint is in use (again). */
  revive(key: string): void;
  destroy(): void;
}

type Connect = (options: ClientRequestArgs, done?: Created) => Duplex | null | undefined;
type Created = (error: Error | null, socket: Duplex) => void;

/** `nameOf` gives the addresses of an ExternalName. */
export function createPool(
  limits: Limits,
  nameOf: (host: string) => NameAddresses | undefined,
): ReferencePool {
  let open = 0;
  /** Open connections by endpoint. */
  const sockets = new Map<string, Set<Duplex>>();
  const idle = new WeakSet<Duplex>();
  const retired = new Set<string>();
  const keys = new WeakMap<Duplex, string>();

  function opened(key: string, socket: Duplex): void {
    open++;
    keys.set(socket, key);
    const others = sockets.get(key) ?? new Set();
    sockets.set(key, others.add(socket));
    socket.once('close', () => {
      open--;
      others.delete(socket);
      if (others.size > 0) return;
      if (sockets.get(key) === others) sockets.delete(key);
      retired.delete(key);
    });
  }

  const plain = new Agent({ keepAlive: true, maxFreeSockets: 1024, timeout: limits.keepAliveIdleTimeoutMs });
  const tls = new TlsAgent({ keepAlive: true, maxFreeSockets: 1024, timeout: limits.keepAliveIdleTimeoutMs });
  // `allowHalfOpen` reaches net.connect; the types of Agent do not know it.
  const tunnels = new Agent({ keepAlive: false, allowHalfOpen: true } as AgentOptions);

  for (const agent of [plain, tls, tunnels]) {
    const connect: Connect = agent.createConnection.bind(agent);
    agent.createConnection = (options: ClientRequestArgs, done?: Created) => {
      const host = options.host ?? '';
      // A name that has just left the table must not be looked up by Node, which knows no refused addresses.
      const name = isIP(host) === 0 ? (nameOf(host) ?? new NameAddresses()) : undefined;
      // TLS asks for the name that is connected to, not for the Host of the client.
      const byName = name && { ...options, ...name.connectOptions, servername: host };
      const socket = connect(byName ?? options, done);
      if (name && socket) name.watch(socket as Socket);
      if (socket) opened(endpointKey({ address: host, port: Number(options.port) }), socket);
      return socket;
    };
    const keep = agent.keepSocketAlive.bind(agent);
    agent.keepSocketAlive = (socket) => {
      if (retired.has(keys.get(socket) ?? '')) return false;
      idle.add(socket);
      return keep(socket);
    };
    const reuse = agent.reuseSocket.bind(agent);
    agent.reuseSocket = (socket, request) => {
      idle.delete(socket);
      reuse(socket, request);
    };
  }

  return {
    plain,
    tls,
    tunnels,
    open: () => open,
    retire(gone) {
      for (const key of gone) {
        const here = sockets.get(key);
        if (!here) continue;
        retired.add(key);
        for (const socket of here) if (idle.has(socket)) socket.destroy();
      }
    },
    revive: (key) => void retired.delete(key),
    destroy() {
      for (const agent of [plain, tls, tunnels]) agent.destroy();
    },
  };
}
