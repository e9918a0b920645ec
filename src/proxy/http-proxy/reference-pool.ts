import { Agent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { type Socket, isIP } from 'node:net';
import { NameAddresses } from '../balance/name-addresses.ts';
import { endpointKey } from '../balance/endpoint-state.ts';
import type { Limits } from '../limits.ts';

type Connect = (options: ClientRequestArgs, done?: Created) => Duplex | null | undefined;
type Created = (error: Error | null, socket: Duplex) => void;

/** The connections to upstreams. */
export class ReferencePool {
  readonly plain: Agent;
  readonly tls: TlsAgent;
  /** For upgrades: never reused, and either side may end its half. */
  readonly tunnels: Agent;

  readonly #nameOf: (host: string) => NameAddresses | undefined;
  #open = 0;
  /** Open connections by endpoint. */
  readonly #sockets = new Map<string, Set<Duplex>>();
  readonly #keys = new WeakMap<Duplex, string>();
  readonly #idle = new WeakSet<Duplex>();
  readonly #retired = new Set<string>();

  /** `nameOf` gives the addresses of an ExternalName. */
  constructor(limits: Limits, nameOf: (host: string) => NameAddresses | undefined) {
    const options = { keepAlive: true, maxFreeSockets: 1024, timeout: limits.keepAliveIdleTimeoutMs };
    this.#nameOf = nameOf;
    this.plain = new Agent(options);
    this.tls = new TlsAgent(options);
    // `allowHalfOpen` reaches net.connect; the types of Agent do not know it.
    this.tunnels = new Agent({ keepAlive: false, allowHalfOpen: true } as AgentOptions);
    for (const agent of [this.plain, this.tls, this.tunnels]) this.#watch(agent);
  }

  open(): number {
    return this.#open;
  }

  /** Closes idle connections to these endpoints; those in flight close when they fall idle. */
  retire(keys: Iterable<string>): void {
    for (const key of keys) {
      const sockets = this.#sockets.get(key);
      if (!sockets) continue;
      this.#retired.add(key);
      for (const socket of sockets) if (this.#idle.has(socket)) socket.destroy();
    }
  }

  /** An endpoint is in use (again). */
  revive(key: string): void {
    this.#retired.delete(key);
  }

  destroy(): void {
    for (const agent of [this.plain, this.tls, this.tunnels]) agent.destroy();
  }

  #watch(agent: Agent): void {
    const connect: Connect = agent.createConnection.bind(agent);
    agent.createConnection = (options: ClientRequestArgs, done?: Created) => {
      const host = options.host ?? '';
      // A name that has just left the table must not be looked up by Node, which knows no refused addresses.
      const name = isIP(host) === 0 ? (this.#nameOf(host) ?? new NameAddresses()) : undefined;
      // TLS asks for the name that is connected to, not for the Host of the client.
      const byName = name && { ...options, ...name.connectOptions, servername: host };
      const socket = connect(byName ?? options, done);
      if (name && socket) name.watch(socket as Socket);
      if (socket) this.#onOpen(endpointKey({ address: host, port: Number(options.port) }), socket);
      return socket;
    };
    const keep = agent.keepSocketAlive.bind(agent);
    agent.keepSocketAlive = (socket) => {
      if (this.#retired.has(this.#keys.get(socket) ?? '')) return false;
      this.#idle.add(socket);
      return keep(socket);
    };
    const reuse = agent.reuseSocket.bind(agent);
    agent.reuseSocket = (socket, request) => {
      this.#idle.delete(socket);
      reuse(socket, request);
    };
  }

  #onOpen(key: string, socket: Duplex): void {
    this.#open++;
    this.#keys.set(socket, key);
    const sockets = this.#sockets.get(key) ?? new Set();
    this.#sockets.set(key, sockets.add(socket));
    socket.once('close', () => {
      this.#open--;
      sockets.delete(socket);
      if (sockets.size > 0) return;
      if (this.#sockets.get(key) === sockets) this.#sockets.delete(key);
      this.#retired.delete(key);
    });
  }
}
