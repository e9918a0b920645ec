import { difference, emptyMap, entries, get, values } from '../../model/sharded-map.ts';
import { type GatewayPort, type PortKey, type RouteTable, portKey } from '../../routing/table.ts';
import type { Engine, ListenAddress, ListeningPort } from '../engine.ts';
import { PORT_RETRY_MS, type ReportPort, TOO_MANY_PORTS } from './port-state.ts';

/** Each takes a file descriptor of every thread, and memory of the kernel. */
export const MAX_GATEWAY_PORTS = 2_048;

/** The ways to write all addresses of the node. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** A port of Portico by its flags. */
export type OwnPort = Pick<ListenAddress, 'port' | 'scheme'>;

/** A port that is opened, or tried again until it can be. */
interface PortListener {
  readonly isTls: boolean;
  readonly clientPort: number | undefined;
  isClosed: boolean;
  listening: ListeningPort | null;
  retry: NodeJS.Timeout | null;
}

/**
 * The ports that Gateways listen on with HTTP and TLS, as the table says. A new table opens and closes listeners; those
 * that stay, and their connections, are left alone.
 */
export class GatewayPorts {
  readonly #engine: Pick<Engine, 'listen'>;
  /** Where a port without an address listens: as Portico's own ports do. */
  readonly #place: Pick<ListenAddress, 'host' | 'reusePort'>;
  readonly #report: ReportPort;
  readonly #listeners = new Map<string, PortListener>();
  /** Those that listen, or are about to. */
  readonly #places = new Set<PortListener>();
  /** Null until it is known which ports Portico has by its flags; nothing is opened before. */
  #own: ReadonlyMap<PortKey, 'http' | 'https'> | null = null;
  /** What TCP services listen on, as `portKey` writes it. */
  #streams: ReadonlySet<PortKey> = new Set();
  #table: RouteTable | null = null;

  constructor(
    engine: Pick<Engine, 'listen'>,
    place: Pick<ListenAddress, 'host' | 'reusePort'>,
    report: ReportPort,
  ) {
    this.#engine = engine;
    this.#place = place;
    this.#report = report;
  }

  /** Portico listens on its own ports: from now on those of Gateways are opened, too. */
  start(own: readonly OwnPort[]): void {
    this.#own = new Map(own.map(({ port, scheme = 'http' }) => [portKey('', port), scheme]));
    const table = this.#table;
    this.#table = null;
    if (table) this.adopt(table);
  }

  adopt(table: RouteTable): void {
    const before = this.#table;
    this.#table = table;
    if (this.#own === null) return;
    const changed = difference(before?.ports ?? emptyMap<GatewayPort>(), table.ports);
    if (before?.streams !== table.streams) {
      const tcp = [...values(table.streams)].filter(({ protocol }) => protocol === 'tcp');
      this.#streams = new Set(tcp.map((route) => this.#placeOf(route.gateway?.address ?? '', route.port)));
      // Any port may be taken now, or free again.
      for (const [key, port] of entries(table.ports)) this.#reconcile(key, port);
    }
    for (const [key, port] of changed) this.#reconcile(key, port);
  }

  /** Opens nothing more. What is open is the engine's to drain. */
  stop(): void {
    this.#own = null;
    for (const { retry } of this.#listeners.values()) if (retry) clearTimeout(retry);
  }

  #reconcile(key: string, port: GatewayPort | undefined): void {
    const listener = this.#listeners.get(key);
    const use = port === undefined ? 'none' : this.#useOf(port);
    const isAnother = listener?.isTls !== port?.isTls || listener?.clientPort !== port?.clientPort;
    if (listener && (use !== 'listen' || isAnother)) this.#close(key, listener);
    switch (use) {
      case 'none':
        return this.#report(key, { kind: 'closed' });
      case 'own':
        return this.#report(key, { kind: 'bound' });
      case 'taken':
        return this.#report(key, { kind: 'failed', code: 'EADDRINUSE' });
      case 'listen':
        if (port && !this.#listeners.has(key)) this.#open(key as PortKey, port);
        return;
      default:
        use satisfies never;
    }
  }

  /**
   * Whether a port is one of Portico's own, which serves Gateways too, or is taken. The system would let this process
   * listen twice at one place, and give each of the two every other connection.
   */
  #useOf({ address, port, isTls }: GatewayPort): 'own' | 'taken' | 'listen' {
    const place = this.#placeOf(address, port);
    const own = this.#own?.get(place);
    if (own !== undefined) return address === '' && own === (isTls ? 'https' : 'http') ? 'own' : 'taken';
    const isOther = address !== '' && this.#table !== null && get(this.#table.ports, place)?.address === '';
    return isOther || this.#streams.has(place) ? 'taken' : 'listen';
  }

  #placeOf(address: string, port: number): PortKey {
    const { host } = this.#place;
    const isEvery = address === (host ?? '') || (host === undefined && ALL_ADDRESSES.has(address));
    return portKey(isEvery ? '' : address, port);
  }

  #open(key: PortKey, { isTls, clientPort }: GatewayPort): void {
    const listener: PortListener = { isTls, clientPort, isClosed: false, listening: null, retry: null };
    this.#listeners.set(key, listener);
    void this.#listen(key, listener);
  }

  async #listen(key: PortKey, listener: PortListener): Promise<void> {
    const port = this.#table && get(this.#table.ports, key);
    if (!port || listener.isClosed) return;
    try {
      if (this.#places.size >= MAX_GATEWAY_PORTS) throw Object.assign(new Error(), { code: TOO_MANY_PORTS });
      this.#places.add(listener);
      const listening = await this.#engine.listen({
        host: port.address === '' ? this.#place.host : port.address,
        port: port.port,
        reusePort: this.#place.reusePort,
        scheme: listener.isTls ? 'https' : 'http',
        gatewayPort: key,
        ...(listener.clientPort !== undefined && { clientPort: listener.clientPort }),
      });
      listener.listening = listening;
      if (listener.isClosed) listening.close();
      else this.#report(key, { kind: 'bound' });
    } catch (error) {
      this.#places.delete(listener);
      if (listener.isClosed) return;
      this.#report(key, { kind: 'failed', code: (error as NodeJS.ErrnoException).code ?? String(error) });
      listener.retry = setTimeout(() => void this.#listen(key, listener), PORT_RETRY_MS).unref();
    }
  }

  #close(key: string, listener: PortListener): void {
    this.#listeners.delete(key);
    this.#places.delete(listener);
    listener.isClosed = true;
    if (listener.retry) clearTimeout(listener.retry);
    listener.listening?.close();
  }
}
